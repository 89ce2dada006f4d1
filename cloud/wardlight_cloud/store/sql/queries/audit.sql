-- Who did what with patients' data: added in batches, searched from the latest on.

-- name: put_audit
INSERT INTO audit_event (
    recorded_at, status, face, action, interaction, kind, resource_id, query, client, login,
    address, patients
)
SELECT
    to_timestamp(e.at), e.status, e.face, e.action, e.interaction, e.kind, e.resource_id, e.query,
    e.client, e.login, e.address,
    CASE
        WHEN e.patients = '' AND e.kind = 'ImagingStudy' AND e.resource_id <> '' THEN coalesce((
            SELECT ARRAY[s.patient_id] FROM image_study AS s
            WHERE s.study_uid = e.resource_id AND s.patient_id IS NOT NULL
        ), '{}')
        ELSE string_to_array(e.patients, ',')::uuid[]
    END
FROM unnest(
    $1::float8[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]
) AS e (
    at, face, action, interaction, status, kind, resource_id, query, client, login, address,
    patients
)

-- name: audit_events
-- $1 patients in reach: an entry is seen when it is about one of them.
SELECT
    event_id, recorded_at, face, action, interaction, status, kind, resource_id, query, client,
    login, address, patients
FROM audit_event
WHERE
    ($1::uuid[] IS NULL OR patients && $1)
    AND ($2::uuid[] IS NULL OR patients && $2)
    AND ($3::timestamptz IS NULL OR recorded_at >= $3)
    AND ($4::timestamptz IS NULL OR recorded_at < $4)
    AND ($5::timestamptz[] IS NULL OR (
        recorded_at = ANY($5)
        AND (recorded_at, event_id) IN (SELECT * FROM unnest($5::timestamptz[], $6::bigint[]))
    ))
    AND ($7::text[] IS NULL OR action = ANY($7))
    AND ($8::text[] IS NULL OR face = ANY($8))
    AND ($9::text[] IS NULL OR interaction = ANY($9))
    AND (
        $10::text[] IS NULL
        OR lower(client) LIKE ANY($10) OR lower(login) LIKE ANY($10)
    )
    AND ($11::text[] IS NULL OR address LIKE ANY($11))
    AND ($12::text[] IS NULL OR kind || '/' || resource_id = ANY($12))
    AND ($13::int[] IS NULL OR EXISTS (
        SELECT FROM unnest($13::int[], $14::int[]) AS s (low, high)
        WHERE status BETWEEN s.low AND s.high
    ))
    AND ($15::timestamptz IS NULL OR (recorded_at, event_id) < ($15, $16::bigint))
ORDER BY recorded_at DESC, event_id DESC
LIMIT $17

-- name: forget_audit
SELECT forget_audit($1)
