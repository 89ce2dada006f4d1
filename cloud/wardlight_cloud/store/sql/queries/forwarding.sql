-- Nodes, forwarding rules and their items.

-- name: put_node
INSERT INTO dicom_node (ae_title, host, port, networks, tls, fingerprint, rights)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (ae_title) DO UPDATE
SET
    host = excluded.host,
    port = excluded.port,
    networks = excluded.networks,
    tls = excluded.tls,
    fingerprint = excluded.fingerprint,
    rights = excluded.rights

-- name: remove_node
DELETE FROM dicom_node WHERE ae_title = $1 RETURNING ae_title

-- name: nodes
SELECT ae_title, host, port, networks, tls, fingerprint, rights
FROM dicom_node
ORDER BY ae_title

-- name: put_rule
-- What another transaction has stored and not committed yet is a minute old at most.
INSERT INTO forward_rule (
    name, kind, value, ae_title, url, token_env, token_file, give_up_days, commit_seq, stored_from
)
SELECT
    $1, $2, $3, $4, $5, $6, $7, $8,
    CASE WHEN $9 THEN 0 ELSE coalesce((SELECT max(commit_seq) FROM commit_log), 0) END,
    CASE WHEN $9 THEN '-infinity' ELSE clock_timestamp() - interval '1 minute' END

-- name: remove_rule
DELETE FROM forward_rule WHERE name = $1 RETURNING rule_id

-- name: rules
SELECT name, kind, value, ae_title, url, token_env, token_file, give_up_days
FROM forward_rule
ORDER BY name

-- name: lock_rules
-- A rule that another process expands now is left to it.
SELECT rule_id, commit_seq FROM forward_rule ORDER BY rule_id FOR UPDATE SKIP LOCKED

-- name: expand_until
-- Up to which commit the rule behind $1 is expanded now: that of the $2nd study, or the newest.
SELECT
    coalesce(nth.commit_seq, newest.commit_seq) AS until,
    nth.commit_seq IS NOT NULL AS is_more
FROM (SELECT coalesce(max(commit_seq), 0) AS commit_seq FROM commit_log) AS newest
LEFT JOIN (
    SELECT commit_seq FROM image_study_state
    WHERE commit_seq > $1
    ORDER BY commit_seq
    OFFSET $2 - 1 LIMIT 1
) AS nth ON nth.commit_seq <= newest.commit_seq

-- name: add_items
INSERT INTO forward_item (rule_id, study_uid, sop_uid, sha256)
SELECT r.rule_id, s.study_uid, i.sop_uid, i.sha256
FROM forward_rule AS r
INNER JOIN image_study_state AS t ON t.commit_seq > r.commit_seq AND t.commit_seq <= $2
INNER JOIN image_study AS s ON s.study_pk = t.study_pk
INNER JOIN image_series AS e ON e.study_pk = s.study_pk
INNER JOIN image_instance AS i ON i.series_pk = e.series_pk
WHERE
    r.rule_id = $1
    AND i.stored_at >= r.stored_from
    AND CASE r.kind
        WHEN 'all' THEN true
        WHEN 'modality' THEN e.modality = r.value
        WHEN 'patient' THEN s.patient_id::text = r.value
        ELSE EXISTS (
            SELECT FROM image_upload AS u
            WHERE u.sha256 = i.sha256 AND (u.gateway = r.value OR u.calling_ae = r.value)
        )
    END
ORDER BY t.commit_seq, e.series_pk, i.instance_number, i.instance_pk
ON CONFLICT (rule_id, sop_uid, sha256) DO NOTHING

-- name: named_by
-- As add_items: what a rule of this kind and value names, of all that is stored.
SELECT count(DISTINCT s.study_pk) AS studies, count(i.instance_pk) AS instances
FROM image_study AS s
INNER JOIN image_series AS e ON e.study_pk = s.study_pk
INNER JOIN image_instance AS i ON i.series_pk = e.series_pk
WHERE
    CASE $1::text
        WHEN 'all' THEN true
        WHEN 'modality' THEN e.modality = $2::text
        WHEN 'patient' THEN s.patient_id::text = $2
        ELSE EXISTS (
            SELECT FROM image_upload AS u
            WHERE u.sha256 = i.sha256 AND (u.gateway = $2 OR u.calling_ae = $2)
        )
    END

-- name: move_rule
UPDATE forward_rule SET commit_seq = $2 WHERE rule_id = $1

-- name: withdraw_items
-- A study that has become another patient's, or nobody's, is none of a patient's rule any more.
DELETE FROM forward_item AS f
USING forward_rule AS r, image_study AS s
WHERE
    f.state = 'waiting' AND f.next_at <= clock_timestamp()
    AND r.rule_id = f.rule_id AND r.kind = 'patient'
    AND s.study_uid = f.study_uid AND s.patient_id::text IS DISTINCT FROM r.value

-- name: take_items
-- Those of the rule whose turn it is, leased for $2 seconds; at most $1. Not of rules that send to
-- the nodes $3 or services $4. Each rule is asked for its first: one with a million that wait
-- costs the others nothing.
WITH due AS (
    SELECT f.item_id FROM forward_item AS f
    WHERE
        f.state = 'waiting' AND f.next_at <= clock_timestamp()
        AND f.rule_id = (
            SELECT r.rule_id
            FROM forward_rule AS r
            CROSS JOIN LATERAL (
                SELECT o.next_at, o.item_id FROM forward_item AS o
                WHERE
                    o.rule_id = r.rule_id
                    AND o.state = 'waiting' AND o.next_at <= clock_timestamp()
                ORDER BY o.next_at, o.item_id LIMIT 1
            ) AS turn
            WHERE
                coalesce(r.ae_title <> ALL($3::text[]), true)
                AND coalesce(r.url <> ALL($4::text[]), true)
            ORDER BY turn.next_at, turn.item_id LIMIT 1
        )
    ORDER BY f.next_at, f.item_id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE forward_item AS f
    SET
        attempts = f.attempts + 1,
        next_at = clock_timestamp() + make_interval(secs => $2)
    FROM due WHERE due.item_id = f.item_id
    RETURNING f.item_id, f.rule_id, f.study_uid, f.sop_uid, f.sha256, f.attempts, f.since
)
SELECT
    t.item_id, t.study_uid, t.sop_uid, t.sha256, t.attempts, t.since,
    r.name, r.ae_title, r.url, r.token_env, r.token_file
FROM taken AS t
INNER JOIN forward_rule AS r ON r.rule_id = t.rule_id
ORDER BY t.item_id

-- name: renew_items
UPDATE forward_item SET next_at = clock_timestamp() + make_interval(secs => $2)
WHERE item_id = ANY($1::bigint[]) AND state = 'waiting'

-- name: settle_sent
UPDATE forward_item SET state = 'sent', settled_at = clock_timestamp(), reason = ''
WHERE item_id = ANY($1::bigint[]) AND state = 'waiting'

-- name: settle_failed
-- $3 NULL: there is no sense in another attempt. $4 false: it was no attempt.
UPDATE forward_item AS f
SET
    reason = $2,
    attempts = CASE WHEN $4 THEN f.attempts ELSE greatest(f.attempts - 1, 0) END,
    next_at = clock_timestamp() + make_interval(secs => coalesce($3::float8, 0)),
    state = CASE WHEN g.is_over THEN 'dead' ELSE 'waiting' END,
    settled_at = CASE WHEN g.is_over THEN clock_timestamp() END
FROM (
    SELECT
        w.item_id,
        $3::float8 IS NULL
        OR w.since + make_interval(days => r.give_up_days) <= clock_timestamp() AS is_over
    FROM forward_item AS w
    INNER JOIN forward_rule AS r ON r.rule_id = w.rule_id
    WHERE w.item_id = ANY($1::bigint[])
) AS g
WHERE f.item_id = g.item_id AND f.state = 'waiting'

-- name: forward_status
SELECT
    r.name, r.kind, r.value, r.ae_title, r.url, r.token_env, r.token_file, r.give_up_days,
    count(*) FILTER (WHERE f.state = 'waiting') AS waiting,
    count(*) FILTER (WHERE f.state = 'sent') AS sent,
    count(*) FILTER (WHERE f.state = 'dead') AS dead,
    min(f.since) FILTER (WHERE f.state = 'waiting') AS oldest,
    coalesce(max(f.reason) FILTER (WHERE f.state = 'waiting'), '') AS reason
FROM forward_rule AS r
LEFT JOIN forward_item AS f ON f.rule_id = r.rule_id
GROUP BY r.rule_id
ORDER BY r.name

-- name: dead_items
SELECT f.item_id, r.name, f.sop_uid, f.attempts, f.since, f.reason
FROM forward_item AS f
INNER JOIN forward_rule AS r ON r.rule_id = f.rule_id
WHERE f.state = 'dead'
ORDER BY f.item_id
LIMIT $1

-- name: retry_dead
WITH again AS (
    UPDATE forward_item AS f
    SET state = 'waiting', since = clock_timestamp(), next_at = clock_timestamp(), settled_at = NULL
    FROM forward_rule AS r
    WHERE f.state = 'dead' AND r.rule_id = f.rule_id AND ($1::text IS NULL OR r.name = $1)
    RETURNING f.item_id
)
SELECT count(*) FROM again
