-- Observations: which series may answer (spans), where they have rows (days, commits), the rows.

-- part: wanted
-- The assigned series that a search is about. NULL = no filter. $1 patients, $2
-- devices, $3 all that can be observed, $4 metrics of Observations, $5 those or their components',
-- $6 "metric unit" that are not asked for all the same, $7 anchors.
($1::uuid[] IS NULL OR a.patient_id = ANY($1))
AND ($2::uuid[] IS NULL OR a.device_id = ANY($2))
AND a.metric = ANY($3::int[])
AND ($4::int[] IS NULL OR a.observation_metric = ANY($4))
AND ($5::int[] IS NULL OR a.observation_metric = ANY($5) OR a.metric = ANY($5))
AND ($6::text[] IS NULL OR a.metric || ' ' || a.unit <> ALL($6))
AND ($7::int[] IS NULL OR a.anchor = ANY($7))

-- name: spans_of_patients
SELECT a.* FROM assigned_series AS a WHERE a.patient_id = ANY($1::uuid[]) AND {wanted}

-- name: spans_of_devices
SELECT a.* FROM assigned_series AS a WHERE a.device_id = ANY($2::uuid[]) AND {wanted}

-- name: spans_of_anchors
SELECT a.*
FROM (
    SELECT series_id FROM series WHERE series_id = ANY($7::int[])
    UNION ALL
    SELECT series_id FROM series WHERE panel_series_id = ANY($7::int[])
) AS s
INNER JOIN assigned_series AS a USING (series_id)
WHERE {wanted}

-- name: spans
SELECT a.* FROM assigned_series AS a WHERE {wanted}

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

-- name: commits_of_series_backward
-- The same, the latest commit first.
SELECT k.place, c.commit_seq, c.first_time, c.last_time, c.readings
FROM unnest($1::int[], $2::bigint[]) WITH ORDINALITY AS k (series_id, assigned_seq, place)
CROSS JOIN LATERAL (
    SELECT commit_seq, first_time, last_time, readings
    FROM series_commit
    WHERE
        series_id = k.series_id AND commit_seq > k.assigned_seq
        AND commit_seq BETWEEN $4 AND $5
    ORDER BY commit_seq DESC
    LIMIT $3
) AS c
ORDER BY c.commit_seq DESC
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

-- name: commits_backward
SELECT series_id, commit_seq, first_time, last_time, readings
FROM series_commit
WHERE commit_seq BETWEEN $2 AND $3
ORDER BY commit_seq DESC, series_id DESC, bucket DESC
LIMIT $1

-- part: stretches_given
-- Spans that the caller names, with the commits that count.
stretch AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::text::int[], $2::text::int[], $3::text::bigint[], $4::text::bigint[],
        $5::text::bigint[], $6::text::timestamptz[], $7::text::timestamptz[]
    ) WITH ORDINALITY AS k (series_id, anchor, position, first_seq, last_seq, lo, hi, place)
)

-- part: stretches_assigned
-- Columns of a stretch for an assigned series, all of whose commits count.
row_number() OVER () AS place, 0::bigint AS position, 0::bigint AS first_seq,
9223372036854775807 AS last_seq, greatest(a.valid_from, $8) AS lo,
least(coalesce(a.valid_to, 'infinity'), $9) AS hi, a.*

-- part: overlapping
-- An assignment that the window touches.
a.valid_from < $9 AND coalesce(a.valid_to, 'infinity') > $8

-- part: stretches_of_patients
stretch AS MATERIALIZED (
    SELECT {stretches_assigned}
    FROM assigned_series AS a
    WHERE a.patient_id = ANY($1::uuid[]) AND {overlapping} AND {wanted}
)

-- part: stretches_of_devices
stretch AS MATERIALIZED (
    SELECT {stretches_assigned}
    FROM assigned_series AS a
    WHERE a.device_id = ANY($2::uuid[]) AND {overlapping} AND {wanted}
)

-- part: rows_of_a_page
-- Rows that $15 Observations have, if all are as frequent; more than the widest has.
SELECT
    greatest(($15 * sum(width) + count(*) - 1) / nullif(count(*), 0), max(width) + 1)::bigint AS rows
FROM (SELECT count(*)::int AS width FROM stretch GROUP BY position, anchor) AS observed

-- part: page_forward
-- Rows of stretches in the order (position, time, anchor, ord), after the cursor $11
-- to $14. $8 and $9 bound the window and prune partitions. $10: flags that keep a row out.
page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM stretch AS k
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
        LIMIT $15::bigint
    ) AS found
    ORDER BY k.position, found.time, k.anchor, found.ord, k.place
    LIMIT (SELECT rows FROM most)
)

-- part: page_backward
-- The same the other way round.
page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM stretch AS k
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
        LIMIT $15::bigint
    ) AS found
    ORDER BY k.position DESC, found.time DESC, k.anchor DESC, found.ord DESC, k.place
    LIMIT (SELECT rows FROM most)
)

-- part: bounded
-- Present numbers between bounds that each stretch has for each scale from -12 to 6, mantissas both
-- of them; numbers of other scales are all taken. $16 and $17: 19 bounds a stretch, by place.
absent = 0
AND coalesce(mantissa >= ($16::bigint[])[(k.place - 1) * 19 + scale + 13], true)
AND coalesce(mantissa <= ($17::bigint[])[(k.place - 1) * 19 + scale + 13], true)

-- part: page_bounded_forward
page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM stretch AS k
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
            AND {bounded}
        ORDER BY time, ord
        LIMIT $15::bigint
    ) AS found
    ORDER BY k.position, found.time, k.anchor, found.ord, k.place
    LIMIT (SELECT rows FROM most)
)

-- part: page_bounded_backward
page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM stretch AS k
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
            AND {bounded}
        ORDER BY time DESC, ord DESC
        LIMIT $15::bigint
    ) AS found
    ORDER BY k.position DESC, found.time DESC, k.anchor DESC, found.ord DESC, k.place
    LIMIT (SELECT rows FROM most)
)

-- part: marked
-- With one of the flags $16, or a number that is missing for one of the reasons $17 (NULL = any).
(
    (flags & $16::bigint) <> 0
    OR CASE WHEN $17::smallint[] IS NULL THEN absent <> 0 ELSE absent = ANY($17) END
)

-- part: page_marked_forward
page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM stretch AS k
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
            AND {marked}
        ORDER BY time, ord
        LIMIT $15::bigint
    ) AS found
    ORDER BY k.position, found.time, k.anchor, found.ord, k.place
    LIMIT (SELECT rows FROM most)
)

-- part: page_marked_backward
page AS MATERIALIZED (
    SELECT k.place, found.*
    FROM stretch AS k
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
            AND {marked}
        ORDER BY time DESC, ord DESC
        LIMIT $15::bigint
    ) AS found
    ORDER BY k.position DESC, found.time DESC, k.anchor DESC, found.ord DESC, k.place
    LIMIT (SELECT rows FROM most)
)

-- part: packed
-- One record for the whole page. A driver's object for each column of each row takes
-- longer than the search itself; gathering.py knows the format. With it comes what the series have
-- in details over the same time; columns that are empty throughout are left out.
readings.*,
details.*,
most.rows AS most_rows

-- part: tables
-- Where ``packed`` comes from.
(
    SELECT
        array_send(array_agg(time)) AS times,
        array_send(array_agg(commit_seq)) AS commits,
        array_send(array_agg(mantissa)) AS mantissas,
        array_send(array_agg((ord::bigint << 32) | place)) AS ords_and_places,
        array_send(array_agg(flags)) AS flags,
        array_send(array_agg((error_ms::bigint << 32) | gateway_id)) AS errors_and_gateways,
        array_send(
            array_agg(
                (scale::bigint << 48) | ((absent::bigint & 65535) << 32)
                | ((offset_min::bigint & 65535) << 16) | (clock::bigint & 65535)
            )
        ) AS scales_and_clocks
    FROM page
) AS readings
CROSS JOIN (
    SELECT
        array_send(array_agg((d.ord::bigint << 32) | k.place)) AS detailed,
        array_send(array_agg(d.time)) AS detailed_times,
        array_agg(d.device_time) AS device_times,
        CASE WHEN count(d.raw_mantissa) > 0 THEN array_agg(d.raw_mantissa) END AS raw_mantissas,
        CASE WHEN count(d.raw_scale) > 0 THEN array_agg(d.raw_scale) END AS raw_scales,
        CASE WHEN count(d.context) > 0 THEN array_agg(d.context::text) END AS contexts
    FROM (SELECT min(time) AS first, max(time) AS last FROM page) AS b
    CROSS JOIN stretch AS k
    INNER JOIN reading_detail AS d
        ON
            d.series_id = k.series_id
            AND d.time BETWEEN greatest(k.lo, b.first) AND least(k.hi, b.last)
) AS details
CROSS JOIN most

-- part: tables_bounded
-- The same for a page with gaps: details of its rows alone, and of what else their panels have.
(
    SELECT
        array_send(array_agg(time)) AS times,
        array_send(array_agg(commit_seq)) AS commits,
        array_send(array_agg(mantissa)) AS mantissas,
        array_send(array_agg((ord::bigint << 32) | place)) AS ords_and_places,
        array_send(array_agg(flags)) AS flags,
        array_send(array_agg((error_ms::bigint << 32) | gateway_id)) AS errors_and_gateways,
        array_send(
            array_agg(
                (scale::bigint << 48) | ((absent::bigint & 65535) << 32)
                | ((offset_min::bigint & 65535) << 16) | (clock::bigint & 65535)
            )
        ) AS scales_and_clocks
    FROM page
) AS readings
CROSS JOIN (
    SELECT
        array_send(array_agg((d.ord::bigint << 32) | p.place)) AS detailed,
        array_send(array_agg(d.time)) AS detailed_times,
        array_agg(d.device_time) AS device_times,
        CASE WHEN count(d.raw_mantissa) > 0 THEN array_agg(d.raw_mantissa) END AS raw_mantissas,
        CASE WHEN count(d.raw_scale) > 0 THEN array_agg(d.raw_scale) END AS raw_scales,
        CASE WHEN count(d.context) > 0 THEN array_agg(d.context::text) END AS contexts
    FROM page AS p
    INNER JOIN stretch AS k USING (place)
    CROSS JOIN LATERAL (
        SELECT k.anchor AS series_id
        UNION ALL
        SELECT s.series_id FROM series AS s WHERE s.panel_series_id = k.anchor
    ) AS s
    INNER JOIN reading_detail AS d
        ON d.series_id = s.series_id AND d.time = p.time AND d.ord = p.ord
) AS details
CROSS JOIN most

-- part: spans_told
-- The assigned series as one record, each column in the order of the places that rows name.
CROSS JOIN (
    SELECT
        array_agg(patient_id ORDER BY place) AS patient_id,
        array_agg(device_id ORDER BY place) AS device_id,
        array_agg(lo ORDER BY place) AS valid_from,
        array_agg(hi ORDER BY place) AS valid_to,
        array_agg(assigned_seq ORDER BY place) AS assigned_seq,
        array_agg(series_id ORDER BY place) AS series_id,
        array_agg(anchor ORDER BY place) AS anchor,
        array_agg(metric ORDER BY place) AS metric,
        array_agg(observation_metric ORDER BY place) AS observation_metric,
        array_agg(unit ORDER BY place) AS unit,
        array_agg(user_index ORDER BY place) AS user_index,
        array_agg(site ORDER BY place) AS site,
        array_agg(raw_unit ORDER BY place) AS raw_unit
    FROM stretch
) AS spans

-- part: others
-- The newest commit of a stored Observation, out of the same snapshot.
(SELECT max(r.commit_seq) FROM resource AS r WHERE r.kind = 'Observation') AS others_seq

-- name: scan_forward
WITH {stretches_given}, most AS MATERIALIZED ({rows_of_a_page}), {page_forward}
SELECT {packed} FROM {tables}

-- name: scan_bounded_forward
WITH {stretches_given}, most AS MATERIALIZED ({rows_of_a_page}), {page_bounded_forward}
SELECT {packed} FROM {tables_bounded}

-- name: scan_marked_forward
WITH {stretches_given}, most AS MATERIALIZED ({rows_of_a_page}), {page_marked_forward}
SELECT {packed} FROM {tables_bounded}

-- name: scan_patients_forward
WITH {stretches_of_patients}, most AS MATERIALIZED ({rows_of_a_page}), {page_forward}
SELECT {packed}, {others}, spans.* FROM {tables} {spans_told}

-- name: scan_devices_forward
WITH {stretches_of_devices}, most AS MATERIALIZED ({rows_of_a_page}), {page_forward}
SELECT {packed}, {others}, spans.* FROM {tables} {spans_told}

-- name: scan_backward
WITH {stretches_given}, most AS MATERIALIZED ({rows_of_a_page}), {page_backward}
SELECT {packed} FROM {tables}

-- name: scan_bounded_backward
WITH {stretches_given}, most AS MATERIALIZED ({rows_of_a_page}), {page_bounded_backward}
SELECT {packed} FROM {tables_bounded}

-- name: scan_marked_backward
WITH {stretches_given}, most AS MATERIALIZED ({rows_of_a_page}), {page_marked_backward}
SELECT {packed} FROM {tables_bounded}

-- name: scan_patients_backward
WITH {stretches_of_patients}, most AS MATERIALIZED ({rows_of_a_page}), {page_backward}
SELECT {packed}, {others}, spans.* FROM {tables} {spans_told}

-- name: scan_devices_backward
WITH {stretches_of_devices}, most AS MATERIALIZED ({rows_of_a_page}), {page_backward}
SELECT {packed}, {others}, spans.* FROM {tables} {spans_told}

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

-- name: numbers
-- How often each number stands in spans within [$4, $5), those with flags $6 or the reason $7 left
-- out; the first $8 of them.
SELECT k.place, r.absent <> 0 AS absent, r.mantissa, r.scale, count(*) AS readings
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY
    AS k (series_id, lo, hi, place)
CROSS JOIN LATERAL (
    SELECT
        absent,
        CASE WHEN absent = 0 THEN mantissa END AS mantissa,
        CASE WHEN absent = 0 THEN scale END AS scale
    FROM reading
    WHERE
        series_id = k.series_id
        AND time >= $4 AND time < $5 AND time >= k.lo AND time < k.hi
        AND (flags & $6) = 0 AND absent <> $7
) AS r
GROUP BY k.place, r.absent <> 0, r.mantissa, r.scale
LIMIT $8

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

-- name: device_identities
SELECT device_id, identity FROM device WHERE device_id = ANY($1::uuid[])
