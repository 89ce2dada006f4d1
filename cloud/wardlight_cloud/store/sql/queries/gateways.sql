-- Gateways and their ledgers, as the collector and the operator page see them.

-- name: ledger
SELECT l.stored + l.rejected + l.removed AS settled
FROM ledger AS l
INNER JOIN gateway AS g USING (gateway_id)
WHERE g.gateway = $1 AND l.epoch = $2

-- name: rejected
SELECT d.seq, d.reason
FROM dead_letter AS d
INNER JOIN gateway AS g USING (gateway_id)
WHERE g.gateway = $1 AND d.epoch = $2 AND d.released_at IS NULL
ORDER BY d.seq

-- name: note_software
UPDATE gateway SET software = $2, seen_at = now() WHERE gateway_id = $1

-- name: note_highest
INSERT INTO ledger AS l (gateway_id, epoch, recorded)
VALUES ($1, $2, $3)
ON CONFLICT (gateway_id, epoch) DO UPDATE
SET recorded = excluded.recorded WHERE l.recorded < excluded.recorded

-- name: note_state
-- A gateway is seen when it says that it is there; its will is said by the broker.
UPDATE gateway
SET
    online = $2,
    state_at = now(),
    software = coalesce(nullif($3, ''), software),
    seen_at = CASE WHEN $2 THEN now() ELSE seen_at END
WHERE gateway_id = $1

-- name: is_enabled
SELECT coalesce((SELECT enabled FROM gateway WHERE gateway = $1), false)

-- name: released
SELECT d.seq
FROM dead_letter AS d
INNER JOIN gateway AS g USING (gateway_id)
WHERE g.gateway = $1 AND d.epoch = $2 AND d.released_at IS NOT NULL
ORDER BY d.seq

-- name: live_until
SELECT g.gateway, max(w.until) AS until
FROM watch AS w
INNER JOIN assignment AS a USING (patient_id)
INNER JOIN device AS d USING (device_id)
INNER JOIN gateway AS g USING (gateway_id)
WHERE w.until > now() AND a.valid_from <= now() AND (a.valid_to IS NULL OR a.valid_to > now())
GROUP BY g.gateway

-- name: put_gateway
INSERT INTO gateway (gateway, enabled) VALUES ($1, $2)
ON CONFLICT (gateway) DO UPDATE SET enabled = excluded.enabled

-- name: gateways
SELECT
    g.gateway, g.enrolled_at, g.online, g.state_at, g.software, g.enabled,
    greatest(g.seen_at, (SELECT max(l.updated_at) FROM ledger AS l WHERE l.gateway_id = g.gateway_id))
        AS last_seen_at
FROM gateway AS g
ORDER BY g.gateway

-- name: ledgers
-- A range that ends beyond 2^61 has no end: its gateway did not know how far the epoch had got.
SELECT
    g.gateway, l.gateway_id, l.epoch, l.stored, l.rejected,
    l.removed
    - CASE
        WHEN upper(l.removed) > 1::bigint << 61 THEN int8multirange(int8range(l.recorded + 1, NULL))
        ELSE '{}'
    END
    - l.stored - l.rejected AS removed,
    l.recorded
FROM ledger AS l
INNER JOIN gateway AS g USING (gateway_id)
WHERE $1::text IS NULL OR g.gateway = $1
ORDER BY g.gateway, l.epoch

-- name: removals
SELECT
    r.gateway_id, r.epoch, r.cause,
    r.seqs
    - CASE
        WHEN upper(r.seqs) > 1::bigint << 61 THEN int8multirange(int8range(l.recorded + 1, NULL))
        ELSE '{}'
    END
    - l.stored - l.rejected AS seqs
FROM removal AS r
INNER JOIN ledger AS l USING (gateway_id, epoch)
WHERE r.gateway_id = ANY($1::int[])
ORDER BY r.cause

-- name: losses
SELECT gateway_id, epoch, cause, sum(readings)::bigint AS readings
FROM gap
WHERE gateway_id = ANY($1::int[]) AND NOT is_removal
GROUP BY gateway_id, epoch, cause
ORDER BY cause

-- name: dead_letters
SELECT
    d.letter_id, g.gateway, d.epoch, d.seq, d.reason, octet_length(d.body) AS size_bytes,
    d.stored_at, d.released_at IS NOT NULL AS released
FROM dead_letter AS d
INNER JOIN gateway AS g USING (gateway_id)
WHERE d.released_at IS NULL
ORDER BY d.letter_id DESC
LIMIT $1

-- name: release_dead_letter
UPDATE dead_letter SET released_at = coalesce(released_at, now()) WHERE letter_id = $1
RETURNING letter_id
