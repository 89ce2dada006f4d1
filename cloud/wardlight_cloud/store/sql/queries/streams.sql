-- Blocks of waveforms and averages of readings, each as one patient's.

-- part: wanted
-- NULL = no filter. $1 patients, $2 devices, $3 metrics, $4 and $5 [start, end), $6 and $7 series and
-- times of single ones, $8 and $9 time and series that the page is behind.
($1::uuid[] IS NULL OR a.patient_id = ANY($1))
AND ($2::uuid[] IS NULL OR a.device_id = ANY($2))
AND ($3::int[] IS NULL OR a.metric = ANY($3))
AND ($4::timestamptz IS NULL OR r.time >= $4)
AND ($5::timestamptz IS NULL OR r.time < $5)
AND ($6::int[] IS NULL OR (
    r.series_id = ANY($6) AND r.time = ANY($7::timestamptz[])
    AND (r.series_id, r.time) IN (SELECT * FROM unnest($6::int[], $7::timestamptz[]))
))
AND ($8::timestamptz IS NULL OR (r.time, r.series_id) < ($8, $9::int))
AND r.time >= a.valid_from AND (a.valid_to IS NULL OR r.ended_at <= a.valid_to)

-- name: waveforms
-- $11 and $12 [start, end) of when it was stored.
SELECT
    r.series_id, r.time, r.ended_at, r.rate_mhz, r.origin, r.scale, r.samples, r.error_ms,
    g.gateway, a.patient_id, a.device_id, a.metric, a.unit, c.commit_seq, c.stored_at
FROM assigned_series AS a
INNER JOIN (
    SELECT
        *, time + make_interval(secs => octet_length(samples) / 2 * 1000.0 / rate_mhz) AS ended_at
    FROM waveform
) AS r ON r.series_id = a.series_id
INNER JOIN gateway AS g ON g.gateway_id = r.gateway_id
INNER JOIN commit_log AS c ON c.commit_seq = greatest(r.commit_seq, a.assigned_seq)
WHERE
    {wanted}
    AND ($11::timestamptz IS NULL OR c.stored_at >= $11)
    AND ($12::timestamptz IS NULL OR c.stored_at < $12)
ORDER BY r.time DESC, r.series_id DESC
LIMIT $10

-- part: columns
r.series_id, r.time, r.ended_at, r.readings, r.absent, r.total, r.minimum, r.maximum,
a.patient_id, a.device_id, a.metric, a.unit, a.anchor

-- name: averages_by_minute
-- $11 metrics that are Observations, of a pressure the first side; $12 flags that keep a reading out,
-- $13 parts at most, $14 the metric of the other side.
SELECT p.*, parts.times, parts.ords, other.mean AS other_mean
FROM (
    SELECT {columns}
    FROM assigned_series AS a
    INNER JOIN (
        SELECT *, bucket AS time, bucket + interval '1 minute' AS ended_at FROM rollup_1m
    ) AS r ON r.series_id = a.series_id
    WHERE r.readings > 0 AND a.metric = ANY($11::int[]) AND {wanted}
    ORDER BY r.time DESC, r.series_id DESC
    LIMIT $10
) AS p
CROSS JOIN LATERAL (
    SELECT array_agg(k.time ORDER BY k.time, k.ord) AS times, array_agg(k.ord ORDER BY k.time, k.ord) AS ords
    FROM (
        SELECT time, ord FROM reading
        WHERE
            series_id = p.series_id AND time >= p.time AND time < p.ended_at
            AND absent = 0 AND (flags & $12::bigint) = 0
        ORDER BY time, ord
        LIMIT $13
    ) AS k
) AS parts
LEFT JOIN LATERAL (
    SELECT k.total / k.readings AS mean
    FROM series AS s
    INNER JOIN rollup_1m AS k ON k.series_id = s.series_id AND k.bucket = p.time
    WHERE
        s.panel_series_id = p.anchor AND p.anchor <> p.series_id
        AND s.metric = $14::int AND s.unit = p.unit AND k.readings > 0
    LIMIT 1
) AS other ON true
ORDER BY p.time DESC, p.series_id DESC

-- name: averages_by_hour
SELECT p.*, parts.times, NULL::int[] AS ords, other.mean AS other_mean
FROM (
    SELECT {columns}
    FROM assigned_series AS a
    INNER JOIN (
        SELECT *, bucket AS time, bucket + interval '1 hour' AS ended_at FROM rollup_1h
    ) AS r ON r.series_id = a.series_id
    WHERE r.readings > 0 AND a.metric = ANY($11::int[]) AND {wanted}
    ORDER BY r.time DESC, r.series_id DESC
    LIMIT $10
) AS p
CROSS JOIN LATERAL (
    SELECT array_agg(k.bucket ORDER BY k.bucket) AS times
    FROM rollup_1m AS k
    WHERE
        k.series_id = p.series_id AND k.bucket >= p.time AND k.bucket < p.ended_at
        AND k.readings > 0 AND $12::bigint IS NOT NULL AND $13::int IS NOT NULL
) AS parts
LEFT JOIN LATERAL (
    SELECT k.total / k.readings AS mean
    FROM series AS s
    INNER JOIN rollup_1h AS k ON k.series_id = s.series_id AND k.bucket = p.time
    WHERE
        s.panel_series_id = p.anchor AND p.anchor <> p.series_id
        AND s.metric = $14::int AND s.unit = p.unit AND k.readings > 0
    LIMIT 1
) AS other ON true
ORDER BY p.time DESC, p.series_id DESC
