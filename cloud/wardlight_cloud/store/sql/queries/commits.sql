-- What is known of commits.

-- name: commits_known
SELECT
    commit_seq, stored_at,
    EXISTS (SELECT FROM series_commit AS s WHERE s.commit_seq = c.commit_seq) AS is_upload
FROM commit_log AS c
WHERE commit_seq = ANY($1::bigint[])
