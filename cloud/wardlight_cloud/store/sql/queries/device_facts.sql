-- What devices measure, and what was wrong with them.

-- name: device_metrics
-- NULL = no filter. $1 patients who have the device now, $2 devices, $3 metrics, $4 to $6 keys, $7 to $9
-- the key that the page is behind, $10 and $11 [start, end) of the last change of the device.
SELECT p.*, r.gateway, r.link, r.calibration_due, r.commit_seq, r.updated_at
FROM (
    SELECT DISTINCT s.device_id, s.metric, s.unit
    FROM series AS s
    WHERE
        NOT s.is_panel
        AND ($1::uuid[] IS NULL OR EXISTS (
            SELECT FROM assignment AS a
            WHERE
                a.device_id = s.device_id AND a.patient_id = ANY($1)
                AND a.valid_from <= now() AND coalesce(a.valid_to, 'infinity') > now()
        ))
        AND ($2::uuid[] IS NULL OR s.device_id = ANY($2))
        AND ($3::int[] IS NULL OR s.metric = ANY($3))
        AND ($4::uuid[] IS NULL OR (
            s.device_id = ANY($4) AND (s.device_id, s.metric, s.unit) IN (
                SELECT * FROM unnest($4::uuid[], $5::int[], $6::text[])
            )
        ))
        AND ($7::uuid IS NULL OR (s.device_id, s.metric, s.unit) > ($7, $8::int, $9::text))
        AND (($10::timestamptz IS NULL AND $11::timestamptz IS NULL) OR s.device_id IN (
            SELECT r.device_id FROM device_row AS r
            WHERE
                ($10::timestamptz IS NULL OR r.updated_at >= $10)
                AND ($11::timestamptz IS NULL OR r.updated_at < $11)
        ))
    ORDER BY 1, 2, 3
    LIMIT $12
) AS p
INNER JOIN device_row AS r ON r.device_id = p.device_id
ORDER BY 1, 2, 3

-- name: metrics_of
SELECT DISTINCT device_id, metric
FROM series
WHERE device_id = ANY($1::uuid[]) AND NOT is_panel
ORDER BY 1, 2

-- name: troubles
-- NULL = no filter. $1 patients, $2 devices, $3 kinds, $4 and $5 the time, $6 keys, $7 and $8 start and
-- key that the page is behind, $9 states of a link that are none, $10 the flag of an alarm, $11 how
-- long it may pause, $12 and $13 from when to when alarms are looked for, $14 flags that keep a reading
-- out, $15 and $16 [start, end) of the last change, $17 whether it is over.
-- changed_at: when it was told, was over, or became the patient's, whichever came last. Several patients
-- may have a device at one time, and each has an event of its own, with a key of its own.
WITH told AS (
    SELECT
        s.device_id, s.time, s.stored_at, s.data ->> 'state' AS state,
        lag(s.data ->> 'state') OVER same AS state_before,
        lead(s.time) OVER same AS next_at,
        lead(s.stored_at) OVER same AS next_stored_at
    FROM status AS s
    WHERE
        s.name = 'link' AND s.device_id IS NOT NULL
        AND ($2::uuid[] IS NULL OR s.device_id = ANY($2))
        AND ($1::uuid[] IS NULL OR s.device_id IN (
            SELECT device_id FROM assignment WHERE patient_id = ANY($1)
        ))
    WINDOW same AS (PARTITION BY s.device_id ORDER BY s.time, s.seq)
),
alarmed AS (
    SELECT
        a.patient_id, a.device_id, a.metric, a.anchor, a.series_id, r.time, r.ord,
        greatest(r.commit_seq, a.assigned_seq) AS commit_seq,
        lag(r.time) OVER (PARTITION BY a.series_id, a.patient_id ORDER BY r.time, r.ord) AS before
    FROM assigned_series AS a
    INNER JOIN reading AS r
        ON
            r.series_id = a.series_id
            AND r.time >= a.valid_from AND r.time < coalesce(a.valid_to, 'infinity')
    WHERE
        ($1::uuid[] IS NULL OR a.patient_id = ANY($1))
        AND ($2::uuid[] IS NULL OR a.device_id = ANY($2))
        AND r.time >= $12::timestamptz AND ($13::timestamptz IS NULL OR r.time < $13)
        AND (r.flags & $10::bigint) <> 0 AND (r.flags & $14::bigint) = 0
        AND ($3::text[] IS NULL OR 'alarm' = ANY($3))
),
episode AS (
    SELECT
        *,
        count(*) FILTER (WHERE before IS NULL OR time - before > $11::interval) OVER (
            PARTITION BY series_id, patient_id ORDER BY time, ord
        ) AS number
    FROM alarmed
),
grouped AS (
    SELECT
        e.patient_id, e.device_id, e.metric, e.anchor, e.series_id, min(e.time) AS first_time,
        max(e.time) AS last_time, max(e.commit_seq) AS commit_seq, count(*)::bigint AS count,
        (array_agg(e.time ORDER BY e.time, e.ord))[1:50] AS times,
        (array_agg(e.ord ORDER BY e.time, e.ord))[1:50] AS ords
    FROM episode AS e
    GROUP BY e.series_id, e.patient_id, e.device_id, e.metric, e.anchor, e.number
),
owned AS (
    SELECT a.*, c.stored_at
    FROM assignment AS a
    INNER JOIN commit_log AS c USING (commit_seq)
    WHERE $1::uuid[] IS NULL OR a.patient_id = ANY($1)
),
found AS (
    SELECT
        'alarm' AS trouble, e.patient_id, e.device_id, e.first_time AS started_at,
        CASE WHEN e.last_time < now() - $11::interval THEN e.last_time END AS ended_at,
        greatest(c.stored_at, CASE
            WHEN e.last_time < now() - $11::interval THEN e.last_time + $11::interval
        END) AS changed_at,
        '' AS detail, e.metric, e.count, e.anchor, e.series_id, e.times, e.ords,
        'alarm-' || to_hex(e.series_id) || '-'
        || to_hex((extract(epoch FROM e.first_time) * 1000000)::bigint) AS key
    FROM grouped AS e
    INNER JOIN commit_log AS c USING (commit_seq)
    UNION ALL
    SELECT
        'link', a.patient_id, t.device_id, t.time, e.ended_at,
        greatest(
            t.time, t.stored_at, a.stored_at, e.ended_at,
            CASE WHEN e.ended_at = t.next_at THEN t.next_stored_at END
        ),
        t.state, NULL, 0, NULL, NULL, NULL, NULL,
        'link-' || replace(t.device_id::text, '-', '') || '-'
        || to_hex((extract(epoch FROM t.time) * 1000000)::bigint)
        || '-' || left(md5(a.patient_id::text), 8)
    FROM told AS t
    INNER JOIN owned AS a
        ON
            a.device_id = t.device_id
            AND t.time >= a.valid_from AND t.time < coalesce(a.valid_to, 'infinity')
    CROSS JOIN LATERAL (
        SELECT least(t.next_at, CASE WHEN a.valid_to <= now() THEN a.valid_to END) AS ended_at
    ) AS e
    WHERE t.state <> ALL($9::text[]) AND t.state IS DISTINCT FROM t.state_before
    UNION ALL
    SELECT
        'gap', a.patient_id, a.device_id, k.started_at, k.ended_at,
        greatest(k.ended_at, k.stored_at, a.stored_at), k.cause, NULL, k.readings,
        NULL, NULL, NULL, NULL,
        'gap-' || to_hex(k.gateway_id) || '-' || to_hex(k.epoch) || '-' || to_hex(k.seq)
        || '-' || left(md5(a.patient_id::text), 8)
    FROM gap AS k
    INNER JOIN device AS d ON d.identity = k.device
    INNER JOIN owned AS a
        ON
            a.device_id = d.device_id
            AND k.started_at >= a.valid_from
            AND k.ended_at <= coalesce(a.valid_to, 'infinity')
)
SELECT *
FROM found
WHERE
    ($1::uuid[] IS NULL OR patient_id = ANY($1))
    AND ($2::uuid[] IS NULL OR device_id = ANY($2))
    AND ($3::text[] IS NULL OR trouble = ANY($3))
    AND ($4::timestamptz IS NULL OR coalesce(ended_at, 'infinity') >= $4)
    AND ($5::timestamptz IS NULL OR started_at < $5)
    AND ($6::text[] IS NULL OR key = ANY($6))
    AND ($7::timestamptz IS NULL OR (started_at, key) < ($7, $8::text))
    AND ($15::timestamptz IS NULL OR changed_at >= $15)
    AND ($16::timestamptz IS NULL OR changed_at < $16)
    AND ($17::boolean IS NULL OR (ended_at IS NOT NULL) = $17)
ORDER BY started_at DESC, key DESC
LIMIT $18
