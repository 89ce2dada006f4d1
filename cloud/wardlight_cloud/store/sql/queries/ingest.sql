-- Statements of the ingest transaction, in the order in which it runs them.
-- Before take_commit(): only what no other writer waits for while it holds the commit lock.

-- name: lock_ledgers
-- Known seqs within [first, last] of each ledger; rows are locked in key order.
SELECT l.gateway_id, l.epoch, (l.stored + l.rejected) * int8multirange(int8range(k.first, k.last, '[]')) AS known
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[]) AS k (gateway_id, epoch, first, last)
INNER JOIN ledger AS l USING (gateway_id, epoch)
ORDER BY l.gateway_id, l.epoch
FOR UPDATE OF l

-- name: remember_events
-- Returns those that are new, and whether a copy of them is in quarantine.
WITH added AS (
    INSERT INTO event_seen (event_id, seen_at)
    SELECT event_id, now() FROM unnest($1::bytea[]) AS event_id ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING event_id
)
SELECT
    event_id,
    EXISTS (SELECT FROM quarantine AS q WHERE q.event_id = added.event_id AND q.is_open) AS is_aside
FROM added

-- name: forget_events
-- Of events that left nothing but lines in quarantine: a later copy is taken.
DELETE FROM event_seen WHERE event_id = ANY($1::bytea[])

-- name: events_aside
SELECT q.event_id, q.gateway_id, q.epoch, q.seq, q.series_id, q.mantissa, q.scale, q.absent
FROM quarantine AS q
WHERE q.event_id = ANY($1::bytea[])

-- name: supersede_events
WITH closed AS (
    UPDATE quarantine SET is_open = false
    WHERE event_id = ANY($1::bytea[]) AND is_open
    RETURNING quarantine_id
)
INSERT INTO quarantine_decision (quarantine_id, decision, decided_by, reason, commit_seq)
SELECT quarantine_id, 'superseded', 'collector', 'another copy of the event came', $2
FROM closed

-- name: settle
-- kind: 0 stored, 1 rejected, 2 removed
UPDATE ledger AS l
SET
    stored = l.stored + n.stored,
    rejected = l.rejected + n.rejected,
    removed = l.removed + n.removed,
    recorded = greatest(l.recorded, n.recorded),
    updated_at = clock_timestamp()
FROM (
    SELECT
        gateway_id,
        epoch,
        coalesce(range_agg(int8range(first, last, '[]')) FILTER (WHERE kind = 0), '{}') AS stored,
        coalesce(range_agg(int8range(first, last, '[]')) FILTER (WHERE kind = 1), '{}') AS rejected,
        coalesce(range_agg(int8range(first, last, '[]')) FILTER (WHERE kind = 2), '{}') AS removed,
        max(last) FILTER (WHERE kind < 2) AS recorded
    FROM unnest($1::int[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[])
        AS k (gateway_id, epoch, kind, first, last)
    GROUP BY gateway_id, epoch
) AS n
WHERE l.gateway_id = n.gateway_id AND l.epoch = n.epoch
RETURNING
    l.gateway_id, l.epoch, l.stored + l.rejected + l.removed AS settled,
    NOT isempty(l.rejected) AS has_rejected

-- name: ledger_states
SELECT gateway_id, epoch, stored + rejected + removed AS settled, NOT isempty(rejected) AS has_rejected
FROM unnest($1::int[], $2::bigint[]) AS k (gateway_id, epoch)
INNER JOIN ledger USING (gateway_id, epoch)

-- name: open_rejections
SELECT gateway_id, epoch, seq, reason
FROM unnest($1::int[], $2::bigint[]) AS k (gateway_id, epoch)
INNER JOIN dead_letter USING (gateway_id, epoch)
WHERE released_at IS NULL
ORDER BY gateway_id, epoch, seq

-- name: add_dead_letters
INSERT INTO dead_letter (gateway_id, epoch, seq, reason, body)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[])
ON CONFLICT (gateway_id, epoch, seq) DO NOTHING

-- name: add_gaps
INSERT INTO gap (gateway_id, epoch, seq, started_at, ended_at, device, cause, readings, is_removal)
SELECT gateway_id, epoch, seq, instant(start_us), instant(end_us), device, cause, readings, is_removal
FROM unnest(
    $1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
    $8::bigint[], $9::boolean[]
) AS k (gateway_id, epoch, seq, start_us, end_us, device, cause, readings, is_removal)

-- name: add_removals
INSERT INTO removal AS r (gateway_id, epoch, cause, seqs)
SELECT gateway_id, epoch, cause, range_agg(int8range(first, last, '[]'))
FROM unnest($1::int[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
    AS k (gateway_id, epoch, cause, first, last)
GROUP BY gateway_id, epoch, cause
ORDER BY gateway_id, epoch, cause
ON CONFLICT (gateway_id, epoch, cause) DO UPDATE SET seqs = r.seqs + excluded.seqs

-- name: add_statuses
INSERT INTO status (gateway_id, epoch, seq, time, device_id, name, data)
SELECT gateway_id, epoch, seq, instant(time_us), device_id, name, data::jsonb
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::text[])
    AS k (gateway_id, epoch, seq, time_us, device_id, name, data)

-- name: add_quarantined
INSERT INTO quarantine (
    gateway_id, epoch, seq, series_id, time_us, ord, mantissa, scale, absent, reason, body,
    event_id, flags, error_ms, offset_min, clock, detail
)
SELECT
    gateway_id, epoch, seq, series_id, time_us, ord, mantissa, scale, absent, reason, body,
    event_id, flags, error_ms, offset_min, clock, detail::jsonb
FROM unnest(
    $1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::bigint[], $6::int[], $7::bigint[],
    $8::smallint[], $9::smallint[], $10::text[], $11::bytea[], $12::bytea[], $13::bigint[],
    $14::int[], $15::smallint[], $16::smallint[], $17::text[]
) AS k (
    gateway_id, epoch, seq, series_id, time_us, ord, mantissa, scale, absent, reason, body,
    event_id, flags, error_ms, offset_min, clock, detail
)

-- name: take_commit
SELECT commit_seq, stored_at FROM take_commit()

-- name: newest_commit
SELECT coalesce((SELECT commit_seq FROM commit_log ORDER BY commit_seq DESC LIMIT 1), 0)

-- name: existing_readings
-- Stored rows with these keys; $4 and $5 are the least and greatest time, for pruning. Then the
-- values that stood at keys that are taken, until others took their place.
WITH sent AS (
    SELECT *
    FROM unnest($1::int[], $2::bigint[], $3::int[])
        WITH ORDINALITY AS k (series_id, time_us, ord, place)
),
stored AS (
    SELECT k.place, r.mantissa, r.scale, r.absent
    FROM sent AS k
    CROSS JOIN LATERAL (
        SELECT mantissa, scale, absent
        FROM reading
        WHERE
            series_id = k.series_id AND time = instant(k.time_us) AND ord = k.ord
            AND time BETWEEN instant($4) AND instant($5)
        LIMIT 1
    ) AS r
)
SELECT * FROM stored
UNION ALL
SELECT k.place, s.mantissa, s.scale, s.absent
FROM stored
INNER JOIN sent AS k USING (place)
INNER JOIN superseded AS s
    ON s.series_id = k.series_id AND s.time = instant(k.time_us) AND s.ord = k.ord

-- name: insert_readings
-- For servers without COPY; the columns stand in the table's order.
INSERT INTO reading
SELECT
    instant(time_us), $1, mantissa, flags, series_id, ord, error_ms, gateway_id, scale, absent,
    offset_min, clock
FROM unnest(
    $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::int[], $8::int[],
    $9::smallint[], $10::smallint[], $11::smallint[], $12::smallint[]
) AS k (
    time_us, mantissa, flags, series_id, ord, error_ms, gateway_id, scale, absent, offset_min, clock
)

-- name: add_details
INSERT INTO reading_detail
    (series_id, time, ord, raw_scale, raw_mantissa, skew_s, device_time, context)
SELECT
    series_id, instant(time_us), ord, raw_scale, raw_mantissa, skew_s, device_time, context::jsonb
FROM unnest(
    $1::int[], $2::bigint[], $3::int[], $4::smallint[], $5::bigint[], $6::bigint[], $7::text[],
    $8::text[]
) AS k (series_id, time_us, ord, raw_scale, raw_mantissa, skew_s, device_time, context)
ON CONFLICT DO NOTHING

-- name: add_waveforms
-- Returns the places of blocks whose key is taken, and whether the stored samples are the same.
WITH sent AS (
    SELECT *
    FROM unnest(
        $1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::smallint[],
        $8::bytea[]
    ) WITH ORDINALITY AS k (
        series_id, time_us, rate_mhz, origin, gateway_id, error_ms, scale, samples, place
    )
),
stored AS (
    INSERT INTO waveform
        (series_id, time, commit_seq, rate_mhz, origin, gateway_id, error_ms, scale, samples)
    SELECT
        series_id, instant(time_us), $9, rate_mhz, origin, gateway_id, error_ms, scale, samples
    FROM sent
    ORDER BY series_id, time_us, place
    ON CONFLICT DO NOTHING
    RETURNING series_id, time, rate_mhz, origin, scale, samples
)
SELECT
    sent.place,
    (sent.rate_mhz, sent.origin, sent.scale, sent.samples)
    IS NOT DISTINCT FROM (known.rate_mhz, known.origin, known.scale, known.samples) AS is_same
FROM sent
INNER JOIN waveform AS known
    ON known.series_id = sent.series_id AND known.time = instant(sent.time_us)

-- name: tell_devices
INSERT INTO device_told AS t (device_id, name, data, time, commit_seq)
SELECT device_id, name, data::jsonb, instant(time_us), $5
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS k (device_id, name, data, time_us)
ORDER BY device_id, name
ON CONFLICT (device_id, name) DO UPDATE
SET
    data = excluded.data,
    time = excluded.time,
    commit_seq = CASE WHEN t.data = excluded.data THEN t.commit_seq ELSE excluded.commit_seq END
WHERE excluded.time > t.time

-- name: mark_series
-- Newest reading, days and hours of each series that this commit ($1, stored at $2) touched. A
-- withdrawal (17179869184) is the newest only as long as there is nothing else. Returns the series
-- of which readings were corrected before those came that the correction is about, perhaps.
WITH newest AS (
    INSERT INTO latest AS l
        (series_id, time, stored_at, commit_seq, mantissa, flags, ord, error_ms, scale, absent)
    SELECT series_id, instant(time_us), $2, $1, mantissa, flags, ord, error_ms, scale, absent
    FROM unnest(
        $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int[], $8::int[], $9::smallint[],
        $10::smallint[]
    ) AS k (series_id, time_us, mantissa, flags, ord, error_ms, scale, absent)
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
    WHERE (l.time, l.ord) < (excluded.time, excluded.ord) OR (l.flags & 17179869184) <> 0
),
days AS (
    INSERT INTO series_day AS d (series_id, day, readings, commit_seq)
    SELECT series_id, date '1970-01-01' + day, readings, $1
    FROM unnest($11::int[], $12::int[], $13::bigint[]) AS k (series_id, day, readings)
    ON CONFLICT (series_id, day) DO UPDATE
    SET readings = d.readings + excluded.readings, commit_seq = excluded.commit_seq
),
hours AS (
    INSERT INTO series_commit (series_id, commit_seq, bucket, first_time, last_time, readings)
    SELECT series_id, $1, instant(bucket_us), instant(first_us), instant(last_us), readings
    FROM unnest($14::int[], $15::bigint[], $16::bigint[], $17::bigint[], $18::int[])
        AS k (series_id, bucket_us, first_us, last_us, readings)
)
SELECT k.series_id
FROM unnest($3::int[]) AS k (series_id)
WHERE EXISTS (SELECT FROM corrected_place AS p WHERE p.series_id = k.series_id)
