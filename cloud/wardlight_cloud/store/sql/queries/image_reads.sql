-- Who looked at images: written in batches, found by study, patient or reader.

-- name: put_reads
-- The first of a node in a period is on record in the audit trail, too: of the other faces each
-- request is.
WITH put AS (
    INSERT INTO image_read AS r (
        period_at, first_at, last_at, requests, study_uid, face, reader_kind, reader
    )
    SELECT *
    FROM unnest(
        $1::timestamptz[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::text[],
        $6::text[], $7::text[], $8::text[]
    )
    ORDER BY 5, 1, 6, 7, 8
    ON CONFLICT (study_uid, period_at, face, reader_kind, reader) DO UPDATE
    SET
        first_at = least(r.first_at, excluded.first_at),
        last_at = greatest(r.last_at, excluded.last_at),
        requests = r.requests + excluded.requests
    RETURNING r.first_at, r.study_uid, r.face, r.reader, r.xmax = 0 AS is_new
)
INSERT INTO audit_event (
    recorded_at, status, face, action, interaction, kind, resource_id, query, client, login,
    address, patients
)
SELECT
    p.first_at, 0, 'dimse', 'R', 'retrieve', 'ImagingStudy', p.study_uid, '', p.reader, '',
    CASE WHEN strpos(p.reader, '@') > 0 THEN substring(p.reader FROM '[^@]*$') ELSE '' END,
    array(
        SELECT s.patient_id FROM image_study AS s
        WHERE s.study_uid = p.study_uid AND s.patient_id IS NOT NULL
    )
FROM put AS p
WHERE p.face = 'dimse' AND p.is_new

-- name: reads
-- Of a patient: studies that are theirs, and those that were when they were removed.
SELECT first_at, last_at, requests, study_uid, face, reader_kind, reader
FROM image_read
WHERE
    ($1::text IS NULL OR study_uid = $1)
    AND ($2::text IS NULL OR reader = $2)
    AND ($3::timestamptz IS NULL OR last_at >= $3)
    AND (
        $4::uuid IS NULL
        OR study_uid IN (
            SELECT s.study_uid FROM image_study AS s WHERE s.patient_id = $4
            UNION ALL
            SELECT t.study_uid FROM image_tombstone AS t WHERE t.patient_id = $4
        )
    )
ORDER BY last_at DESC, study_uid, face, reader_kind, reader
LIMIT $5
