-- What commits brought: versions of resources, series of readings.

-- name: changed_resources
-- Whole commits: the last one of $4 rows with all that it has.
SELECT resource_key, commit_seq, stored_at, is_new, kind, id, patients, body
FROM resource_version
WHERE kind = ANY($1::text[]) AND commit_seq > $2 AND commit_seq <= $3
ORDER BY commit_seq
FETCH FIRST ($4::bigint) ROWS WITH TIES

-- name: changed_anchors
-- Of series that these commits brought rows to, or gave to a patient.
SELECT DISTINCT coalesce(s.panel_series_id, s.series_id) AS anchor
FROM (
    SELECT series_id FROM series_commit WHERE commit_seq > $1 AND commit_seq <= $2
    UNION
    SELECT a.series_id FROM assigned_series AS a
    WHERE a.assigned_seq > $1 AND a.assigned_seq <= $2
) AS c
INNER JOIN series AS s USING (series_id)
