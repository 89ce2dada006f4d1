-- Commits by time, for searches of imaging resources.

-- name: commit_before
SELECT coalesce(
    (
        SELECT commit_seq FROM commit_log
        WHERE stored_at < $1
        ORDER BY stored_at DESC, commit_seq DESC
        LIMIT 1
    ),
    0
)
