-- Orders with what their scheduled steps say together.

-- name: orders
SELECT
    o.accession, o.patient_id, o.made_at, e.changed_at, e.modalities, e.starts, e.status
FROM imaging_order AS o
CROSS JOIN LATERAL (
    SELECT
        max(w.changed_at) AS changed_at,
        min(w.starts) AS starts,
        array_agg(DISTINCT w.modality ORDER BY w.modality) AS modalities,
        CASE
            WHEN bool_and(w.state = 'removed') THEN 'revoked'
            WHEN bool_and(w.state IN ('removed', 'completed')) THEN 'completed'
            ELSE 'active'
        END AS status
    FROM worklist_entry AS w WHERE w.accession = o.accession
) AS e
WHERE
    o.patient_id IS NOT NULL AND e.changed_at IS NOT NULL
    AND ($1::uuid [] IS NULL OR o.patient_id = ANY($1))
    AND ($2::text [] IS NULL OR o.accession = ANY($2))
    AND ($3::text [] IS NULL OR e.status = ANY($3))
    AND ($4::timestamptz IS NULL OR e.changed_at >= $4)
    AND ($5::timestamptz IS NULL OR e.changed_at < $5)
    AND o.accession > $6
ORDER BY o.accession
LIMIT $7

-- name: orders_by_change
-- The same in the order of their last change, behind that of $8 and the number $6.
SELECT
    o.accession, o.patient_id, o.made_at, e.changed_at, e.modalities, e.starts, e.status
FROM imaging_order AS o
CROSS JOIN LATERAL (
    SELECT
        max(w.changed_at) AS changed_at,
        min(w.starts) AS starts,
        array_agg(DISTINCT w.modality ORDER BY w.modality) AS modalities,
        CASE
            WHEN bool_and(w.state = 'removed') THEN 'revoked'
            WHEN bool_and(w.state IN ('removed', 'completed')) THEN 'completed'
            ELSE 'active'
        END AS status
    FROM worklist_entry AS w WHERE w.accession = o.accession
) AS e
WHERE
    o.patient_id IS NOT NULL AND e.changed_at IS NOT NULL
    AND ($1::uuid [] IS NULL OR o.patient_id = ANY($1))
    AND ($2::text [] IS NULL OR o.accession = ANY($2))
    AND ($3::text [] IS NULL OR e.status = ANY($3))
    AND ($4::timestamptz IS NULL OR e.changed_at >= $4)
    AND ($5::timestamptz IS NULL OR e.changed_at < $5)
    AND ($8::timestamptz IS NULL OR (e.changed_at, o.accession) > ($8, $6))
ORDER BY e.changed_at, o.accession
LIMIT $7

-- name: order_count
SELECT count(*)
FROM imaging_order AS o
CROSS JOIN LATERAL (
    SELECT
        max(w.changed_at) AS changed_at,
        CASE
            WHEN bool_and(w.state = 'removed') THEN 'revoked'
            WHEN bool_and(w.state IN ('removed', 'completed')) THEN 'completed'
            ELSE 'active'
        END AS status
    FROM worklist_entry AS w WHERE w.accession = o.accession
) AS e
WHERE
    o.patient_id IS NOT NULL AND e.changed_at IS NOT NULL
    AND ($1::uuid [] IS NULL OR o.patient_id = ANY($1))
    AND ($2::text [] IS NULL OR o.accession = ANY($2))
    AND ($3::text [] IS NULL OR e.status = ANY($3))
    AND ($4::timestamptz IS NULL OR e.changed_at >= $4)
    AND ($5::timestamptz IS NULL OR e.changed_at < $5)
