-- Days of patients in the form of a face.

-- name: kept
-- Kept days of a patient ($1) from $2 to $3 in the form $4, but those to which something came since,
-- and none if since then it changed which devices are the patient's. A row without a day stands for
-- none; each says the newest commit of a stored Observation.
SELECT k.day, k.body, o.others_seq
FROM (
    SELECT max(commit_seq) AS others_seq FROM resource WHERE kind = 'Observation'
) AS o
LEFT JOIN (
    SELECT k.day, k.body
    FROM kept_day AS k
    WHERE
        k.patient_id = $1 AND k.day BETWEEN $2 AND $3 AND k.form = $4
        AND NOT EXISTS (
            SELECT FROM assigned_change AS c
            WHERE c.patient_id = $1 AND c.commit_seq > k.commit_seq
        )
        AND NOT EXISTS (
            SELECT FROM assignment AS a
            INNER JOIN series AS s USING (device_id)
            INNER JOIN series_day AS d ON d.series_id = s.series_id AND d.day = k.day
            WHERE a.patient_id = $1 AND d.commit_seq > k.commit_seq
        )
) AS k ON true

-- name: settled
-- Whether a patient ($1) has readings on a day ($2), at most $3 of them, and the last came at least
-- $4 ago; and the newest commit of all, up to which a search that begins now sees everything.
SELECT
    day.readings BETWEEN 1 AND $3 AND day.commit_seq <= coalesce(long_ago.commit_seq, -1)
        AS is_settled,
    newest.commit_seq
FROM (
    SELECT coalesce(sum(d.readings), 0) AS readings, coalesce(max(d.commit_seq), 0) AS commit_seq
    FROM series_day AS d
    WHERE
        d.day = $2
        AND d.series_id IN (
            SELECT s.series_id
            FROM assignment AS a
            INNER JOIN series AS s USING (device_id)
            WHERE a.patient_id = $1
        )
) AS day
CROSS JOIN (SELECT coalesce(max(commit_seq), 0) AS commit_seq FROM commit_log) AS newest
LEFT JOIN LATERAL (
    SELECT commit_seq FROM commit_log
    WHERE stored_at <= now() - $4::interval
    ORDER BY stored_at DESC, commit_seq DESC
    LIMIT 1
) AS long_ago ON true

-- name: keep
INSERT INTO kept_day AS k (patient_id, day, form, commit_seq, body) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (patient_id, day) DO UPDATE
SET form = excluded.form, commit_seq = excluded.commit_seq, body = excluded.body
WHERE k.commit_seq <= excluded.commit_seq
