-- What is known of commits.

-- name: commits_known
SELECT
    commit_seq, stored_at,
    EXISTS (SELECT FROM series_commit AS s WHERE s.commit_seq = c.commit_seq) AS is_upload
FROM commit_log AS c
WHERE commit_seq = ANY($1::bigint[])

-- part: asked
-- NULL = no filter. $1 patients, $2 devices.
($1::uuid[] IS NULL OR a.patient_id = ANY($1)) AND ($2::uuid[] IS NULL OR a.device_id = ANY($2))

-- part: touching
-- What a commit added to a series within the time of an assignment, by the hour.
c.last_time >= a.valid_from AND (a.valid_to IS NULL OR c.first_time < a.valid_to)

-- part: window
-- $3 and $4 [start, end) of commits, as numbers.
coalesce((SELECT min(commit_seq) FROM commit_log WHERE stored_at >= $3::timestamptz), CASE
    WHEN $3::timestamptz IS NULL THEN 0 ELSE 9223372036854775807
END) AS first_seq,
coalesce((SELECT min(commit_seq) - 1 FROM commit_log WHERE stored_at >= $4::timestamptz), 9223372036854775807)
    AS last_seq

-- name: uploads
-- Commits and patients who may have Observations of them, after $5 and $6: readings that came, and
-- those of before that an assignment gave.
WITH w AS MATERIALIZED (SELECT {window})
SELECT DISTINCT commit_seq, patient_id
FROM (
    (
        SELECT DISTINCT c.commit_seq, a.patient_id
        FROM series_commit AS c
        INNER JOIN assigned_series AS a ON a.series_id = c.series_id AND c.commit_seq > a.assigned_seq
        WHERE
            {asked} AND {touching}
            AND c.commit_seq >= greatest($5::bigint, (SELECT first_seq FROM w))
            AND c.commit_seq <= (SELECT last_seq FROM w)
            AND (c.commit_seq, a.patient_id) > ($5, $6::uuid)
        ORDER BY 1, 2
        LIMIT $7
    )
    UNION ALL
    (
        SELECT DISTINCT a.assigned_seq, a.patient_id
        FROM assigned_series AS a
        WHERE
            {asked}
            AND a.assigned_seq >= greatest($5::bigint, (SELECT first_seq FROM w))
            AND a.assigned_seq <= (SELECT last_seq FROM w)
            AND (a.assigned_seq, a.patient_id) > ($5, $6::uuid)
            AND EXISTS (
                SELECT FROM series_commit AS c
                WHERE c.series_id = a.series_id AND c.commit_seq <= a.assigned_seq AND {touching}
            )
        ORDER BY 1, 2
        LIMIT $7
    )
) AS k
ORDER BY 1, 2
LIMIT $7
