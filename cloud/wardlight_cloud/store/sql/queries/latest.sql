-- The newest reading of each series that belongs to a patient now, and curves of one series.

-- name: latest
-- A reading from before the assignment belongs to somebody else.
SELECT
    a.patient_id, l.series_id, a.device_id, a.metric, a.unit, a.user_index, l.time, l.stored_at,
    l.mantissa, l.scale, l.absent, l.flags, l.error_ms,
    greatest(l.commit_seq, a.assigned_seq) AS commit_seq
FROM assigned_series AS a
INNER JOIN latest AS l USING (series_id)
WHERE
    a.valid_from <= now() AND (a.valid_to IS NULL OR a.valid_to > now())
    AND l.time >= a.valid_from AND (a.valid_to IS NULL OR l.time < a.valid_to)
ORDER BY a.patient_id, l.series_id

-- name: latest_of_patients
SELECT
    a.patient_id, l.series_id, a.device_id, a.metric, a.unit, a.user_index, l.time, l.stored_at,
    l.mantissa, l.scale, l.absent, l.flags, l.error_ms,
    greatest(l.commit_seq, a.assigned_seq) AS commit_seq
FROM assigned_series AS a
INNER JOIN latest AS l USING (series_id)
WHERE
    a.patient_id = ANY($1::uuid[])
    AND a.valid_from <= now() AND (a.valid_to IS NULL OR a.valid_to > now())
    AND l.time >= a.valid_from AND (a.valid_to IS NULL OR l.time < a.valid_to)
ORDER BY a.patient_id, l.series_id

-- name: latest_since
-- What changed after commit $2, for patients $1 (null = all): readings, assignments, and
-- assignments that have begun since. Laterals, because a plan for any $2 expects a third of all.
WITH before AS (
    SELECT stored_at FROM commit_log WHERE commit_seq <= $2 ORDER BY commit_seq DESC LIMIT 1
),
touched AS MATERIALIZED (
    SELECT series_id FROM series_commit WHERE commit_seq > $2
    UNION
    SELECT s.series_id
    FROM (
        SELECT device_id FROM assignment WHERE commit_seq > $2
        UNION
        SELECT device_id FROM assignment
        WHERE valid_from > (SELECT stored_at FROM before) AND valid_from <= now()
    ) AS changed
    CROSS JOIN LATERAL (
        SELECT series_id FROM series WHERE device_id = changed.device_id OFFSET 0
    ) AS s
)
SELECT
    a.patient_id, l.series_id, a.device_id, a.metric, a.unit, a.user_index, l.time, l.stored_at,
    l.mantissa, l.scale, l.absent, l.flags, l.error_ms,
    greatest(l.commit_seq, a.assigned_seq) AS commit_seq
FROM touched AS t
CROSS JOIN LATERAL (SELECT * FROM latest WHERE series_id = t.series_id LIMIT 1) AS l
CROSS JOIN LATERAL (
    SELECT * FROM assigned_series
    WHERE
        series_id = t.series_id AND ($1::uuid[] IS NULL OR patient_id = ANY($1))
        AND valid_from <= now() AND (valid_to IS NULL OR valid_to > now())
    OFFSET 0
) AS a
WHERE
    l.time >= a.valid_from AND (a.valid_to IS NULL OR l.time < a.valid_to)
    AND (
        l.commit_seq > $2 OR a.assigned_seq > $2
        OR a.valid_from > (SELECT stored_at FROM before)
    )
ORDER BY a.patient_id, l.series_id

-- name: raw_points
-- A reading with a flag of $6 has no number, here and in the buckets.
SELECT time, absent <> 0 OR (flags & $6) <> 0 AS is_absent, drawn(mantissa, scale) AS value
FROM reading
WHERE series_id = $1 AND time >= $2 AND time < $3 AND (flags & $4) = 0
ORDER BY time, ord
LIMIT $5

-- name: points_by_minute
-- Buckets of $5 from minutes; an hour that changed since the last rebuild is read from its rows.
WITH dirty AS (
    SELECT DISTINCT c.bucket
    FROM series_commit AS c
    CROSS JOIN rollup_progress AS p
    WHERE
        c.series_id = $1 AND c.commit_seq >= p.commit_seq
        AND (c.commit_seq, c.series_id, c.bucket) > (p.commit_seq, p.series_id, p.bucket)
        AND c.last_time >= $2 AND c.first_time < $3
),
part AS (
    SELECT bucket AS time, readings, absent, total, minimum, maximum
    FROM rollup_1m
    WHERE
        series_id = $1 AND bucket >= date_trunc('minute', $2::timestamptz) AND bucket < $3
        AND date_trunc('hour', bucket) NOT IN (SELECT bucket FROM dirty)
    UNION ALL
    SELECT
        date_bin('1 minute', r.time, 'epoch'),
        count(*) FILTER (WHERE NOT r.is_absent),
        count(*) FILTER (WHERE r.is_absent),
        sum(drawn(r.mantissa, r.scale)) FILTER (WHERE NOT r.is_absent),
        min(drawn(r.mantissa, r.scale)) FILTER (WHERE NOT r.is_absent),
        max(drawn(r.mantissa, r.scale)) FILTER (WHERE NOT r.is_absent)
    FROM dirty AS d
    CROSS JOIN LATERAL (
        SELECT time, absent <> 0 OR (flags & $6) <> 0 AS is_absent, mantissa, scale
        FROM reading
        WHERE
            series_id = $1 AND time >= d.bucket AND time < d.bucket + interval '1 hour'
            AND time >= date_trunc('minute', $2::timestamptz)
            AND time < date_trunc('minute', $3::timestamptz + interval '59.999999 seconds')
            AND (flags & $4) = 0
    ) AS r
    GROUP BY 1
)
SELECT
    date_bin($5::interval, time, 'epoch') AS time,
    sum(readings)::bigint AS readings, sum(absent)::bigint AS absent,
    sum(total) AS total, min(minimum) AS minimum, max(maximum) AS maximum
FROM part
GROUP BY 1
ORDER BY 1

-- name: points_by_hour
-- The same from hours.
WITH dirty AS (
    SELECT DISTINCT c.bucket
    FROM series_commit AS c
    CROSS JOIN rollup_progress AS p
    WHERE
        c.series_id = $1 AND c.commit_seq >= p.commit_seq
        AND (c.commit_seq, c.series_id, c.bucket) > (p.commit_seq, p.series_id, p.bucket)
        AND c.last_time >= $2 AND c.first_time < $3
),
part AS (
    SELECT bucket AS time, readings, absent, total, minimum, maximum
    FROM rollup_1h
    WHERE
        series_id = $1 AND bucket >= date_trunc('hour', $2::timestamptz) AND bucket < $3
        AND bucket NOT IN (SELECT bucket FROM dirty)
    UNION ALL
    SELECT
        d.bucket,
        count(*) FILTER (WHERE NOT r.is_absent),
        count(*) FILTER (WHERE r.is_absent),
        sum(drawn(r.mantissa, r.scale)) FILTER (WHERE NOT r.is_absent),
        min(drawn(r.mantissa, r.scale)) FILTER (WHERE NOT r.is_absent),
        max(drawn(r.mantissa, r.scale)) FILTER (WHERE NOT r.is_absent)
    FROM dirty AS d
    CROSS JOIN LATERAL (
        SELECT absent <> 0 OR (flags & $6) <> 0 AS is_absent, mantissa, scale
        FROM reading
        WHERE
            series_id = $1 AND time >= d.bucket AND time < d.bucket + interval '1 hour'
            AND time >= date_trunc('hour', $2::timestamptz) AND time < $3::timestamptz + interval '1 hour'
            AND (flags & $4) = 0
    ) AS r
    GROUP BY 1
)
SELECT
    date_bin($5::interval, time, 'epoch') AS time,
    sum(readings)::bigint AS readings, sum(absent)::bigint AS absent,
    sum(total) AS total, min(minimum) AS minimum, max(maximum) AS maximum
FROM part
GROUP BY 1
ORDER BY 1
