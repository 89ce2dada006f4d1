-- A device also shows by which day it must be calibrated, and when its newest reading was stored.
-- It is seen when it measures or speaks, not when its gateway says something of it.
CREATE OR REPLACE VIEW device_row AS
SELECT
    d.device_id,
    d.identity,
    g.gateway,
    told.info,
    told.battery,
    told.link,
    greatest(told.time, seen.time) AS last_seen_at,
    changed.commit_seq,
    (SELECT c.stored_at FROM commit_log AS c WHERE c.commit_seq = changed.commit_seq) AS updated_at,
    told.calibration AS calibration_due,
    seen.stored_at AS last_stored_at
FROM device AS d
LEFT JOIN gateway AS g ON g.gateway_id = d.gateway_id
LEFT JOIN LATERAL (
    SELECT
        max(t.data::text) FILTER (WHERE t.name = 'info') AS info,
        max(t.data ->> 'percent') FILTER (WHERE t.name = 'battery') AS battery,
        max(t.data ->> 'state') FILTER (WHERE t.name = 'link') AS link,
        max(t.data ->> 'due') FILTER (WHERE t.name = 'calibration') AS calibration,
        max(t.time) FILTER (WHERE t.name NOT IN ('link', 'calibration')) AS time,
        max(t.commit_seq) FILTER (
            WHERE t.name IN ('info', 'battery', 'link', 'calibration')
        ) AS commit_seq
    FROM device_told AS t
    WHERE t.device_id = d.device_id
) AS told ON true
LEFT JOIN LATERAL (
    SELECT max(l.time) AS time, max(l.stored_at) AS stored_at
    FROM series AS s
    INNER JOIN latest AS l ON l.series_id = s.series_id
    WHERE s.device_id = d.device_id
) AS seen ON true
CROSS JOIN LATERAL (SELECT greatest(d.commit_seq, told.commit_seq) AS commit_seq) AS changed;
