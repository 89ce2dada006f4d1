-- Patients, devices, assignments and API clients.

-- name: put_patient
INSERT INTO patient (patient_id, family, given, birth_date, gender, commit_seq, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (patient_id) DO UPDATE
SET
    family = excluded.family,
    given = excluded.given,
    birth_date = excluded.birth_date,
    gender = excluded.gender,
    commit_seq = excluded.commit_seq,
    updated_at = excluded.updated_at

-- name: taken_identifiers
-- $1 patients, $2 systems and $3 values: identifiers that patients are to have, all of $4, who are
-- written. Those that another patient has, or is to have, and which are new to the one. A value
-- without a system says nothing of whose it is.
WITH wanted AS (
    SELECT DISTINCT patient_id, system, value
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS k (patient_id, system, value)
    WHERE value <> '' AND system <> ''
)
SELECT w.patient_id, w.system, w.value
FROM wanted AS w
WHERE
    (
        EXISTS (
            SELECT FROM patient_identifier AS i
            WHERE i.value = w.value AND i.system = w.system AND i.patient_id <> ALL($4::uuid[])
        )
        OR EXISTS (
            SELECT FROM wanted AS o
            WHERE o.value = w.value AND o.system = w.system AND o.patient_id <> w.patient_id
        )
    )
    AND NOT EXISTS (
        SELECT FROM patient_identifier AS own
        WHERE own.patient_id = w.patient_id AND own.value = w.value AND own.system = w.system
    )
ORDER BY w.patient_id, w.system, w.value
LIMIT 1

-- name: clear_identifiers
DELETE FROM patient_identifier WHERE patient_id = $1

-- name: add_identifiers
INSERT INTO patient_identifier (patient_id, place, system, value)
SELECT $1, place, system, value
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS k (system, value, place)

-- name: patients
-- $1 ids, $2 and $3 system and value of an identifier (null system = any), $4 beginning of the
-- family name, $5 to $7 the last one seen, $8 how many; the first three are not asked for here.
SELECT * FROM patient_row
WHERE
    $1::uuid[] IS NULL AND $2::text IS NULL AND $3::text IS NULL
    AND ($4::text IS NULL OR starts_with(lower(family), lower($4)))
    AND ($7::uuid IS NULL OR (family, given, patient_id) > ($5::text, $6::text, $7))
ORDER BY family, given, patient_id
LIMIT $8

-- name: patients_by_id
SELECT * FROM patient_row
WHERE
    patient_id = ANY($1::uuid[])
    AND ($3::text IS NULL OR patient_id IN (
        SELECT i.patient_id FROM patient_identifier AS i
        WHERE i.value = $3 AND ($2::text IS NULL OR i.system = $2)
    ))
    AND ($4::text IS NULL OR starts_with(lower(family), lower($4)))
    AND ($7::uuid IS NULL OR (family, given, patient_id) > ($5::text, $6::text, $7))
ORDER BY family, given, patient_id
LIMIT $8

-- name: patients_by_identifier
SELECT * FROM patient_row
WHERE
    $1::uuid[] IS NULL
    AND patient_id IN (
        SELECT i.patient_id FROM patient_identifier AS i
        WHERE i.value = $3::text AND ($2::text IS NULL OR i.system = $2)
    )
    AND ($4::text IS NULL OR starts_with(lower(family), lower($4)))
    AND ($7::uuid IS NULL OR (family, given, patient_id) > ($5::text, $6::text, $7))
ORDER BY family, given, patient_id
LIMIT $8

-- name: device
SELECT device_id, gateway_id FROM device WHERE identity = $1

-- name: put_device
INSERT INTO device AS d (identity, gateway_id, commit_seq)
VALUES ($1, $2, $3)
ON CONFLICT (identity) DO UPDATE
SET gateway_id = coalesce(excluded.gateway_id, d.gateway_id), commit_seq = excluded.commit_seq
RETURNING device_id

-- name: devices
-- $1 ids, $2 patient that has the device now, $3 identity, $4 the last one seen, $5 how many; the
-- first three are not asked for here.
SELECT * FROM device_row
WHERE
    $1::uuid[] IS NULL AND $2::uuid IS NULL AND $3::text IS NULL
    AND ($4::uuid IS NULL OR device_id > $4)
ORDER BY device_id
LIMIT $5

-- name: devices_by_id
SELECT * FROM device_row
WHERE
    device_id = ANY($1::uuid[])
    AND ($2::uuid IS NULL OR device_id IN (
        SELECT a.device_id FROM assignment AS a
        WHERE
            a.patient_id = $2
            AND a.valid_from <= now() AND (a.valid_to IS NULL OR a.valid_to > now())
    ))
    AND ($3::text IS NULL OR identity = $3)
    AND ($4::uuid IS NULL OR device_id > $4)
ORDER BY device_id
LIMIT $5

-- name: devices_by_identity
SELECT * FROM device_row
WHERE
    $1::uuid[] IS NULL AND identity = $3::text
    AND ($2::uuid IS NULL OR device_id IN (
        SELECT a.device_id FROM assignment AS a
        WHERE
            a.patient_id = $2
            AND a.valid_from <= now() AND (a.valid_to IS NULL OR a.valid_to > now())
    ))
    AND ($4::uuid IS NULL OR device_id > $4)
ORDER BY device_id
LIMIT $5

-- name: devices_of_patient
SELECT * FROM device_row
WHERE
    $1::uuid[] IS NULL AND $3::text IS NULL
    AND device_id IN (
        SELECT a.device_id FROM assignment AS a
        WHERE
            a.patient_id = $2::uuid
            AND a.valid_from <= now() AND (a.valid_to IS NULL OR a.valid_to > now())
    )
    AND ($4::uuid IS NULL OR device_id > $4)
ORDER BY device_id
LIMIT $5

-- name: assignments
SELECT assignment_id, device_id, user_index, patient_id, valid_from, valid_to
FROM assignment
WHERE $1::uuid IS NULL OR device_id = $1
ORDER BY device_id, valid_from, assignment_id

-- name: assignment
SELECT assignment_id, valid_from, valid_to FROM assignment WHERE assignment_id = $1

-- name: end_open_assignment
-- An open one of the same device and user ends where the new one begins ...
UPDATE assignment SET valid_to = $3
WHERE
    device_id = $1 AND user_index IS NOT DISTINCT FROM $2
    AND valid_to IS NULL AND valid_from < $3

-- name: replace_open_assignment
-- ... and one that would end before it began is replaced.
DELETE FROM assignment
WHERE
    device_id = $1 AND user_index IS NOT DISTINCT FROM $2
    AND valid_to IS NULL AND valid_from >= $3

-- name: overlapping
SELECT user_index, valid_from FROM assignment
WHERE
    device_id = $1
    AND (user_index IS NULL OR $2::smallint IS NULL OR user_index = $2)
    AND (valid_to IS NULL OR valid_to > $3)
    AND ($4::timestamptz IS NULL OR valid_from < $4)
LIMIT 1

-- name: add_assignment
INSERT INTO assignment (device_id, user_index, patient_id, valid_from, commit_seq, valid_to)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING assignment_id

-- name: unassigned
-- Clinical readings from day $1 on that are no patient's, by device, user and day; at most $3 rows.
SELECT d.identity, s.user_index, days.day, sum(left_over.readings)::bigint AS readings,
    min(left_over.first_time) AS first_time, max(left_over.last_time) AS last_time
FROM series_day AS days
INNER JOIN series AS s USING (series_id)
INNER JOIN device AS d USING (device_id)
CROSS JOIN LATERAL (
    SELECT
        days.day::timestamp AT TIME ZONE 'UTC' AS begins,
        (days.day + 1)::timestamp AT TIME ZONE 'UTC' AS ends
) AS span
CROSS JOIN LATERAL (
    SELECT count(*) AS readings, min(r.time) AS first_time, max(r.time) AS last_time
    FROM reading AS r
    WHERE
        r.series_id = days.series_id AND r.time >= span.begins AND r.time < span.ends
        AND (r.flags & $2) = 0
        AND NOT EXISTS (
            SELECT FROM assigned_series AS a
            WHERE
                a.series_id = r.series_id
                AND r.time >= a.valid_from AND (a.valid_to IS NULL OR r.time < a.valid_to)
        )
) AS left_over
WHERE
    days.day >= $1
    AND left_over.readings > 0
    -- A day that is a patient's as a whole is not counted through.
    AND NOT EXISTS (
        SELECT FROM assigned_series AS a
        WHERE
            a.series_id = days.series_id
            AND a.valid_from <= span.begins AND (a.valid_to IS NULL OR a.valid_to >= span.ends)
    )
GROUP BY d.identity, s.user_index, days.day
ORDER BY days.day DESC, d.identity, s.user_index
LIMIT $3

-- name: end_assignment
UPDATE assignment SET valid_to = $2 WHERE assignment_id = $1

-- name: remove_assignment
DELETE FROM assignment WHERE assignment_id = $1

-- name: put_client
INSERT INTO api_client (name, token_sha256, scopes) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET token_sha256 = excluded.token_sha256, scopes = excluded.scopes

-- name: remove_client
DELETE FROM api_client WHERE name = $1 RETURNING name

-- name: watch
INSERT INTO watch AS w (patient_id, until) VALUES ($1, $2)
ON CONFLICT (patient_id) DO UPDATE SET until = excluded.until WHERE w.until < excluded.until
