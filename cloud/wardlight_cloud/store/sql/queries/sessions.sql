-- What a session is told at its start, and locks that a session holds.

-- name: commit_durably
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'

-- name: plan_for_partitions
-- A plan made once skips partitions at run time in 2 us each; planning anew costs 80 us for each
-- partition that is needed. But the plan made once locks every partition while it runs, so it is
-- only for a lock table with room for $1 such statements at a time.
SELECT
    set_config('enable_seqscan', 'off', false),
    set_config('enable_bitmapscan', 'off', false),
    set_config(
        'plan_cache_mode',
        CASE
            WHEN
                $1 * (SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('reading'))
                < 0.75 * current_setting('max_locks_per_transaction')::int
                * current_setting('max_connections')::int
                AND EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass('reading'))
                THEN 'force_generic_plan'
            ELSE 'force_custom_plan'
        END,
        false
    )

-- name: try_lock
SELECT pg_try_advisory_lock(5724, hashtext($1))
