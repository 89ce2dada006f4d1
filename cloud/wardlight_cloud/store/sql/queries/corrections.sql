-- Statements about readings that were sent before. All of it runs under the commit lock.

-- name: known_corrections
-- Those of these statements that came before, with the value that they told.
SELECT k.place, c.mantissa, c.scale, c.absent
FROM unnest($1::int[], $2::text[], $3::int[]) WITH ORDINALITY AS k (series_id, device_time, ord, place)
INNER JOIN correction AS c USING (series_id, device_time, ord)

-- name: series_alike
-- Series of the same metric of the same device, user and site, in whatever unit.
SELECT own.series_id, s.series_id AS alike
FROM unnest($1::int[]) AS k (series_id)
INNER JOIN series AS own USING (series_id)
INNER JOIN series AS s
    ON s.device_id = own.device_id AND s.metric = own.metric
    AND s.user_index IS NOT DISTINCT FROM own.user_index
    AND s.site IS NOT DISTINCT FROM own.site
WHERE NOT s.is_panel

-- name: held_places
-- The statements that hold at these places.
SELECT
    p.series_id, p.device_time, p.repeat, p.is_awaited, p.correction_id, c.status, c.gateway_id,
    c.epoch, c.seq
FROM unnest($1::int[], $2::text[], $3::smallint[]) AS k (series_id, device_time, repeat)
INNER JOIN corrected_place AS p USING (series_id, device_time, repeat)
INNER JOIN correction AS c USING (correction_id)

-- name: standing_readings
-- What stands of these series at these moments. One moment may have been timed differently when it
-- was told again, by less than a day; $4 and $5 are the least and greatest time, for pruning. $6:
-- flags that keep a row out.
SELECT
    k.place, (extract(epoch FROM r.time) * 1000000)::bigint AS time_us, r.mantissa, r.flags,
    r.series_id, r.ord, r.error_ms, r.gateway_id, r.scale, r.absent, r.offset_min, r.clock, d.skew_s
FROM unnest($1::int[], $2::bigint[], $3::text[])
    WITH ORDINALITY AS k (series_id, time_us, device_time, place)
INNER JOIN reading_detail AS d
    ON d.series_id = k.series_id
    AND d.time BETWEEN instant(k.time_us) - interval '1 day' AND instant(k.time_us) + interval '1 day'
    AND d.device_time = k.device_time
CROSS JOIN LATERAL (
    SELECT *
    FROM reading
    WHERE
        series_id = d.series_id AND time = d.time AND ord = d.ord AND (flags & $6) = 0
        AND time BETWEEN instant($4) - interval '1 day' AND instant($5) + interval '1 day'
    LIMIT 1
) AS r
ORDER BY k.place, r.time, r.ord

-- name: superseded_before
-- Places of values that came before and were taken out.
SELECT k.place
FROM unnest($1::int[], $2::text[], $3::int[]) WITH ORDINALITY AS k (series_id, device_time, ord, place)
WHERE EXISTS (
    SELECT FROM superseded AS s
    WHERE s.series_id = k.series_id AND s.device_time = k.device_time AND s.ord = k.ord
)

-- name: add_corrections
INSERT INTO correction (
    commit_seq, epoch, seq, time, mantissa, flags, gateway_id, series_id, ord, error_ms, scale,
    absent, offset_min, clock, device_time, status, detail
)
SELECT
    $1, epoch, seq, instant(time_us), mantissa, flags, gateway_id, series_id, ord, error_ms, scale,
    absent, offset_min, clock, device_time, status, detail::jsonb
FROM unnest(
    $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int[], $8::int[],
    $9::int[], $10::int[], $11::smallint[], $12::smallint[], $13::smallint[], $14::smallint[],
    $15::text[], $16::text[], $17::text[]
) WITH ORDINALITY AS k (
    epoch, seq, time_us, mantissa, flags, gateway_id, series_id, ord, error_ms, scale, absent,
    offset_min, clock, device_time, status, detail, place
)
ORDER BY place
RETURNING correction_id, series_id, device_time, ord

-- name: hold_places
INSERT INTO corrected_place AS p (series_id, device_time, repeat, correction_id, is_awaited)
SELECT * FROM unnest($1::int[], $2::text[], $3::smallint[], $4::bigint[], $5::boolean[])
ON CONFLICT (series_id, device_time, repeat) DO UPDATE
SET correction_id = excluded.correction_id, is_awaited = excluded.is_awaited

-- name: end_waiting
UPDATE corrected_place SET is_awaited = false WHERE correction_id = ANY($1::bigint[]) AND is_awaited

-- name: supersede_readings
-- Take rows out by commit $1, and keep all but the marks of withdrawals ($8). $6 and $7 prune
-- partitions.
WITH chosen AS (
    SELECT series_id, instant(time_us) AS time, ord, correction_id
    FROM unnest($2::int[], $3::bigint[], $4::int[], $5::bigint[])
        AS k (series_id, time_us, ord, correction_id)
),
told AS (
    DELETE FROM reading_detail AS d
    USING chosen AS k
    WHERE d.series_id = k.series_id AND d.time = k.time AND d.ord = k.ord
    RETURNING d.*
),
gone AS (
    DELETE FROM reading AS r
    USING chosen AS k
    WHERE
        r.series_id = k.series_id AND r.time = k.time AND r.ord = k.ord
        AND r.series_id = ANY($2::int[]) AND r.time BETWEEN instant($6) AND instant($7)
    RETURNING r.*, k.correction_id
),
days AS (
    UPDATE series_day AS d SET commit_seq = $1
    FROM (SELECT DISTINCT series_id, (time AT TIME ZONE 'UTC')::date AS day FROM gone) AS k
    WHERE d.series_id = k.series_id AND d.day = k.day
)
INSERT INTO superseded (
    correction_id, superseded_seq, time, commit_seq, mantissa, flags, series_id, ord, error_ms,
    gateway_id, scale, absent, offset_min, clock, raw_scale, raw_mantissa, skew_s, device_time,
    context
)
SELECT
    g.correction_id, $1, g.time, g.commit_seq, g.mantissa, g.flags, g.series_id, g.ord, g.error_ms,
    g.gateway_id, g.scale, g.absent, g.offset_min, g.clock, t.raw_scale, t.raw_mantissa, t.skew_s,
    t.device_time, t.context
FROM gone AS g
LEFT JOIN told AS t ON t.series_id = g.series_id AND t.time = g.time AND t.ord = g.ord
WHERE (g.flags & $8) = 0

-- name: mark_corrections
-- Hours and days of the rows that this commit ($1) put in the place of others.
WITH put AS (
    SELECT series_id, instant(time_us) AS time
    FROM unnest($2::int[], $3::bigint[]) AS k (series_id, time_us)
),
days AS (
    INSERT INTO series_day AS d (series_id, day, readings, commit_seq)
    SELECT series_id, (time AT TIME ZONE 'UTC')::date, count(*), $1 FROM put GROUP BY 1, 2
    ON CONFLICT (series_id, day) DO UPDATE
    SET readings = d.readings + excluded.readings, commit_seq = excluded.commit_seq
)
INSERT INTO series_commit AS c (series_id, commit_seq, bucket, first_time, last_time, readings)
SELECT series_id, $1, date_bin('1 hour', time, 'epoch'), min(time), max(time), count(*)
FROM put
GROUP BY 1, 3
ON CONFLICT (series_id, commit_seq, bucket) DO UPDATE
SET
    first_time = least(c.first_time, excluded.first_time),
    last_time = greatest(c.last_time, excluded.last_time),
    readings = c.readings + excluded.readings

-- name: refresh_latest
-- The newest reading of series $2 that changed at times up to $3, by commit $1: one that was not
-- withdrawn ($5) if there is any. $4: flags that keep a row out.
WITH affected AS (
    SELECT k.series_id
    FROM unnest($2::int[], $3::bigint[]) AS k (series_id, time_us)
    LEFT JOIN latest AS l USING (series_id)
    WHERE l.series_id IS NULL OR l.time <= instant(k.time_us) OR (l.flags & $5) <> 0
),
newest AS MATERIALIZED (
    SELECT r.*
    FROM affected AS a
    CROSS JOIN LATERAL (
        SELECT *
        FROM (
            (
                SELECT 0 AS rank, * FROM reading
                WHERE series_id = a.series_id AND (flags & ($4::bigint | $5::bigint)) = 0
                ORDER BY time DESC, ord DESC LIMIT 1
            )
            UNION ALL
            (
                SELECT 1 AS rank, * FROM reading
                WHERE series_id = a.series_id AND (flags & $4) = 0
                ORDER BY time DESC, ord DESC LIMIT 1
            )
        ) AS either
        ORDER BY rank
        LIMIT 1
    ) AS r
),
emptied AS (
    DELETE FROM latest
    WHERE
        series_id IN (SELECT series_id FROM affected)
        AND series_id NOT IN (SELECT series_id FROM newest)
)
INSERT INTO latest AS l
    (series_id, time, stored_at, commit_seq, mantissa, flags, ord, error_ms, scale, absent)
SELECT
    n.series_id, n.time, c.stored_at, $1, n.mantissa, n.flags, n.ord, n.error_ms, n.scale, n.absent
FROM newest AS n
INNER JOIN commit_log AS c USING (commit_seq)
ON CONFLICT (series_id) DO UPDATE
SET
    time = excluded.time,
    stored_at = excluded.stored_at,
    commit_seq = excluded.commit_seq,
    mantissa = excluded.mantissa,
    flags = excluded.flags,
    ord = excluded.ord,
    error_ms = excluded.error_ms,
    scale = excluded.scale,
    absent = excluded.absent
WHERE
    (l.time, l.ord, l.mantissa, l.flags, l.scale, l.absent)
    IS DISTINCT FROM
    (excluded.time, excluded.ord, excluded.mantissa, excluded.flags, excluded.scale, excluded.absent)
