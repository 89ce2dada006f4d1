-- Orders and the worklists of gateways.

-- name: lock_worklists
-- Until COMMIT: revisions become visible in their order.
SELECT pg_advisory_xact_lock(5725, 1)

-- name: known_gateways
SELECT gateway, gateway_id FROM gateway WHERE gateway = ANY($1::text[])

-- name: order
-- While something of it is not removed.
SELECT
    o.accession, o.patient_id, o.dicom_patient_id, o.issuer, p.birth_date,
    array(
        SELECT DISTINCT g.gateway
        FROM worklist_entry AS e
        INNER JOIN worklist_gateway AS l USING (entry_id)
        INNER JOIN gateway AS g USING (gateway_id)
        WHERE e.accession = o.accession
        ORDER BY g.gateway
    ) AS gateways,
    array(
        SELECT e.data_set FROM worklist_entry AS e
        WHERE e.accession = o.accession AND e.state <> 'removed'
        ORDER BY e.entry_id
    ) AS data_sets
FROM imaging_order AS o
LEFT JOIN patient AS p USING (patient_id)
WHERE
    o.accession = $1
    AND EXISTS (
        SELECT FROM worklist_entry AS e WHERE e.accession = o.accession AND e.state <> 'removed'
    )

-- name: order_studies
SELECT DISTINCT study_uid FROM worklist_entry WHERE accession = $1 ORDER BY study_uid

-- name: put_order
-- Whose it is may only become better known: a removed order may be given to somebody else.
INSERT INTO imaging_order AS o (accession, patient_id, dicom_patient_id, issuer)
VALUES ($1, $2, $3, $4)
ON CONFLICT (accession) DO UPDATE SET
    patient_id = coalesce(excluded.patient_id, CASE
        WHEN (o.dicom_patient_id, o.issuer) = (excluded.dicom_patient_id, excluded.issuer)
            THEN o.patient_id
    END),
    dicom_patient_id = excluded.dicom_patient_id,
    issuer = excluded.issuer
WHERE
    (
        (o.dicom_patient_id, o.issuer) = (excluded.dicom_patient_id, excluded.issuer)
        AND coalesce(o.patient_id = excluded.patient_id, true)
    )
    OR NOT EXISTS (
        SELECT FROM worklist_entry AS e WHERE e.accession = o.accession AND e.state <> 'removed'
    )
RETURNING (
    SELECT to_char(p.birth_date, 'YYYYMMDD') FROM patient AS p WHERE p.patient_id = o.patient_id
) AS born

-- name: entry_of_step
SELECT
    e.entry_id, e.state, e.study_uid, e.modality, e.station_ae, e.starts, e.data_set,
    array(
        SELECT l.gateway_id FROM worklist_gateway AS l
        WHERE l.entry_id = e.entry_id AND l.is_listed
        ORDER BY l.gateway_id
    ) AS gateway_ids
FROM worklist_entry AS e
WHERE e.accession = $1 AND e.step_id = $2

-- name: put_entry
INSERT INTO worklist_entry (
    changed_at, accession, step_id, study_uid, modality, station_ae, starts, state, data_set
)
VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6, 'scheduled', $7)
ON CONFLICT (accession, step_id) DO UPDATE SET
    changed_at = excluded.changed_at,
    study_uid = excluded.study_uid,
    modality = excluded.modality,
    station_ae = excluded.station_ae,
    starts = excluded.starts,
    state = CASE worklist_entry.state WHEN 'removed' THEN 'scheduled' ELSE worklist_entry.state END,
    data_set = excluded.data_set
RETURNING entry_id, state

-- name: list_entry
INSERT INTO worklist_gateway (entry_id, revision, gateway_id, is_listed)
SELECT $1, nextval('worklist_revision'), gateway_id, true
FROM unnest($2::int[]) AS gateway_id
ON CONFLICT (entry_id, gateway_id) DO UPDATE SET revision = excluded.revision, is_listed = true

-- name: unlist_entries
-- Off the lists of all gateways but $2.
UPDATE worklist_gateway SET revision = nextval('worklist_revision'), is_listed = false
WHERE entry_id = ANY($1::bigint[]) AND is_listed AND gateway_id <> ALL($2::int[])

-- name: set_entries
UPDATE worklist_entry SET state = $2, changed_at = clock_timestamp()
WHERE entry_id = ANY($1::bigint[]) AND state NOT IN ($2, 'completed', 'removed')

-- name: remove_entries
UPDATE worklist_entry SET state = 'removed', changed_at = clock_timestamp()
WHERE accession = $1 AND ($2::text IS NULL OR step_id = $2) AND state <> 'removed'
RETURNING entry_id

-- name: entries
SELECT
    e.entry_id, e.accession, e.step_id, e.study_uid, o.patient_id, o.dicom_patient_id, o.issuer,
    e.modality, e.station_ae, e.starts, e.state, e.changed_at, listed.gateways
FROM worklist_entry AS e
INNER JOIN imaging_order AS o USING (accession)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(g.gateway ORDER BY g.gateway), '{}') AS gateways
    FROM worklist_gateway AS l
    INNER JOIN gateway AS g USING (gateway_id)
    WHERE l.entry_id = e.entry_id AND l.is_listed
) AS listed
WHERE ($1::text IS NULL OR $1 = ANY(listed.gateways)) AND ($2::boolean OR listed.gateways <> '{}')
ORDER BY e.starts, e.entry_id
LIMIT $3

-- name: newest_revision
-- The epoch is another one after each start of the server, in another database, and when the table
-- was filled anew: whatever a backup is brought back by, the revisions of before are not trusted.
SELECT
    coalesce(max(l.revision), 0) AS newest,
    clock_timestamp() AS as_of,
    hashtextextended(
        concat_ws(
            ' ',
            extract(EPOCH FROM pg_postmaster_start_time()),
            (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
            pg_relation_filenode('worklist_gateway')
        ),
        0
    ) & 9223372036854775807 | 1 AS epoch
FROM worklist_gateway AS l
INNER JOIN gateway AS g USING (gateway_id)
WHERE g.gateway = $1

-- name: changes
-- A list that begins anew has no use for what is not on it.
SELECT l.entry_id, l.revision, CASE WHEN l.is_listed THEN e.data_set END AS data_set
FROM worklist_gateway AS l
INNER JOIN gateway AS g USING (gateway_id)
INNER JOIN worklist_entry AS e USING (entry_id)
WHERE g.gateway = $1 AND l.revision > $2 AND l.revision <= $3 AND ($2 > 0 OR l.is_listed)
ORDER BY l.revision
LIMIT $4

-- name: revisions
SELECT g.gateway, max(l.revision) AS newest
FROM gateway AS g
INNER JOIN worklist_gateway AS l USING (gateway_id)
WHERE g.gateway = ANY($1::text[])
GROUP BY g.gateway
