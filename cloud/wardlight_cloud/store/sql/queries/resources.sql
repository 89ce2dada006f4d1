-- Stored resources: writing, reading by id, versions.

-- name: lock_resources
SELECT lock_resources()

-- name: keep_patient
SELECT keep_patient($1::uuid)

-- name: held_resources
-- In the order of what is asked for.
SELECT r.resource_key, r.commit_seq, r.stored_at, r.kind, r.id, r.patients, r.body
FROM unnest($1::text[], $2::text[]) AS k (kind, id)
INNER JOIN resource AS r USING (kind, id)

-- name: add_resources
INSERT INTO resource (commit_seq, stored_at, is_new, kind, id, patients, body)
SELECT $1, $2, true, k.kind, k.id, string_to_array(k.patients, ',')::uuid[], k.body
FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[])
    WITH ORDINALITY AS k (kind, id, patients, body, place)
ORDER BY k.place
RETURNING resource_key, kind, id

-- name: change_resources
UPDATE resource AS r
SET
    commit_seq = $1, stored_at = $2, is_new = r.body IS NULL AND k.body IS NOT NULL,
    patients = string_to_array(k.patients, ',')::uuid[], body = k.body
FROM unnest($3::bigint[], $4::text[], $5::bytea[]) AS k (resource_key, patients, body)
WHERE r.resource_key = k.resource_key

-- name: add_versions
INSERT INTO resource_version
    (resource_key, commit_seq, stored_at, is_new, kind, id, patients, body)
SELECT resource_key, commit_seq, stored_at, is_new, kind, id, patients, body
FROM resource
WHERE resource_key = ANY($1::bigint[])

-- name: clear_texts
DELETE FROM resource_text WHERE resource_key = ANY($1::bigint[])

-- name: clear_ranges
DELETE FROM resource_range WHERE resource_key = ANY($1::bigint[])

-- name: add_texts
INSERT INTO resource_text (resource_key, param, value, system)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])

-- name: add_ranges
INSERT INTO resource_range (resource_key, param, low, high, unit, is_first)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::numeric[], $4::numeric[], $5::text[], $6::bool[])

-- name: resources_by_id
SELECT resource_key, commit_seq, stored_at, is_new, kind, id, patients, body
FROM resource
WHERE
    kind = $1 AND id = ANY($2::text[])
    AND ($3::uuid[] IS NULL OR (patients && $3 AND patients <@ $3))
ORDER BY resource_key

-- name: resource_version
SELECT resource_key, commit_seq, stored_at, is_new, kind, id, patients, body
FROM resource_version
WHERE
    resource_key = (SELECT r.resource_key FROM resource AS r WHERE r.kind = $1 AND r.id = $2)
    AND commit_seq = $3
    AND ($4::uuid[] IS NULL OR (patients && $4 AND patients <@ $4))

-- part: version_wanted
-- $1 kinds, $2 patients, $3 since when
v.kind = ANY($1::text[])
AND ($2::uuid[] IS NULL OR (v.patients && $2 AND v.patients <@ $2))
AND ($3::timestamptz IS NULL OR v.stored_at >= $3)

-- name: history
-- $4 and $5 the last one seen, $6 how many
SELECT resource_key, commit_seq, stored_at, is_new, kind, id, patients, body
FROM resource_version AS v
WHERE
    {version_wanted}
    AND ($4::bigint IS NULL OR (v.commit_seq, v.resource_key) < ($4, $5::bigint))
ORDER BY v.commit_seq DESC, v.resource_key DESC
LIMIT $6

-- name: history_of_one
SELECT resource_key, commit_seq, stored_at, is_new, kind, id, patients, body
FROM resource_version AS v
WHERE
    {version_wanted}
    AND ($4::bigint IS NULL OR (v.commit_seq, v.resource_key) < ($4, $5::bigint))
    AND v.resource_key = (
        SELECT r.resource_key FROM resource AS r WHERE r.kind = ANY($1) AND r.id = $7
    )
ORDER BY v.commit_seq DESC, v.resource_key DESC
LIMIT $6

-- name: count_history
SELECT count(*) FROM resource_version AS v
WHERE
    {version_wanted}
    AND ($4::text IS NULL OR v.resource_key = (
        SELECT r.resource_key FROM resource AS r WHERE r.kind = ANY($1) AND r.id = $4
    ))

-- name: references_of
SELECT value
FROM resource_text
WHERE resource_key = ANY($1::bigint[]) AND param = ANY($2::text[])
GROUP BY value
ORDER BY value

-- name: names_several
-- Whether one of the identifiers $1 with the systems $2 (NULL = any) is of several Patients, of
-- those that $3 sees (NULL = all).
SELECT EXISTS (
    SELECT FROM unnest($1::text[], $2::text[]) AS k (value, system)
    WHERE (
        SELECT count(DISTINCT t.resource_key)
        FROM resource_text AS t
        INNER JOIN resource AS r USING (resource_key)
        WHERE
            t.param = 'Patient.identifier' AND t.value = k.value
            AND (k.system IS NULL OR t.system = k.system)
            AND r.body IS NOT NULL
            AND ($3::uuid[] IS NULL OR (r.patients && $3 AND r.patients <@ $3))
    ) > 1
)

-- name: resource_owners
-- The newest commit of a kind ($1), and the patients of what commits after $2 wrote.
SELECT
    (SELECT max(commit_seq) FROM resource WHERE kind = $1) AS newest,
    ARRAY(
        SELECT DISTINCT p.patient_id
        FROM resource AS r CROSS JOIN unnest(r.patients) AS p (patient_id)
        WHERE r.kind = $1 AND r.commit_seq > $2
    ) AS patients
