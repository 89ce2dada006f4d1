-- Names to ids: gateways, ledgers, devices, series. They only ever grow.

-- name: lock_dictionary
-- One process at a time makes names, so that none waits for another in a circle.
SELECT pg_advisory_xact_lock(5723, 4)

-- name: gateways
SELECT gateway_id, gateway FROM gateway WHERE gateway = ANY($1::text[])

-- name: add_gateways
-- Known from now on, and switched off until somebody enrols them.
INSERT INTO gateway (gateway, enabled)
SELECT gateway, false FROM unnest($1::text[]) AS gateway ORDER BY gateway
ON CONFLICT DO NOTHING

-- name: add_ledgers
INSERT INTO ledger (gateway_id, epoch)
SELECT * FROM unnest($1::int[], $2::bigint[]) AS k (gateway_id, epoch) ORDER BY 1, 2
ON CONFLICT DO NOTHING

-- name: devices
SELECT device_id, identity, gateway_id FROM device WHERE identity = ANY($1::text[])

-- name: add_devices
INSERT INTO device AS d (identity, gateway_id, commit_seq)
SELECT identity, gateway_id, $3
FROM unnest($1::text[], $2::int[]) AS k (identity, gateway_id)
ORDER BY identity
ON CONFLICT (identity) DO UPDATE
SET gateway_id = excluded.gateway_id, commit_seq = excluded.commit_seq
WHERE d.gateway_id IS DISTINCT FROM excluded.gateway_id

-- name: series
SELECT s.series_id, k.place
FROM unnest($1::uuid[], $2::smallint[], $3::int[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY AS k (device_id, user_index, metric, unit, site, raw_unit, place)
INNER JOIN series AS s
    ON s.device_id = k.device_id AND s.metric = k.metric AND s.unit = k.unit
    AND s.user_index IS NOT DISTINCT FROM k.user_index
    AND s.site IS NOT DISTINCT FROM k.site
    AND s.raw_unit IS NOT DISTINCT FROM k.raw_unit

-- name: add_panels
INSERT INTO series (device_id, user_index, metric, unit, site, observation_metric, is_panel)
SELECT DISTINCT device_id, user_index, metric, unit, site, metric, true
FROM unnest($1::uuid[], $2::smallint[], $3::int[], $4::text[], $5::text[])
    AS k (device_id, user_index, metric, unit, site)
ON CONFLICT DO NOTHING

-- name: add_series
-- $7 and $8: metric and unit of the panel that a component belongs to, null for the others.
INSERT INTO series
    (device_id, user_index, metric, unit, site, raw_unit, panel_series_id, observation_metric, is_panel)
SELECT
    k.device_id, k.user_index, k.metric, k.unit, k.site, k.raw_unit, panel.series_id,
    coalesce(k.panel_metric, k.metric), false
FROM unnest(
    $1::uuid[], $2::smallint[], $3::int[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[]
) AS k (device_id, user_index, metric, unit, site, raw_unit, panel_metric, panel_unit)
LEFT JOIN series AS panel
    ON panel.is_panel AND panel.device_id = k.device_id AND panel.metric = k.panel_metric
    AND panel.unit = k.panel_unit
    AND panel.user_index IS NOT DISTINCT FROM k.user_index
    AND panel.site IS NOT DISTINCT FROM k.site
ON CONFLICT DO NOTHING
