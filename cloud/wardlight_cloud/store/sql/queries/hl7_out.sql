-- HL7 v2 out: destinations and their messages.

-- name: add_destination
INSERT INTO hl7_destination (name, commit_seq, from_commit)
SELECT $1, newest.commit_seq, newest.commit_seq
FROM (SELECT coalesce(max(commit_seq), 0) AS commit_seq FROM commit_log) AS newest
ON CONFLICT (name) DO NOTHING

-- name: progress_of
SELECT
    d.commit_seq, d.from_commit, d.place, d.turn, d.attempts,
    coalesce((SELECT max(commit_seq) FROM commit_log), 0) AS newest,
    extract(EPOCH FROM clock_timestamp() - d.gathered_at)::double precision AS gathered_s,
    greatest(0, extract(EPOCH FROM d.next_at - clock_timestamp()))::double precision AS pause_s
FROM hl7_destination AS d
WHERE d.name = $1

-- name: move_destination
UPDATE hl7_destination
SET
    commit_seq = $3, place = $4, turn = turn + 1,
    gathered_at = CASE WHEN $5 THEN clock_timestamp() ELSE gathered_at END
WHERE name = $1 AND turn = $2
RETURNING turn

-- name: add_messages
INSERT INTO hl7_message (patient_id, observations, destination, control_id, body)
SELECT m.patient_id, m.observations, $1, m.control_id, m.body
FROM unnest($2::uuid[], $3::int[], $4::text[], $5::bytea[])
    WITH ORDINALITY AS m (patient_id, observations, control_id, body, place)
ORDER BY m.place

-- name: take_messages
-- settled_at of one that waits: when it was dead before.
SELECT
    m.message_id, m.patient_id, m.control_id, m.attempts, m.body,
    m.settled_at IS NOT NULL AS was_dead
FROM hl7_message AS m
WHERE
    m.destination = $1 AND m.state = 'waiting'
    AND NOT EXISTS (
        SELECT FROM hl7_message AS e
        WHERE
            e.patient_id = m.patient_id AND e.destination = $1 AND e.state = 'waiting'
            AND e.message_id <= m.message_id AND e.next_at > clock_timestamp()
    )
ORDER BY m.message_id
LIMIT $2

-- part: on_record
-- That a patient's data went to a destination.
INSERT INTO audit_event (
    recorded_at, status, face, action, interaction, kind, resource_id, query, client, login,
    address, patients
)
SELECT
    clock_timestamp(), m.status, 'hl7', 'R', 'message', '', m.control_id, '', m.destination, '',
    '', ARRAY[m.patient_id]
FROM m

-- name: settle_message_sent
WITH m AS (
    UPDATE hl7_message SET state = 'sent', settled_at = now(), reason = '', body = NULL
    WHERE message_id = $1
    RETURNING patient_id, destination, control_id, 0 AS status
)
{on_record}

-- name: settle_message_failed
WITH m AS (
    UPDATE hl7_message
    SET
        attempts = attempts + 1, reason = $2,
        state = CASE WHEN $3::double precision IS NULL THEN 'dead' ELSE 'waiting' END,
        settled_at = CASE WHEN $3::double precision IS NULL THEN now() ELSE settled_at END,
        next_at = clock_timestamp() + make_interval(secs => coalesce($3::double precision, 0))
    WHERE message_id = $1
    RETURNING patient_id, destination, control_id, 400 AS status
)
{on_record}

-- name: note_message_unknown
WITH m AS (
    SELECT patient_id, destination, control_id, 500 AS status
    FROM hl7_message WHERE message_id = $1
)
{on_record}

-- name: note_trouble
UPDATE hl7_destination
SET
    reason = $2, attempts = CASE WHEN $2 = '' THEN 0 ELSE attempts + 1 END,
    next_at = clock_timestamp() + make_interval(secs => $3)
WHERE name = $1 AND ($2 <> '' OR reason <> '')

-- name: destination_status
SELECT
    d.name, d.reason,
    count(m.message_id) FILTER (WHERE m.state = 'waiting') AS waiting,
    count(m.message_id) FILTER (WHERE m.state = 'sent') AS sent,
    count(m.message_id) FILTER (WHERE m.state = 'dead') AS dead,
    min(m.made_at) FILTER (WHERE m.state = 'waiting') AS oldest,
    coalesce((SELECT max(commit_seq) FROM commit_log), 0) - d.commit_seq AS behind
FROM hl7_destination AS d
LEFT JOIN hl7_message AS m ON m.destination = d.name
GROUP BY d.name
ORDER BY d.name

-- name: dead_messages
SELECT
    message_id, destination, control_id, patient_id, observations, attempts, made_at, reason
FROM hl7_message
WHERE
    state = 'dead' AND message_id > $2
    AND ($3::text IS NULL OR destination = $3)
    AND ($4::bigint IS NULL OR message_id = $4)
ORDER BY message_id
LIMIT $1

-- name: message_body
SELECT body FROM hl7_message WHERE message_id = $1

-- name: retry_message
UPDATE hl7_message
SET state = 'waiting', attempts = 0, next_at = now()
WHERE state = 'dead' AND message_id = $1
RETURNING message_id

-- name: drop_overtaken
DELETE FROM hl7_message WHERE message_id = $1 AND state <> 'sent' RETURNING message_id

-- name: drop_message
DELETE FROM hl7_message WHERE message_id = $1 AND state = 'dead' RETURNING message_id

-- name: forget_messages
DELETE FROM hl7_message WHERE state = 'sent' AND settled_at < now() - make_interval(days => $1)
