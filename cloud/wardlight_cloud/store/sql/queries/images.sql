-- The index of images: putting instances on it, and reading it.
-- Order of locks: studies by UID, then their series, blobs by hash, instances by UID, the commit lock
-- last. Whatever two writers could both write is written under the lock of its study.

-- name: known_files
-- Files on record under these UIDs: the one that is shown, and versions beside it.
SELECT sop_uid, sha256 FROM image_instance WHERE sop_uid = ANY($1::text[])
UNION ALL
SELECT sop_uid, sha256 FROM image_version WHERE sop_uid = ANY($1::text[])

-- name: add_studies
INSERT INTO image_study (
    study_uid, study_date, study_time, accession, study_id, description, referring, patient_name,
    dicom_patient_id, issuer, birth_date, sex, attributes_of, attributes, name_grams, modalities,
    sop_classes, identities
)
SELECT n.*, '{}', '{}', '{}', '{}'
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bytea[]
) AS n (
    study_uid, study_date, study_time, accession, study_id, description, referring, patient_name,
    dicom_patient_id, issuer, birth_date, sex, attributes_of, attributes
)
ORDER BY n.study_uid
ON CONFLICT (study_uid) DO NOTHING

-- name: lock_studies
SELECT
    s.study_pk, s.study_uid, s.patient_id, s.unmatched, s.identities, s.modalities, s.sop_classes,
    s.attributes_of, octet_length(s.attributes) AS attributes_size,
    a.patient_id AS assigned, coalesce(a.identities, '{}') AS decided,
    to_char(p.birth_date, 'YYYYMMDD') AS born, to_char(o.birth_date, 'YYYYMMDD') AS assigned_born
FROM image_study AS s
LEFT JOIN image_assignment AS a USING (study_uid)
LEFT JOIN patient AS p ON p.patient_id = s.patient_id
LEFT JOIN patient AS o ON o.patient_id = a.patient_id
WHERE s.study_uid = ANY($1::text[])
ORDER BY s.study_uid
FOR UPDATE OF s

-- name: better_studies
-- Attributes of an instance that says more of the study than the one they were taken from.
UPDATE image_study AS s
SET
    study_date = n.study_date,
    study_time = n.study_time,
    accession = n.accession,
    study_id = n.study_id,
    description = n.description,
    referring = n.referring,
    patient_name = n.patient_name,
    dicom_patient_id = n.dicom_patient_id,
    issuer = n.issuer,
    birth_date = n.birth_date,
    sex = n.sex,
    attributes_of = n.attributes_of,
    attributes = n.attributes
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bytea[]
) AS n (
    study_uid, study_date, study_time, accession, study_id, description, referring, patient_name,
    dicom_patient_id, issuer, birth_date, sex, attributes_of, attributes
)
WHERE s.study_uid = n.study_uid

-- name: mark_study
-- What the study has of, and pieces of its name; $2 modalities, $3 SOP classes, $4 pieces.
UPDATE image_study SET modalities = $2, sop_classes = $3, name_grams = coalesce($4, name_grams)
WHERE study_pk = $1

-- name: say_whose
-- $2 NULL: nobody's, for the reason $3; the time since it waits stays.
UPDATE image_study SET
    patient_id = $2,
    unmatched = $3,
    unmatched_since = CASE WHEN $3::text IS NOT NULL THEN coalesce(unmatched_since, now()) END,
    identities = $4
WHERE study_pk = $1

-- name: add_series
INSERT INTO image_series (
    study_pk, series_uid, series_number, modality, description, series_date, series_time,
    step_date, step_time, body_part, laterality, protocol, station, institution, manufacturer,
    model, step_id, procedure_id, attributes_of, attributes
)
SELECT n.*
FROM unnest(
    $1::bigint[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::text[], $17::text[], $18::text[], $19::bytea[], $20::bytea[]
) AS n
ON CONFLICT (study_pk, series_uid) DO NOTHING

-- name: series_of_studies
SELECT
    series_pk, study_pk, series_uid, attributes_of, octet_length(attributes) AS attributes_size,
    instance_count
FROM image_series
WHERE study_pk = ANY($1::bigint[]) AND series_uid = ANY($2::text[])

-- name: better_series
UPDATE image_series AS s
SET
    series_number = n.series_number,
    modality = n.modality,
    description = n.description,
    series_date = n.series_date,
    series_time = n.series_time,
    step_date = n.step_date,
    step_time = n.step_time,
    body_part = n.body_part,
    laterality = n.laterality,
    protocol = n.protocol,
    station = n.station,
    institution = n.institution,
    manufacturer = n.manufacturer,
    model = n.model,
    step_id = n.step_id,
    procedure_id = n.procedure_id,
    attributes_of = n.attributes_of,
    attributes = n.attributes
FROM unnest(
    $1::bigint[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::text[], $17::text[], $18::text[], $19::bytea[], $20::bytea[]
) AS n (
    study_pk, series_uid, series_number, modality, description, series_date, series_time,
    step_date, step_time, body_part, laterality, protocol, station, institution, manufacturer,
    model, step_id, procedure_id, attributes_of, attributes
)
WHERE s.study_pk = n.study_pk AND s.series_uid = n.series_uid

-- name: use_blobs
INSERT INTO blob AS b (sha256, size, refs)
SELECT n.sha256, n.size, n.refs
FROM unnest($1::bytea[], $2::bigint[], $3::int[]) AS n (sha256, size, refs)
ORDER BY n.sha256
ON CONFLICT (sha256) DO UPDATE SET refs = b.refs + excluded.refs

-- name: add_instances
INSERT INTO image_instance (
    series_pk, sop_uid, sop_class, transfer_syntax, instance_number, frame_count, rows_px,
    columns_px, sha256, content_date, content_time, completion, verification, attributes
)
SELECT n.*
FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[], $8::int[],
    $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[]
) AS n (
    series_pk, sop_uid, sop_class, transfer_syntax, instance_number, frame_count, rows_px,
    columns_px, sha256, content_date, content_time, completion, verification, attributes
)
ORDER BY n.sop_uid
RETURNING instance_pk, sop_uid

-- name: add_headers
INSERT INTO image_header (instance_pk, header, frames, bulk)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[])

-- name: add_versions
INSERT INTO image_version (
    sop_uid, sha256, way, gateway, spool, item, calling_ae, called_ae, peer, received_at,
    assumed_issuer, study_uid
)
SELECT * FROM unnest(
    $1::text[], $2::bytea[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
    $8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::text[]
)

-- name: add_uploads
INSERT INTO image_upload (
    sop_uid, sha256, way, gateway, spool, item, calling_ae, called_ae, peer, received_at,
    assumed_issuer, outcome
)
SELECT n.*
FROM unnest(
    $1::text[], $2::bytea[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
    $8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::text[]
) AS n (
    sop_uid, sha256, way, gateway, spool, item, calling_ae, called_ae, peer, received_at,
    assumed_issuer, outcome
)
ORDER BY n.gateway, n.spool, n.item
ON CONFLICT (gateway, spool, item) WHERE gateway IS NOT NULL DO NOTHING

-- name: file_of_hash
-- The class of a version is not on the index.
SELECT sop_uid, sop_class FROM image_instance WHERE sha256 = $1
UNION ALL
SELECT sop_uid, '' AS sop_class FROM image_version WHERE sha256 = $1
LIMIT 1

-- name: count_series
UPDATE image_series AS s SET instance_count = s.instance_count + n.instances
FROM unnest($1::bigint[], $2::int[]) AS n (series_pk, instances)
WHERE s.series_pk = n.series_pk

-- name: count_studies
INSERT INTO image_study_state AS t (
    study_pk, series_count, instance_count, size_bytes, commit_seq, updated_at, made_at
)
SELECT n.study_pk, n.series, n.instances, n.size_bytes, $5, $6, $6
FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[])
    AS n (study_pk, series, instances, size_bytes)
ON CONFLICT (study_pk) DO UPDATE
SET
    series_count = t.series_count + excluded.series_count,
    instance_count = t.instance_count + excluded.instance_count,
    size_bytes = t.size_bytes + excluded.size_bytes,
    commit_seq = excluded.commit_seq,
    updated_at = excluded.updated_at

-- part: ref
s.study_uid, e.series_uid, i.sop_uid, i.sop_class, i.transfer_syntax, i.sha256, b.size,
i.instance_number, i.rows_px, i.columns_px, i.frame_count, b.tier, i.stored_at,
EXISTS (
    SELECT FROM object_finding AS f
    WHERE f.sha256 = i.sha256 AND f.resolved_at IS NULL AND f.kind <> 'unindexed'
) AS is_doubted

-- part: shown
image_study AS s
INNER JOIN image_series AS e USING (study_pk)
INNER JOIN image_instance AS i USING (series_pk)
INNER JOIN blob AS b USING (sha256)

-- part: below
WHERE
    s.study_uid = $1
    AND ($2::text IS NULL OR e.series_uid = $2)
    AND ($3::text IS NULL OR i.sop_uid = $3)
ORDER BY e.series_number, e.series_uid, i.instance_number, i.sop_uid

-- name: instances
SELECT {ref} FROM {shown}
{below}

-- name: headers
SELECT {ref}, h.header FROM {shown}
INNER JOIN image_header AS h USING (instance_pk)
{below}

-- name: headers_of
SELECT
    {ref},
    h.header
FROM unnest($1::text[]) WITH ORDINALITY AS n (sop_uid, place)
INNER JOIN image_instance AS i USING (sop_uid)
INNER JOIN image_series AS e USING (series_pk)
INNER JOIN image_study AS s USING (study_pk)
INNER JOIN blob AS b USING (sha256)
INNER JOIN image_header AS h USING (instance_pk)
ORDER BY n.place

-- name: header_sizes
-- The beginning of a compressed header tells its size; the rest is not read.
SELECT i.sop_uid, substring(h.header FOR 18) AS beginning
FROM image_instance AS i
INNER JOIN image_header AS h USING (instance_pk)
WHERE i.sop_uid = ANY($1::text[])

-- name: lacking
-- No series is looked at where nothing is cold and no finding is open at all, each until one of its
-- objects is cold, and no instances where no finding is open. MATERIALIZED: else each twice.
WITH found AS MATERIALIZED (
    SELECT
        s.study_uid,
        e.series_uid,
        EXISTS (SELECT FROM blob AS c WHERE c.tier = 'cold')
        AND EXISTS (
            SELECT FROM image_instance AS i
            INNER JOIN blob AS b USING (sha256)
            WHERE i.series_pk = e.series_pk AND b.tier = 'cold'
        ) AS is_cold,
        (
            SELECT count(*) FROM image_instance AS i
            WHERE
                i.series_pk = e.series_pk
                AND EXISTS (
                    SELECT FROM object_finding AS f
                    WHERE f.resolved_at IS NULL AND f.kind <> 'unindexed'
                )
                AND EXISTS (
                    SELECT FROM object_finding AS f
                    WHERE
                        f.sha256 = i.sha256 AND f.resolved_at IS NULL AND f.kind <> 'unindexed'
                )
        ) AS doubted
    FROM image_study AS s
    INNER JOIN image_series AS e USING (study_pk)
    WHERE
        s.study_uid = ANY($1::text[])
        AND (
            EXISTS (SELECT FROM blob AS c WHERE c.tier = 'cold')
            OR EXISTS (
                SELECT FROM object_finding AS f
                WHERE f.resolved_at IS NULL AND f.kind <> 'unindexed'
            )
        )
)

SELECT study_uid, series_uid, is_cold, doubted FROM found WHERE is_cold OR doubted > 0

-- name: instance
SELECT {ref} FROM {shown}
WHERE i.sop_uid = $1

-- name: frames
SELECT h.frames FROM image_instance AS i INNER JOIN image_header AS h USING (instance_pk)
WHERE i.sop_uid = $1 AND i.sha256 = $2

-- name: bulk
SELECT h.bulk FROM image_instance AS i INNER JOIN image_header AS h USING (instance_pk)
WHERE i.sop_uid = $1 AND i.sha256 = $2

-- name: patient_of_study
SELECT patient_id FROM image_study WHERE study_uid = $1

-- name: receipts
-- Of whose objects nothing is known to be wrong; one that is only on no index is well.
SELECT i.sop_uid, i.sha256, b.size
FROM image_instance AS i
INNER JOIN blob AS b USING (sha256)
WHERE
    i.sop_uid = ANY($1::text[])
    AND NOT EXISTS (
        SELECT FROM object_finding AS f
        WHERE f.sha256 = i.sha256 AND f.resolved_at IS NULL AND f.kind <> 'unindexed'
    )

-- name: identified
SELECT i.value, i.system, p.patient_id, p.birth_date, p.family, p.given, p.gender
FROM patient_identifier AS i
INNER JOIN patient AS p USING (patient_id)
WHERE i.value = ANY($1::text[])

-- name: lock_study
SELECT study_pk, identities FROM image_study WHERE study_uid = $1 FOR UPDATE

-- name: assign_study
INSERT INTO image_assignment AS a (study_uid, patient_id, decided_by, identities)
VALUES ($1, $2, $3, $4)
ON CONFLICT (study_uid) DO UPDATE
SET
    patient_id = excluded.patient_id,
    decided_by = excluded.decided_by,
    decided_at = clock_timestamp(),
    identities = excluded.identities

-- name: change_study
UPDATE image_study_state SET commit_seq = $2, updated_at = $3 WHERE study_pk = $1

-- name: unmatched
SELECT
    s.study_uid, s.dicom_patient_id, s.issuer, s.accession, s.modalities, t.instance_count,
    s.unmatched_since, s.unmatched, split_part(s.identities[1], '\', 1) AS given_by
FROM image_study AS s
INNER JOIN image_study_state AS t USING (study_pk)
WHERE s.unmatched IS NOT NULL
ORDER BY s.unmatched_since, s.study_pk
LIMIT $1

-- name: versions
-- Files that share their UID, of one UID or of all: the one that is shown, and those beside it.
WITH disputed AS (
    SELECT DISTINCT sop_uid FROM image_version WHERE $1::text IS NULL OR sop_uid = $1
)
SELECT
    v.sop_uid, v.sha256, b.size, v.stored_at, v.way, v.gateway, v.spool, v.item, v.calling_ae,
    v.called_ae, v.peer, v.received_at, v.assumed_issuer, false AS is_shown,
    coalesce(v.study_uid, '') AS study_uid,
    coalesce(v.study_uid <> s.study_uid, false) AS is_elsewhere
FROM disputed
INNER JOIN image_version AS v USING (sop_uid)
INNER JOIN blob AS b USING (sha256)
LEFT JOIN image_instance AS i USING (sop_uid)
LEFT JOIN image_series AS e USING (series_pk)
LEFT JOIN image_study AS s USING (study_pk)
UNION ALL
SELECT
    i.sop_uid, i.sha256, b.size, i.stored_at, u.way, u.gateway, u.spool, u.item, u.calling_ae,
    u.called_ae, u.peer, u.received_at, u.assumed_issuer, true AS is_shown, s.study_uid,
    false AS is_elsewhere
FROM disputed
INNER JOIN image_instance AS i USING (sop_uid)
INNER JOIN image_series AS e USING (series_pk)
INNER JOIN image_study AS s USING (study_pk)
INNER JOIN blob AS b USING (sha256)
LEFT JOIN LATERAL (
    SELECT * FROM image_upload AS f WHERE f.sha256 = i.sha256 ORDER BY f.upload_id LIMIT 1
) AS u ON true
ORDER BY sop_uid, stored_at, sha256

-- name: put_note
INSERT INTO image_note (
    note_id, study_uid, sop_uid, frame, note, author, written_at, drawing, replaces, commit_seq
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10)
ON CONFLICT (note_id) DO NOTHING

-- name: withdraw_note
-- What was withdrawn before keeps who did it and when.
UPDATE image_note
SET
    withdrawn_at = coalesce(withdrawn_at, $3),
    withdrawn_by = coalesce(withdrawn_by, $4),
    commit_seq = CASE WHEN withdrawn_at IS NULL THEN $5 ELSE commit_seq END
WHERE note_id = $1 AND study_uid = $2
RETURNING note_id

-- name: notes_of_study
SELECT
    note_id, study_uid, sop_uid, frame, note, author, written_at, drawing::text, withdrawn_at,
    withdrawn_by, replaces
FROM image_note
WHERE study_uid = $1
ORDER BY written_at DESC, note_id
LIMIT $2

-- name: notes_of_patient
SELECT
    n.note_id, n.study_uid, n.sop_uid, n.frame, n.note, n.author, n.written_at, n.drawing::text,
    n.withdrawn_at, n.withdrawn_by, n.replaces
FROM image_note AS n
INNER JOIN image_study AS s USING (study_uid)
WHERE s.patient_id = $1
ORDER BY n.written_at DESC, n.note_id
LIMIT $2

-- name: newest_notes
SELECT
    note_id, study_uid, sop_uid, frame, note, author, written_at, drawing::text, withdrawn_at,
    withdrawn_by, replaces
FROM image_note
ORDER BY written_at DESC, note_id
LIMIT $1
