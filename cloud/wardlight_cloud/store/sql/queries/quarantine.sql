-- Readings kept aside and the decisions on them. Lines change under the commit lock alone.

-- name: quarantined
SELECT
    q.quarantine_id,
    g.gateway,
    q.epoch,
    q.seq,
    d.identity AS device,
    s.metric,
    s.unit,
    timestamptz 'epoch' + q.time_us * interval '1 microsecond' AS time,
    q.mantissa,
    q.scale,
    q.absent,
    q.body IS NOT NULL AS is_waveform,
    q.reason,
    q.stored_at,
    q.is_open
FROM quarantine AS q
INNER JOIN gateway AS g USING (gateway_id)
INNER JOIN series AS s USING (series_id)
INNER JOIN device AS d USING (device_id)
WHERE (q.is_open OR NOT $2::boolean) AND ($3::text IS NULL OR g.gateway = $3)
ORDER BY q.quarantine_id DESC
LIMIT $1

-- name: record_lines
-- All lines of the record that line $1 is of.
SELECT q.*
FROM quarantine AS k
INNER JOIN quarantine AS q USING (gateway_id, epoch, seq)
WHERE k.quarantine_id = $1
ORDER BY q.quarantine_id

-- name: lock_commits
-- The lock of take_commit(), without a commit: most often there is something to do, not always.
SELECT pg_advisory_xact_lock(5723, 1)

-- name: remember_event
INSERT INTO event_seen (event_id, seen_at) VALUES ($1, now())
ON CONFLICT DO NOTHING
RETURNING event_id

-- name: rows_at
-- What is stored of these series at these times; $3 and $4 are the least and greatest time.
SELECT k.series_id, k.time_us, r.ord, r.mantissa, r.scale, r.absent
FROM (
    SELECT DISTINCT series_id, time_us FROM unnest($1::int[], $2::bigint[]) AS u (series_id, time_us)
) AS k
CROSS JOIN LATERAL (
    SELECT ord, mantissa, scale, absent
    FROM reading
    WHERE
        series_id = k.series_id AND time = instant(k.time_us)
        AND time BETWEEN instant($3) AND instant($4)
) AS r

-- name: close_lines
UPDATE quarantine SET is_open = false WHERE quarantine_id = ANY($1::bigint[])

-- name: add_decisions
INSERT INTO quarantine_decision
    (quarantine_id, decision, decided_by, reason, commit_seq, time, ord)
SELECT quarantine_id, $1, $2, $3, $4, instant(time_us), ord
FROM unnest($5::bigint[], $6::bigint[], $7::int[]) AS k (quarantine_id, time_us, ord)
ON CONFLICT DO NOTHING

-- name: decisions
SELECT quarantine_id, decision AS verdict, decided_by, reason, decided_at, commit_seq, time, ord
FROM quarantine_decision
WHERE quarantine_id = ANY($1::bigint[])
ORDER BY quarantine_id, decided_at
