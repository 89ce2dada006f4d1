-- What commits brought: versions of resources, series of readings.

-- name: changed_resources
-- Whole commits: the last one of $4 rows with all that it has.
SELECT resource_key, commit_seq, stored_at, is_new, kind, id, patients, body
FROM resource_version
WHERE kind = ANY($1::text[]) AND commit_seq > $2 AND commit_seq <= $3
ORDER BY commit_seq
FETCH FIRST ($4::bigint) ROWS WITH TIES

-- name: left_resources
-- Of deletions, and of versions that have not all patients of the one before: that one, and the
-- commit it ended with.
SELECT
    b.resource_key, b.commit_seq, b.stored_at, b.is_new, b.kind, b.id, b.patients, b.body,
    v.commit_seq AS ended
FROM unnest($1::bigint[], $2::bigint[]) AS c (resource_key, commit_seq)
INNER JOIN resource_version AS v USING (resource_key, commit_seq)
CROSS JOIN LATERAL (
    SELECT * FROM resource_version AS w
    WHERE w.resource_key = v.resource_key AND w.commit_seq < v.commit_seq
    ORDER BY w.commit_seq DESC LIMIT 1
) AS b
WHERE b.body IS NOT NULL AND (v.body IS NULL OR NOT b.patients <@ v.patients)

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

-- name: left_commits
SELECT DISTINCT commit_seq FROM left_interval
WHERE commit_seq > $1 AND commit_seq <= $2
ORDER BY commit_seq

-- name: left_series
-- Series, of metrics $2, that had rows by then, with the columns of assigned_series as they were.
SELECT
    l.patient_id, l.device_id, l.valid_from, l.valid_to, l.assigned_seq, s.series_id,
    coalesce(s.panel_series_id, s.series_id) AS anchor, s.metric, s.observation_metric, s.unit,
    s.user_index, s.site, s.raw_unit
FROM left_interval AS l
INNER JOIN series AS s
    ON
        l.device_id = s.device_id
        AND (l.user_index IS NULL OR l.user_index = coalesce(s.user_index, 255))
WHERE
    l.commit_seq = $1 AND NOT s.is_panel AND s.metric = ANY($2::int[])
    AND EXISTS (
        SELECT FROM series_commit AS c
        WHERE c.series_id = s.series_id AND c.commit_seq <= $1
    )

-- name: corrected_since
-- Places of rows that were stored by $2 and that later commits took another value for.
SELECT DISTINCT series_id, time, ord FROM superseded
WHERE series_id = ANY($1::int[]) AND commit_seq <= $2 AND superseded_seq > $2

-- name: holders
-- $1 series, $2 times: whose readings of these are now, by their place; none = nobody's.
SELECT k.place, a.patient_id
FROM unnest($1::int[], $2::timestamptz[]) WITH ORDINALITY AS k (series_id, time, place)
INNER JOIN assigned_series AS a
    ON
        a.series_id = k.series_id
        AND k.time >= a.valid_from AND (a.valid_to IS NULL OR k.time < a.valid_to)
