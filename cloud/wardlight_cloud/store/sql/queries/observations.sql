-- Observations: which series may answer (spans), where they have rows (days, commits), the rows.

-- name: spans_of_patients
SELECT * FROM assigned_series WHERE patient_id = ANY($1::uuid[])

-- name: spans_of_devices
SELECT * FROM assigned_series WHERE device_id = ANY($1::uuid[])

-- name: spans_of_anchors
SELECT a.*
FROM (
    SELECT series_id FROM series WHERE series_id = ANY($1::int[])
    UNION ALL
    SELECT series_id FROM series WHERE panel_series_id = ANY($1::int[])
) AS s
INNER JOIN assigned_series AS a USING (series_id)

-- name: spans
SELECT * FROM assigned_series

-- name: commits_between
-- The first commit stored at or after $1 and the last one stored at or before $2.
SELECT
    (
        SELECT commit_seq FROM commit_log WHERE stored_at >= $1
        ORDER BY stored_at, commit_seq LIMIT 1
    ) AS first,
    (
        SELECT commit_seq FROM commit_log WHERE stored_at <= $2
        ORDER BY stored_at DESC, commit_seq DESC LIMIT 1
    ) AS last

-- name: days_backward
-- Days on which these series have rows, newest first: at most $4 a series.
SELECT d.day, sum(d.readings)::bigint AS readings
FROM unnest($1::int[]) AS k (series_id)
CROSS JOIN LATERAL (
    SELECT day, readings FROM series_day
    WHERE series_id = k.series_id AND day BETWEEN $2 AND $3
    ORDER BY day DESC LIMIT $4
) AS d
GROUP BY d.day
ORDER BY d.day DESC

-- name: days_forward
SELECT d.day, sum(d.readings)::bigint AS readings
FROM unnest($1::int[]) AS k (series_id)
CROSS JOIN LATERAL (
    SELECT day, readings FROM series_day
    WHERE series_id = k.series_id AND day BETWEEN $2 AND $3
    ORDER BY day LIMIT $4
) AS d
GROUP BY d.day
ORDER BY d.day

-- name: commits_of_series
-- What commits from $4 to $5 brought to these series, in commit order; a span's own rows begin
-- above its assignment.
SELECT k.place, c.commit_seq, c.first_time, c.last_time, c.readings
FROM unnest($1::int[], $2::bigint[]) WITH ORDINALITY AS k (series_id, assigned_seq, place)
CROSS JOIN LATERAL (
    SELECT commit_seq, first_time, last_time, readings
    FROM series_commit
    WHERE
        series_id = k.series_id AND commit_seq > k.assigned_seq
        AND commit_seq BETWEEN $4 AND $5
    ORDER BY commit_seq
    LIMIT $3
) AS c
ORDER BY c.commit_seq
LIMIT $3

-- name: stored_before
-- Places of series that had clinical rows before they were assigned.
SELECT k.place
FROM unnest($1::int[], $2::bigint[]) WITH ORDINALITY AS k (series_id, assigned_seq, place)
WHERE EXISTS (
    SELECT FROM series_commit AS c
    WHERE c.series_id = k.series_id AND c.commit_seq <= k.assigned_seq
)

-- name: commits
-- The same for all series, where there are too many to name them.
SELECT series_id, commit_seq, first_time, last_time, readings
FROM series_commit
WHERE commit_seq BETWEEN $2 AND $3
ORDER BY commit_seq, series_id, bucket
LIMIT $1

-- name: scan_forward
-- Rows of spans in the order (position, time, anchor, ord), after the cursor $11 to $14. $8 and $9
-- bound the window and prune partitions. $10: flags that keep a row out. One record comes back:
-- the readings packed as gathering.py unpacks them (a driver's object for each column of each row
-- takes longer than the search itself), and what their series have in details over the same time.
WITH page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM unnest(
        $1::text::int[], $2::text::int[], $3::text::bigint[], $4::text::bigint[],
        $5::text::bigint[], $6::text::timestamptz[], $7::text::timestamptz[]
    ) WITH ORDINALITY AS k (series_id, anchor, position, first_seq, last_seq, lo, hi, place)
    CROSS JOIN LATERAL (
        SELECT
            time, ord, commit_seq, mantissa, flags, error_ms, gateway_id, scale, absent,
            offset_min, clock
        FROM reading
        WHERE
            series_id = k.series_id
            AND time >= $8 AND time < $9 AND time >= k.lo AND time < k.hi
            AND commit_seq BETWEEN k.first_seq AND k.last_seq
            AND (flags & $10) = 0
            AND (k.position, time, k.anchor, ord) > ($11::bigint, $12::timestamptz, $13::int, $14::int)
        ORDER BY time, ord
        LIMIT $15
    ) AS found
    ORDER BY k.position, found.time, k.anchor, found.ord, k.place
    LIMIT $16
)
SELECT
    (
        SELECT string_agg(
            timestamptz_send(time) || int8send(commit_seq) || int8send(mantissa)
            || int8send((ord::bigint << 32) | place) || int8send(flags)
            || int8send((error_ms::bigint << 32) | gateway_id)
            || int8send(
                (scale::bigint << 48) | ((absent::bigint & 65535) << 32)
                | ((offset_min::bigint & 65535) << 16) | (clock::bigint & 65535)
            ),
            ''
        )
        FROM page
    ) AS readings,
    details.*
FROM (
    SELECT
        string_agg(int8send((k.place << 32) | d.ord) || timestamptz_send(d.time), '') AS detailed,
        array_agg(d.raw_mantissa) AS raw_mantissas,
        array_agg(d.raw_scale) AS raw_scales,
        array_agg(d.device_time) AS device_times,
        array_agg(d.context::text) AS contexts
    FROM (SELECT min(time) AS first, max(time) AS last FROM page) AS b
    CROSS JOIN unnest($1::text::int[], $6::text::timestamptz[], $7::text::timestamptz[])
        WITH ORDINALITY AS k (series_id, lo, hi, place)
    CROSS JOIN LATERAL (
        SELECT time, ord, raw_mantissa, raw_scale, device_time, context
        FROM reading_detail
        WHERE
            series_id = k.series_id
            AND time BETWEEN greatest(k.lo, b.first) AND least(k.hi, b.last)
    ) AS d
) AS details

-- name: scan_backward
-- The same the other way round.
WITH page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM unnest(
        $1::text::int[], $2::text::int[], $3::text::bigint[], $4::text::bigint[],
        $5::text::bigint[], $6::text::timestamptz[], $7::text::timestamptz[]
    ) WITH ORDINALITY AS k (series_id, anchor, position, first_seq, last_seq, lo, hi, place)
    CROSS JOIN LATERAL (
        SELECT
            time, ord, commit_seq, mantissa, flags, error_ms, gateway_id, scale, absent,
            offset_min, clock
        FROM reading
        WHERE
            series_id = k.series_id
            AND time >= $8 AND time < $9 AND time >= k.lo AND time < k.hi
            AND commit_seq BETWEEN k.first_seq AND k.last_seq
            AND (flags & $10) = 0
            AND (k.position, time, k.anchor, ord) < ($11::bigint, $12::timestamptz, $13::int, $14::int)
        ORDER BY time DESC, ord DESC
        LIMIT $15
    ) AS found
    ORDER BY k.position DESC, found.time DESC, k.anchor DESC, found.ord DESC, k.place
    LIMIT $16
)
SELECT
    (
        SELECT string_agg(
            timestamptz_send(time) || int8send(commit_seq) || int8send(mantissa)
            || int8send((ord::bigint << 32) | place) || int8send(flags)
            || int8send((error_ms::bigint << 32) | gateway_id)
            || int8send(
                (scale::bigint << 48) | ((absent::bigint & 65535) << 32)
                | ((offset_min::bigint & 65535) << 16) | (clock::bigint & 65535)
            ),
            ''
        )
        FROM page
    ) AS readings,
    details.*
FROM (
    SELECT
        string_agg(int8send((k.place << 32) | d.ord) || timestamptz_send(d.time), '') AS detailed,
        array_agg(d.raw_mantissa) AS raw_mantissas,
        array_agg(d.raw_scale) AS raw_scales,
        array_agg(d.device_time) AS device_times,
        array_agg(d.context::text) AS contexts
    FROM (SELECT min(time) AS first, max(time) AS last FROM page) AS b
    CROSS JOIN unnest($1::text::int[], $6::text::timestamptz[], $7::text::timestamptz[])
        WITH ORDINALITY AS k (series_id, lo, hi, place)
    CROSS JOIN LATERAL (
        SELECT time, ord, raw_mantissa, raw_scale, device_time, context
        FROM reading_detail
        WHERE
            series_id = k.series_id
            AND time BETWEEN greatest(k.lo, b.first) AND least(k.hi, b.last)
    ) AS d
) AS details

-- name: count
-- Observations of spans within [$7, $8): rows at one (time, ord) of an anchor are one. $6: whether a
-- span is asked for, or only has a part in the commit of its panel, which lies within [$10, $11].
SELECT count(*)
FROM (
    SELECT
    FROM unnest(
        $1::int[], $2::int[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::boolean[]
    ) AS k (series_id, anchor, assigned_seq, lo, hi, is_asked_for)
    CROSS JOIN LATERAL (
        SELECT time, ord, commit_seq
        FROM reading
        WHERE
            series_id = k.series_id
            AND time >= $7 AND time < $8 AND time >= k.lo AND time < k.hi
            AND (flags & $9) = 0
    ) AS r
    GROUP BY k.anchor, r.time, r.ord
    HAVING
        bool_or(k.is_asked_for)
        AND max(greatest(r.commit_seq, k.assigned_seq)) BETWEEN $10 AND $11
) AS observation

-- name: components
-- All components at the keys (time, ord) of panels.
SELECT k.place, s.metric, s.unit, r.mantissa, r.scale, r.absent, r.flags, r.commit_seq
FROM unnest($1::int[], $2::timestamptz[], $3::int[]) WITH ORDINALITY
    AS k (anchor, time, ord, place)
INNER JOIN series AS s ON s.panel_series_id = k.anchor
CROSS JOIN LATERAL (
    SELECT mantissa, scale, absent, flags, commit_seq
    FROM reading
    WHERE
        series_id = s.series_id AND time = k.time AND ord = k.ord
        AND time BETWEEN $4 AND $5 AND (flags & $6) = 0
    LIMIT 1
) AS r
ORDER BY k.place, s.metric

-- name: stored_at
SELECT commit_seq, stored_at FROM commit_log WHERE commit_seq = ANY($1::bigint[])

-- name: gateways
SELECT gateway_id, gateway FROM gateway WHERE gateway_id = ANY($1::int[])
