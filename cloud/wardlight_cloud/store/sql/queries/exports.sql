-- Exports: their rows, and what they read.

-- name: lock_exports
SELECT pg_advisory_xact_lock(5723, 3)

-- name: running_exports
-- Of a client ($1), for a user and a patient, and of all.
SELECT
    count(*) FILTER (
        WHERE client = $1 AND login IS NOT DISTINCT FROM $2 AND patient_id IS NOT DISTINCT FROM $3
    ) AS own,
    count(*) AS in_all
FROM bulk_export
WHERE state = 'running'

-- name: held_octets
SELECT coalesce(sum(octets), 0)::bigint FROM bulk_export WHERE state <> 'gone'

-- part: told_commit
-- The commit that a client means with a time: the one it was told so, or the last one by then.
coalesce(
    (SELECT min(e.commit_seq) FROM bulk_export AS e WHERE e.transaction_time = moment.at),
    (
        SELECT c.commit_seq FROM commit_log AS c WHERE c.stored_at <= moment.at
        ORDER BY c.stored_at DESC, c.commit_seq DESC LIMIT 1
    ),
    0
)

-- name: bounds_of_export
-- From $1 (NULL = the beginning) to $2 (NULL = now): commits, and the time of the last one, which is
-- told in whole milliseconds, as programs keep times.
SELECT
    since.commit_seq AS since_seq,
    bound.commit_seq,
    date_trunc(
        'milliseconds',
        coalesce(
            CASE WHEN $2::timestamptz <= clock_timestamp() THEN $2 END,
            (SELECT c.stored_at FROM commit_log AS c WHERE c.commit_seq = bound.commit_seq),
            clock_timestamp()
        ) + interval '999 microseconds'
    ) AS transaction_time
FROM
    (
        SELECT CASE WHEN moment.at IS NULL THEN 0 ELSE {told_commit} END AS commit_seq
        FROM (SELECT $1::timestamptz AS at) AS moment
    ) AS since
CROSS JOIN
    (
        SELECT
            CASE
                WHEN moment.at IS NULL THEN (SELECT coalesce(max(commit_seq), 0) FROM commit_log)
                ELSE {told_commit}
            END AS commit_seq
        FROM (SELECT $2::timestamptz AS at) AS moment
    ) AS bound

-- name: add_export
INSERT INTO bulk_export (
    export_id, transaction_time, commit_seq, since_seq, client, login, patient_id, request, plan
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING *

-- name: export
SELECT * FROM bulk_export WHERE export_id = $1 AND state <> 'gone'

-- name: end_export
-- Its files may be removed; what was asked for is not kept longer than they are.
UPDATE bulk_export
SET
    state = 'gone', ended_at = coalesce(ended_at, clock_timestamp()), request = '', plan = '',
    progress = NULL, octets = 0
WHERE export_id = $1 AND state <> 'gone'
RETURNING export_id

-- part: claimable
-- Nobody is at work, and the client is still one.
e.state = 'running' AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
AND EXISTS (SELECT FROM api_client AS a WHERE a.name = e.client)

-- name: has_claimable
SELECT EXISTS (SELECT FROM bulk_export AS e WHERE {claimable})

-- name: claim_export
UPDATE bulk_export AS u
SET
    holder = $1, lease_until = clock_timestamp() + $2::float8 * interval '1 second',
    attempt = u.attempt + 1
WHERE u.export_id = (
    SELECT e.export_id FROM bulk_export AS e
    WHERE {claimable}
    ORDER BY e.asked_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING u.*

-- name: save_export
-- No row: it was ended, or is somebody else's by now.
UPDATE bulk_export AS u
SET
    progress = $3, octets = $4,
    lease_until = clock_timestamp() + $5::float8 * interval '1 second'
WHERE
    u.export_id = $1 AND u.holder = $2 AND u.state = 'running'
    AND EXISTS (SELECT FROM api_client AS a WHERE a.name = u.client)
RETURNING u.export_id

-- name: settle_export
UPDATE bulk_export
SET
    progress = coalesce($3, progress), octets = coalesce($4, octets), state = $5, problem = $6,
    ended_at = clock_timestamp(), lease_until = NULL
WHERE export_id = $1 AND holder = $2 AND state = 'running'
RETURNING export_id

-- name: leave_exports
UPDATE bulk_export SET lease_until = NULL WHERE holder = $1 AND state = 'running'

-- name: outdated_exports
-- Ended longer ago than $1 hours, or of a client that is none any more.
SELECT e.export_id FROM bulk_export AS e
WHERE
    e.state <> 'gone'
    AND (
        e.ended_at < clock_timestamp() - $1::float8 * interval '1 hour'
        OR NOT EXISTS (SELECT FROM api_client AS a WHERE a.name = e.client)
    )

-- name: live_exports
SELECT export_id FROM bulk_export WHERE state <> 'gone'

-- name: exported_resources
-- Resources of a kind ($1) as they were at a commit ($3), changed behind another one ($2), in the
-- order of creation behind $4. $5: only of these patients; $6: only of patients at all.
SELECT
    r.resource_key, v.commit_seq, v.stored_at, v.is_new, r.kind, r.id, v.patients, v.body
FROM resource AS r
CROSS JOIN LATERAL (
    SELECT r.commit_seq, r.stored_at, r.is_new, r.patients, r.body WHERE r.commit_seq <= $3
    UNION ALL
    (
        SELECT o.commit_seq, o.stored_at, o.is_new, o.patients, o.body
        FROM resource_version AS o
        WHERE r.commit_seq > $3 AND o.resource_key = r.resource_key AND o.commit_seq <= $3
        ORDER BY o.commit_seq DESC LIMIT 1
    )
) AS v
WHERE
    r.kind = $1 AND r.commit_seq > $2 AND r.resource_key > $4 AND v.commit_seq > $2
    AND ($5::uuid[] IS NULL OR (v.patients && $5 AND v.patients <@ $5))
    AND (NOT $6 OR v.patients <> '{}')
    AND (v.body IS NOT NULL OR $2 > 0)
ORDER BY r.resource_key
LIMIT $7

-- name: patients_with_devices
SELECT DISTINCT patient_id FROM assignment
WHERE patient_id > $1 AND ($2::uuid[] IS NULL OR patient_id = ANY($2))
ORDER BY patient_id LIMIT $3

-- name: patients_with_news
-- The same, of whom something was committed behind $4, up to and with $5.
SELECT DISTINCT a.patient_id
FROM assignment AS a
WHERE
    a.patient_id > $1 AND ($2::uuid[] IS NULL OR a.patient_id = ANY($2))
    AND (
        (a.commit_seq > $4 AND a.commit_seq <= $5)
        OR EXISTS (
            SELECT
            FROM series AS s
            INNER JOIN series_commit AS c
                ON c.series_id = s.series_id AND c.commit_seq > $4 AND c.commit_seq <= $5
            WHERE s.device_id = a.device_id
        )
    )
ORDER BY a.patient_id LIMIT $3

-- name: days_of_patient
-- Days from $2 to $3 on which a patient's devices have readings, with what is kept of the day in the
-- form $4, where that shows all that was committed up to $5 and nothing else.
SELECT d.day, d.readings, k.body, NULL::timestamptz AS first_time, NULL::timestamptz AS last_time
FROM (
    SELECT s.day, sum(s.readings)::bigint AS readings, max(s.commit_seq) AS commit_seq
    FROM series_day AS s
    WHERE
        s.day BETWEEN $2 AND $3
        AND s.series_id IN (
            SELECT q.series_id
            FROM assignment AS a
            INNER JOIN series AS q USING (device_id)
            WHERE a.patient_id = $1
        )
    GROUP BY s.day
    ORDER BY s.day
    LIMIT $6
) AS d
LEFT JOIN kept_day AS k
    ON
        k.patient_id = $1 AND k.day = d.day AND k.form = $4
        AND d.commit_seq <= least(k.commit_seq, $5)
        AND NOT EXISTS (
            SELECT FROM assigned_change AS c
            WHERE c.patient_id = $1 AND c.commit_seq > least(k.commit_seq, $5)
        )
ORDER BY d.day

-- name: days_with_news
-- Days of some patients to which commits behind $4, up to and with $5, brought something, and when
-- on them. NULL: at any time, because a device was assigned.
SELECT
    d.day, sum(d.readings)::bigint AS readings, NULL::bytea AS body,
    CASE WHEN bool_and(d.first_time IS NOT NULL) THEN min(d.first_time) END AS first_time,
    CASE WHEN bool_and(d.last_time IS NOT NULL) THEN max(d.last_time) END AS last_time
FROM (
    SELECT
        (c.bucket AT TIME ZONE 'UTC')::date AS day, c.readings::bigint, c.first_time, c.last_time
    FROM series_commit AS c
    WHERE
        c.commit_seq > $4 AND c.commit_seq <= $5
        AND c.series_id IN (
            SELECT q.series_id
            FROM assignment AS a
            INNER JOIN series AS q USING (device_id)
            WHERE a.patient_id = ANY($1::uuid[])
        )
    UNION ALL
    SELECT s.day, s.readings, NULL, NULL
    FROM series_day AS s
    WHERE s.series_id IN (
        SELECT q.series_id
        FROM assignment AS a
        INNER JOIN series AS q USING (device_id)
        WHERE a.patient_id = ANY($1::uuid[]) AND a.commit_seq > $4 AND a.commit_seq <= $5
    )
) AS d
WHERE d.day BETWEEN $2 AND $3
GROUP BY d.day
ORDER BY d.day
LIMIT $6
