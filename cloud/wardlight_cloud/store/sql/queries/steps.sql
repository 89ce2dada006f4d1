-- Procedure steps that modalities performed.

-- name: begin_step
INSERT INTO procedure_step (
    sop_uid, updated_at, gateway_id, events, status, station_ae, modality, started, ended,
    accessions, step_ids, study_uids, series_uids, dicom_patient_id, issuer, birth_date
)
VALUES ($1, clock_timestamp(), $2, 0, 'IN PROGRESS', '', '', '', '', '{}', '{}', '{}', '{}', '', '', '')
ON CONFLICT DO NOTHING

-- name: lock_step
SELECT status FROM procedure_step WHERE sop_uid = $1 AND gateway_id = $2 FOR UPDATE

-- name: step_event
SELECT sha256 FROM procedure_step_event
WHERE sop_uid = $1 AND gateway_id = $2 AND spool = $3 AND number = $4

-- name: add_step_event
INSERT INTO procedure_step_event (
    received_at, spool, number, gateway_id, sop_uid, calling_ae, status, sha256, octets
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: change_step
-- What has ended stays as it ended; what an event does not say stays as it was.
UPDATE procedure_step SET
    updated_at = clock_timestamp(),
    events = events + 1,
    status = CASE WHEN status = 'IN PROGRESS' THEN coalesce($2, status) ELSE status END,
    station_ae = coalesce(nullif($3, ''), station_ae),
    modality = coalesce(nullif($4, ''), modality),
    started = coalesce(nullif($5, ''), started),
    ended = coalesce(nullif($6, ''), ended),
    accessions = CASE WHEN accessions = '{}' THEN $7::text[] ELSE accessions END,
    step_ids = CASE WHEN accessions = '{}' THEN $8::text[] ELSE step_ids END,
    study_uids = CASE WHEN accessions = '{}' THEN $9::text[] ELSE study_uids END,
    series_uids = CASE WHEN $10::text[] = '{}' THEN series_uids ELSE $10 END,
    dicom_patient_id = CASE WHEN dicom_patient_id = '' THEN $12 ELSE dicom_patient_id END,
    issuer = CASE WHEN issuer = '' THEN $13 ELSE issuer END,
    birth_date = CASE WHEN birth_date = '' THEN $14 ELSE birth_date END
WHERE sop_uid = $1 AND gateway_id = $11
RETURNING status

-- part: named
-- Entries that a step p names: by accession and step; a modality that knows no accession names the
-- study. Only entries that were given to its gateway: a step says nothing of another site's.
-- is_meant: without a step ID it is the only one of its modality, else the only one at its station.
-- is_theirs: nothing says that it is another patient's.
SELECT
    e.entry_id,
    s.step_id <> ''
    OR count(*) OVER (PARTITION BY s.place) = 1
    OR (
        e.station_ae = p.station_ae
        AND count(*) FILTER (WHERE e.station_ae = p.station_ae) OVER (PARTITION BY s.place) = 1
    ) AS is_meant,
    p.dicom_patient_id IN ('', o.dicom_patient_id)
    AND (p.issuer = '' OR o.issuer = '' OR lower(p.issuer) = lower(o.issuer))
    AND (p.birth_date = '' OR coalesce(to_char(k.birth_date, 'YYYYMMDD') = p.birth_date, true))
        AS is_theirs
FROM unnest(p.accessions, p.step_ids, p.study_uids)
    WITH ORDINALITY AS s (accession, step_id, study_uid, place)
INNER JOIN worklist_entry AS e
    ON
        (s.accession <> '' AND e.accession = s.accession)
        OR (s.accession = '' AND s.study_uid <> '' AND e.study_uid = s.study_uid)
INNER JOIN worklist_gateway AS l ON l.entry_id = e.entry_id AND l.gateway_id = p.gateway_id
INNER JOIN imaging_order AS o ON o.accession = e.accession
LEFT JOIN patient AS k ON k.patient_id = o.patient_id
WHERE
    s.step_id = e.step_id
    OR (s.step_id = '' AND p.modality IN ('', e.modality) AND e.state <> 'removed')

-- name: entries_of_step
SELECT n.entry_id, bool_and(n.is_theirs) AS is_theirs
FROM procedure_step AS p
CROSS JOIN LATERAL (
    {named}
) AS n
WHERE p.sop_uid = $1 AND p.gateway_id = $2 AND n.is_meant
GROUP BY n.entry_id
ORDER BY n.entry_id

-- name: steps
SELECT
    p.sop_uid, g.gateway, p.status, p.accessions, p.step_ids, p.study_uids, p.station_ae,
    p.modality, p.started, p.ended, p.series_uids, p.events, p.updated_at, f.remark
FROM procedure_step AS p
INNER JOIN gateway AS g USING (gateway_id)
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN bool_or(n.is_meant AND NOT n.is_theirs) THEN 'another-patient'
            WHEN bool_or(n.is_meant) THEN ''
            ELSE 'no-entry'
        END AS remark
    FROM (
        {named}
    ) AS n
) AS f
WHERE $1::text IS NULL OR p.accessions @> ARRAY[$1]
ORDER BY p.updated_at DESC, p.sop_uid
LIMIT $2

-- name: step_events
SELECT
    v.sop_uid, g.gateway, v.spool, v.number, v.sha256, v.octets, v.calling_ae, v.received_at,
    v.status
FROM procedure_step_event AS v
INNER JOIN gateway AS g USING (gateway_id)
WHERE v.sop_uid = $1
ORDER BY v.event_id
