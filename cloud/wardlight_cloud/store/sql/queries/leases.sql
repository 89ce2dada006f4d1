-- Shards of collectors; times are the database's.

-- name: lock_leases
SELECT pg_advisory_xact_lock(5723, 5)

-- name: note_holder
INSERT INTO lease_holder (holder, expires_at)
VALUES ($1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at

-- name: forget_holders
DELETE FROM lease_holder WHERE expires_at <= clock_timestamp()

-- name: holders
SELECT holder FROM lease_holder WHERE expires_at > clock_timestamp() ORDER BY holder

-- name: live_leases
SELECT shard, holder FROM shard_lease WHERE expires_at > clock_timestamp()

-- name: hold
INSERT INTO shard_lease (shard, holder, expires_at)
SELECT shard, $1, clock_timestamp() + make_interval(secs => $3)
FROM unnest($2::int[]) AS shard
ORDER BY shard
ON CONFLICT (shard) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at

-- name: give_up
DELETE FROM shard_lease WHERE holder = $1 AND shard <> ALL($2::int[])

-- name: forget_holder
DELETE FROM lease_holder WHERE holder = $1
