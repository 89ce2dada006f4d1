-- Subscriptions, their events, and how far commits were looked at.

-- name: note_subscriber
-- A static token ends the subscription with itself, one of a user's grant with the grant; those of
-- programs end within minutes, and the client's registration stands for them.
WITH shown AS (
    SELECT
        (SELECT c.token_sha256 FROM api_client AS c WHERE c.token_sha256 = $7) AS token_sha256,
        (
            SELECT g.grant_id
            FROM grant_token AS t INNER JOIN access_grant AS g USING (grant_id)
            WHERE t.token_sha256 = $7 AND g.login IS NOT NULL
        ) AS grant_id
)
INSERT INTO subscription AS s (
    subscription_id, client, login, patient_id, scopes, base, token_sha256, grant_id
)
SELECT $1, $2, $3, $4, $5, $6, shown.token_sha256, shown.grant_id
FROM shown
WHERE
    EXISTS (SELECT FROM subscription AS o WHERE o.subscription_id = $1)
    OR $8 > (
        SELECT count(*) FROM subscription AS o
        WHERE o.client = $2 AND (o.state <> 'new' OR o.made_at > now() - interval '1 minute')
    )
ON CONFLICT (subscription_id) DO UPDATE
SET
    scopes = excluded.scopes,
    base = excluded.base,
    token_sha256 = excluded.token_sha256,
    grant_id = excluded.grant_id
WHERE s.client = excluded.client
RETURNING subscription_id

-- name: revise_subscriptions
-- Before the commit is looked up from which events count: whoever looks at commits sees it then.
UPDATE subscription_progress SET revision = revision + 1

-- name: define_subscription
UPDATE subscription
SET
    version = $2, definition = $3, ends_at = $4, shown = CASE WHEN $5 THEN 'requested' ELSE 'off' END,
    state = CASE WHEN $5 THEN 'requested' ELSE 'off' END, reason = '', attempts = 0,
    failing_since = NULL, lease_holder = NULL, lease_until = NULL,
    generation = generation + 1,
    from_commit = CASE WHEN $5 AND $6 THEN from_commit END,
    last_number = CASE WHEN NOT $5 OR ($6 AND from_commit IS NOT NULL) THEN last_number ELSE 0 END,
    sent_number = CASE WHEN NOT $5 OR ($6 AND from_commit IS NOT NULL) THEN sent_number ELSE 0 END,
    next_at = CASE WHEN $5 THEN clock_timestamp() END
WHERE subscription_id = $1 AND version < $2
RETURNING last_number = 0 AS is_anew

-- name: stop_subscription
-- shown is what no resource says: it is told the state and the reason.
UPDATE subscription
SET
    version = greatest(version, $2), definition = coalesce($3, definition), shown = '',
    state = 'off', reason = $4, attempts = 0, failing_since = NULL,
    lease_holder = NULL, lease_until = NULL, generation = generation + 1,
    from_commit = NULL, next_at = clock_timestamp()
WHERE subscription_id = $1 AND version <= $2

-- name: clear_events
DELETE FROM subscription_event WHERE subscription_id = $1

-- name: note_version
UPDATE subscription SET version = greatest(version, $2), shown = coalesce($3, shown)
WHERE subscription_id = $1

-- name: drop_subscription
DELETE FROM subscription WHERE subscription_id = $1 AND state <> 'new'

-- part: columns
s.subscription_id, s.client, s.login, s.patient_id, s.scopes, s.base, s.generation, s.version,
s.secret_turn, s.state, s.shown, s.reason, s.definition, s.from_commit IS NOT NULL AS is_matching,
s.last_number, s.sent_number, s.attempts, s.failing_since, s.ends_at,
CASE
    WHEN
        (s.token_sha256 IS NULL OR s.token_sha256 = c.token_sha256)
        AND (s.grant_id IS NULL OR EXISTS (
            SELECT FROM live_grant AS g INNER JOIN grant_token AS t USING (grant_id)
            WHERE g.grant_id = s.grant_id AND t.until > now() AND t.used_at IS NULL
        ))
        THEN c.scopes
END AS allowed

-- name: subscriptions
SELECT {columns}
FROM subscription AS s
LEFT JOIN api_client AS c ON c.name = s.client
WHERE
    s.definition IS NOT NULL
    AND CASE
        WHEN $1::text[] IS NOT NULL THEN s.subscription_id = ANY($1)
        WHEN $2::text IS NOT NULL THEN s.client = $2
        ELSE s.from_commit IS NOT NULL AND s.state IN ('requested', 'active', 'error')
    END
ORDER BY s.subscription_id

-- name: subscription_progress
SELECT
    p.commit_seq, p.resource_seq, p.place, p.turn, p.revision,
    coalesce((SELECT max(commit_seq) FROM commit_log), 0) AS newest
FROM subscription_progress AS p

-- name: move_progress
UPDATE subscription_progress
SET commit_seq = $3, resource_seq = $4, place = $5, turn = turn + 1
WHERE turn = $1 AND revision = $2
RETURNING turn

-- name: add_events
-- In the order of what is given; only for who still asks for it, and from its beginning on.
WITH given AS (
    SELECT m.*, row_number() OVER (PARTITION BY m.subscription_id ORDER BY m.place) AS step
    FROM unnest(
        $1::text[], $2::int[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
        $8::boolean[]
    ) WITH ORDINALITY
        AS m (subscription_id, generation, commit_seq, stored_at, kind, id, patients, is_left, place)
    INNER JOIN subscription AS s
        ON
            s.subscription_id = m.subscription_id AND s.generation = m.generation
            AND s.state IN ('requested', 'active', 'error') AND m.commit_seq > s.from_commit
), counted AS (
    UPDATE subscription AS s
    SET
        last_number = s.last_number + n.events,
        next_at = CASE
            WHEN s.state = 'active' AND s.attempts = 0 THEN clock_timestamp() ELSE s.next_at
        END
    FROM (SELECT subscription_id, count(*) AS events FROM given GROUP BY 1) AS n
    WHERE s.subscription_id = n.subscription_id
    RETURNING s.subscription_id, s.last_number - n.events AS before
)
INSERT INTO subscription_event (
    number, commit_seq, stored_at, subscription_id, kind, id, patients, is_left
)
SELECT
    c.before + g.step, g.commit_seq, g.stored_at, g.subscription_id, g.kind, g.id,
    string_to_array(g.patients, ',')::uuid[], g.is_left
FROM given AS g
INNER JOIN counted AS c USING (subscription_id)

-- name: tell_subscriptions
SELECT pg_notify('wardlight_subscription', '')

-- name: take_subscriptions
WITH due AS (
    SELECT subscription_id FROM subscription
    WHERE
        next_at <= clock_timestamp() AND definition IS NOT NULL
        AND (lease_until IS NULL OR lease_until <= clock_timestamp())
    ORDER BY next_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), s AS (
    UPDATE subscription AS t
    SET lease_holder = $1, lease_until = clock_timestamp() + make_interval(secs => $3)
    FROM due WHERE due.subscription_id = t.subscription_id
    RETURNING t.*
)
SELECT {columns} FROM s LEFT JOIN api_client AS c ON c.name = s.client

-- name: settle_subscription
-- Events that came meanwhile are due at once, unless the receiver is waited for.
UPDATE subscription AS s
SET
    state = $4, reason = $5, attempts = $6, failing_since = $7,
    sent_number = greatest(s.sent_number, $8),
    from_commit = CASE
        WHEN $9 THEN coalesce(s.from_commit, (SELECT coalesce(max(commit_seq), 0) FROM commit_log))
        ELSE s.from_commit
    END,
    next_at = CASE
        WHEN $4 <> s.shown OR ($4 = 'active' AND $6 = 0 AND s.last_number > greatest(s.sent_number, $8))
            THEN clock_timestamp()
        WHEN $4 = 'off' THEN NULL
        ELSE least(clock_timestamp() + make_interval(secs => $10::float8), s.ends_at)
    END,
    lease_holder = NULL, lease_until = NULL
WHERE s.subscription_id = $1 AND s.lease_holder = $2 AND s.generation = $3
RETURNING s.subscription_id

-- name: give_up_leases
UPDATE subscription SET lease_holder = NULL, lease_until = NULL WHERE lease_holder = $1

-- name: seconds_to_next
SELECT
    extract(EPOCH FROM min(greatest(next_at, lease_until)) - clock_timestamp())::double precision
FROM subscription
WHERE next_at IS NOT NULL

-- name: subscription_events
SELECT number, commit_seq, stored_at, kind, id, patients, is_left
FROM subscription_event
WHERE subscription_id = $1 AND number BETWEEN $2 AND $3
ORDER BY number
LIMIT $4

-- name: renew_secret
UPDATE subscription SET secret_turn = secret_turn + 1
WHERE subscription_id = $1
RETURNING secret_turn

-- name: put_binding
INSERT INTO subscription_binding (token_sha256, subscription_ids, until)
VALUES ($1, $2, now() + make_interval(secs => $3))

-- name: use_binding
DELETE FROM subscription_binding WHERE token_sha256 = $1
RETURNING subscription_ids, until > now() AS is_timely

-- name: forget_events
DELETE FROM subscription_event WHERE stored_at < now() - make_interval(days => $1)

-- name: forget_unwritten
DELETE FROM subscription WHERE state = 'new' AND made_at < now() - interval '1 hour'

-- name: forget_bindings
DELETE FROM subscription_binding WHERE until < now()
