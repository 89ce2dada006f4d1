-- Observations by the time that their device told; only events have one.

-- name: told
-- $1 devices, $2 metrics of Observations, $3 times as they were told.
SELECT DISTINCT
    coalesce(s.panel_series_id, s.series_id) AS anchor,
    (extract(epoch FROM d.time) * 1000000)::bigint AS time_us, d.ord
FROM series AS s
INNER JOIN reading_detail AS d USING (series_id)
WHERE
    s.device_id = ANY($1::uuid[]) AND s.observation_metric = ANY($2::int[])
    AND d.device_time = ANY($3::text[])
LIMIT 100
