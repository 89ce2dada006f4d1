-- Procedure steps that modalities performed.

-- name: begin_step
INSERT INTO procedure_step (
    sop_uid, updated_at, gateway_id, events, status, station_ae, modality, started, ended,
    accessions, step_ids, study_uids, series_uids
)
VALUES ($1, clock_timestamp(), $2, 0, 'IN PROGRESS', '', '', '', '', '{}', '{}', '{}', '{}')
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
    series_uids = CASE WHEN $10::text[] = '{}' THEN series_uids ELSE $10 END
WHERE sop_uid = $1 AND gateway_id = $11
RETURNING status

-- name: entries_of_step
-- By accession and step; a modality that knows no accession names the study. Only entries that were
-- given to this gateway: a step says nothing of what is done at another site.
SELECT DISTINCT e.entry_id
FROM procedure_step AS p
CROSS JOIN unnest(p.accessions, p.step_ids, p.study_uids) AS s (accession, step_id, study_uid)
INNER JOIN worklist_entry AS e
    ON
        (s.accession <> '' AND e.accession = s.accession AND s.step_id IN ('', e.step_id))
        OR (s.accession = '' AND s.study_uid <> '' AND e.study_uid = s.study_uid AND s.step_id IN ('', e.step_id))
INNER JOIN worklist_gateway AS l ON l.entry_id = e.entry_id AND l.gateway_id = p.gateway_id
WHERE p.sop_uid = $1 AND p.gateway_id = $2
ORDER BY e.entry_id

-- name: steps
SELECT
    p.sop_uid, g.gateway, p.status, p.accessions, p.step_ids, p.study_uids, p.station_ae,
    p.modality, p.started, p.ended, p.series_uids, p.events, p.updated_at
FROM procedure_step AS p
INNER JOIN gateway AS g USING (gateway_id)
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
