-- Work beside ingest.

-- name: lock_progress
SELECT commit_seq, series_id, bucket FROM rollup_progress FOR UPDATE

-- name: due_buckets
-- The next $4 lines of the queue, in commit order.
SELECT commit_seq, series_id, bucket, first_time, last_time
FROM series_commit
WHERE (commit_seq, series_id, bucket) > ($1, $2, $3)
ORDER BY commit_seq, series_id, bucket
LIMIT $4

-- name: rebuild_minutes
-- Minutes from the first to the last changed one; $5 and $6 bound them all and prune partitions.
-- A reading with a flag of $7 has no number.
INSERT INTO rollup_1m (series_id, bucket, readings, absent, total, minimum, maximum)
SELECT
    k.series_id, r.bucket, r.readings, r.absent, r.total, r.minimum, r.maximum
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS k (series_id, first_time, last_time)
CROSS JOIN LATERAL (
    SELECT
        date_bin('1 minute', time, 'epoch') AS bucket,
        count(*) FILTER (WHERE absent = 0 AND (flags & $7) = 0) AS readings,
        count(*) FILTER (WHERE absent <> 0 OR (flags & $7) <> 0) AS absent,
        sum(drawn(mantissa, scale)) FILTER (WHERE absent = 0 AND (flags & $7) = 0) AS total,
        min(drawn(mantissa, scale)) FILTER (WHERE absent = 0 AND (flags & $7) = 0) AS minimum,
        max(drawn(mantissa, scale)) FILTER (WHERE absent = 0 AND (flags & $7) = 0) AS maximum
    FROM reading
    WHERE
        series_id = k.series_id
        AND time >= date_trunc('minute', k.first_time)
        AND time < date_trunc('minute', k.last_time) + interval '1 minute'
        AND time >= $5 AND time < $6 AND (flags & $4) = 0
    GROUP BY 1
) AS r
ON CONFLICT (series_id, bucket) DO UPDATE
SET
    readings = excluded.readings,
    absent = excluded.absent,
    total = excluded.total,
    minimum = excluded.minimum,
    maximum = excluded.maximum

-- name: rebuild_hours
INSERT INTO rollup_1h (series_id, bucket, readings, absent, total, minimum, maximum)
SELECT
    k.series_id, k.bucket, sum(m.readings)::bigint, sum(m.absent)::bigint, sum(m.total),
    min(m.minimum), max(m.maximum)
FROM unnest($1::int[], $2::timestamptz[]) AS k (series_id, bucket)
INNER JOIN rollup_1m AS m
    ON m.series_id = k.series_id AND m.bucket >= k.bucket
    AND m.bucket < k.bucket + interval '1 hour'
GROUP BY k.series_id, k.bucket
ON CONFLICT (series_id, bucket) DO UPDATE
SET
    readings = excluded.readings,
    absent = excluded.absent,
    total = excluded.total,
    minimum = excluded.minimum,
    maximum = excluded.maximum

-- name: refresh_minutes
CALL refresh_continuous_aggregate('rollup_1m', $1::timestamptz, $2::timestamptz)

-- name: refresh_hours
CALL refresh_continuous_aggregate('rollup_1h', $1::timestamptz, $2::timestamptz)

-- name: move_progress
UPDATE rollup_progress SET commit_seq = $1, series_id = $2, bucket = $3
WHERE (commit_seq, series_id, bucket) < ($1, $2, $3)

-- name: progress
SELECT commit_seq, series_id, bucket FROM rollup_progress

-- name: forget_event_ids
DELETE FROM event_seen WHERE seen_at < $1
