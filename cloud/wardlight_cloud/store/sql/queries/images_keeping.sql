-- Holds, retention, checks, tiers and versions of images.

-- name: lock_held
-- A study, and those in which another file of one of its instances is shown.
SELECT s.study_pk
FROM image_study AS s
WHERE
    s.study_uid = $1
    OR s.study_pk IN (
        SELECT e.study_pk
        FROM image_version AS v
        INNER JOIN image_instance AS i USING (sop_uid)
        INNER JOIN image_series AS e USING (series_pk)
        WHERE v.study_uid = $1
    )
ORDER BY s.study_uid
FOR UPDATE

-- name: hold_study
INSERT INTO image_hold (study_uid, reason, placed_by) VALUES ($1, $2, $3)
ON CONFLICT (study_uid) WHERE released_at IS NULL DO NOTHING

-- name: release_study
UPDATE image_hold SET released_at = clock_timestamp(), released_by = $2
WHERE study_uid = $1 AND released_at IS NULL
RETURNING hold_id

-- name: holds
SELECT study_uid, reason, placed_by, placed_at, released_by, released_at
FROM image_hold
WHERE ($1::text IS NULL AND released_at IS NULL) OR study_uid = $1
ORDER BY placed_at DESC, hold_id DESC

-- part: has_hold
-- On the study, or on that of a version which would go with it.
(
    EXISTS (SELECT FROM image_hold AS h WHERE h.study_uid = s.study_uid AND h.released_at IS NULL)
    OR EXISTS (
        SELECT FROM image_hold AS h
        INNER JOIN image_version AS v USING (study_uid)
        INNER JOIN image_instance AS i USING (sop_uid)
        INNER JOIN image_series AS e USING (series_pk)
        WHERE h.released_at IS NULL AND e.study_pk = s.study_pk
    )
)

-- part: is_due
t.updated_at < $1
AND (cardinality($2::text[]) = 0 OR (s.modalities <@ $2::text[] AND s.modalities <> '{}'))
AND (NOT $3::boolean OR s.patient_id IS NULL)
AND NOT {has_hold}

-- name: due_studies
SELECT s.study_uid
FROM image_study_state AS t
INNER JOIN image_study AS s USING (study_pk)
WHERE
    {is_due}
    -- Studies change in the order of commits, so those that changed later are not looked at.
    AND t.commit_seq <= (
        SELECT c.commit_seq FROM commit_log AS c WHERE c.stored_at < $1
        ORDER BY c.stored_at DESC, c.commit_seq DESC LIMIT 1
    )
ORDER BY t.commit_seq
LIMIT $4

-- name: times
-- received: of the newest uploads only, for others may have come in great number since.
SELECT
    clock_timestamp() AS now,
    c.stored_at AS newest,
    (
        SELECT b.stored_at FROM commit_log AS b WHERE b.stored_at <= c.stored_at - $1::interval
        ORDER BY b.stored_at DESC, b.commit_seq DESC LIMIT 1
    ) AS before,
    (
        SELECT max(u.received_at)
        FROM (SELECT * FROM image_upload ORDER BY upload_id DESC LIMIT 1000) AS u
        WHERE u.gateway IS NOT NULL AND u.stored_at > clock_timestamp() - $1::interval
    ) AS received
FROM (SELECT) AS always
LEFT JOIN LATERAL (
    SELECT n.stored_at FROM commit_log AS n ORDER BY n.stored_at DESC, n.commit_seq DESC LIMIT 1
) AS c ON true

-- name: lock_due_study
SELECT s.study_pk
FROM image_study AS s
INNER JOIN image_study_state AS t USING (study_pk)
WHERE s.study_uid = $4 AND {is_due}
FOR UPDATE

-- name: is_held
SELECT {has_hold} FROM image_study AS s WHERE s.study_pk = $1

-- name: bury_study
INSERT INTO image_tombstone (
    commit_seq, removed_at, rule, stored_at, size, sha256, study_uid, series_uid, sop_uid, patient_id
)
SELECT
    $2::bigint, $3::timestamptz, $4::text, i.stored_at, b.size, i.sha256, s.study_uid, e.series_uid, i.sop_uid, s.patient_id
FROM image_study AS s
INNER JOIN image_series AS e USING (study_pk)
INNER JOIN image_instance AS i USING (series_pk)
INNER JOIN blob AS b USING (sha256)
WHERE s.study_pk = $1
UNION ALL
SELECT
    $2::bigint, $3::timestamptz, $4::text, v.stored_at, b.size, v.sha256, s.study_uid, e.series_uid, v.sop_uid, s.patient_id
FROM image_study AS s
INNER JOIN image_series AS e USING (study_pk)
INNER JOIN image_instance AS i USING (series_pk)
INNER JOIN image_version AS v USING (sop_uid)
INNER JOIN blob AS b ON b.sha256 = v.sha256
WHERE s.study_pk = $1

-- name: files_of_studies
-- Files of these studies with the locks of their blobs: those shown, and versions beside them.
SELECT b.sha256
FROM blob AS b
WHERE
    b.sha256 IN (
        SELECT i.sha256
        FROM image_series AS e
        INNER JOIN image_instance AS i USING (series_pk)
        WHERE e.study_pk = ANY($1::bigint[])
        UNION ALL
        SELECT v.sha256
        FROM image_series AS e
        INNER JOIN image_instance AS i USING (series_pk)
        INNER JOIN image_version AS v USING (sop_uid)
        WHERE e.study_pk = ANY($1::bigint[])
    )
ORDER BY b.sha256
FOR UPDATE

-- name: remove_versions_of_study
DELETE FROM image_version AS v
USING image_instance AS i
INNER JOIN image_series AS e USING (series_pk)
WHERE v.sop_uid = i.sop_uid AND e.study_pk = $1

-- name: remove_study
DELETE FROM image_study WHERE study_pk = $1

-- name: count_refs
UPDATE blob AS b
SET refs = (SELECT count(*) FROM image_instance AS i WHERE i.sha256 = b.sha256)
    + (SELECT count(*) FROM image_version AS v WHERE v.sha256 = b.sha256)
WHERE b.sha256 = ANY($1::bytea[])

-- name: unused_objects
SELECT sha256 FROM blob WHERE refs = 0 AND sha256 > $1 ORDER BY sha256 LIMIT $2

-- name: remove_unused
DELETE FROM blob WHERE sha256 = $1 AND refs = 0 RETURNING sha256

-- name: objects_to_check
SELECT sha256, size, tier, stored_at, checked_at
FROM blob
WHERE (checked_at IS NULL OR checked_at < $1) AND refs > 0
ORDER BY checked_at NULLS FIRST, sha256
LIMIT $2

-- name: stored_object
SELECT sha256, size, tier, stored_at, checked_at FROM blob WHERE sha256 = $1

-- name: lock_checked
SELECT checked_at FROM blob WHERE sha256 = $1 FOR UPDATE

-- name: note_checked
UPDATE blob SET checked_at = clock_timestamp() WHERE sha256 = $1

-- name: resolve_findings
UPDATE object_finding SET resolved_at = clock_timestamp(), ended = $3
WHERE sha256 = $1 AND resolved_at IS NULL AND kind IS DISTINCT FROM $2

-- name: note_replaced
UPDATE blob SET checked_at = clock_timestamp(), tier = $2 WHERE sha256 = $1

-- name: is_doubted
-- An object that is only on no index is well.
SELECT EXISTS (
    SELECT FROM object_finding
    WHERE sha256 = $1 AND resolved_at IS NULL AND kind <> 'unindexed'
)

-- name: change_studies_of_object
-- Those that show it: whether it is given out is told with them.
UPDATE image_study_state AS t SET commit_seq = $2, updated_at = $3
WHERE t.study_pk IN (
    SELECT e.study_pk
    FROM image_instance AS i
    INNER JOIN image_series AS e USING (series_pk)
    WHERE i.sha256 = $1
)

-- name: ended_findings
SELECT finding_id, sha256, kind, found_at, resolved_at, ended
FROM object_finding
WHERE resolved_at IS NOT NULL
ORDER BY resolved_at DESC, finding_id DESC
LIMIT $1

-- name: add_finding
INSERT INTO object_finding (sha256, kind) VALUES ($1, $2)
ON CONFLICT (sha256, kind) WHERE resolved_at IS NULL DO NOTHING

-- name: findings
SELECT finding_id, sha256, kind, found_at, resolved_at, ended
FROM object_finding
WHERE resolved_at IS NULL
ORDER BY found_at DESC, finding_id DESC
LIMIT $1

-- name: object_totals
SELECT
    count(*) AS objects,
    coalesce(sum(size), 0)::bigint AS size_bytes,
    count(*) FILTER (WHERE tier = 'cold') AS cold,
    coalesce(sum(size) FILTER (WHERE tier = 'cold'), 0)::bigint AS cold_bytes,
    (SELECT count(*) FROM object_finding WHERE resolved_at IS NULL) AS findings
FROM blob

-- name: objects_to_cool
-- After $2, $3, the last of the page before; what is known to be damaged stays where it is.
SELECT b.sha256, b.size, b.tier, b.stored_at, b.checked_at
FROM blob AS b
WHERE
    b.tier = 'hot' AND b.stored_at < $1 AND b.refs > 0
    AND ($2::timestamptz IS NULL OR (b.stored_at, b.sha256) > ($2, $3::bytea))
    AND NOT EXISTS (
        SELECT FROM object_finding AS f
        WHERE f.sha256 = b.sha256 AND f.resolved_at IS NULL AND f.kind <> 'unindexed'
    )
ORDER BY b.stored_at, b.sha256
LIMIT $4

-- name: set_tier
UPDATE blob SET tier = $2 WHERE sha256 = ANY($1::bytea[])

-- name: indexed
SELECT sha256 FROM blob WHERE sha256 = ANY($1::bytea[])

-- name: accounted
-- On the index, or set aside for an operator.
SELECT sha256 FROM blob WHERE sha256 = ANY($1::bytea[])
UNION
SELECT sha256 FROM blob_aside WHERE sha256 = ANY($1::bytea[])

-- name: buried
-- Removed, and not brought again since.
SELECT t.sha256
FROM image_tombstone AS t
WHERE t.sha256 = ANY($1::bytea[])
GROUP BY t.sha256
HAVING NOT EXISTS (
    SELECT FROM image_upload AS u WHERE u.sha256 = t.sha256 AND u.stored_at > max(t.removed_at)
)

-- name: add_unused
INSERT INTO blob (sha256, size, refs)
SELECT n.sha256, n.size, 0 FROM unnest($1::bytea[], $2::bigint[]) AS n (sha256, size)
ORDER BY n.sha256
ON CONFLICT DO NOTHING

-- name: clear_images
TRUNCATE image_study, image_study_state, image_series, image_instance, image_header, image_version,
blob

-- name: times_of_blobs
UPDATE blob AS b SET stored_at = u.stored_at
FROM (SELECT sha256, min(stored_at) AS stored_at FROM image_upload GROUP BY sha256) AS u
WHERE u.sha256 = b.sha256 AND b.stored_at > u.stored_at

-- name: times_of_instances
UPDATE image_instance AS i SET stored_at = b.stored_at
FROM blob AS b
WHERE b.sha256 = i.sha256 AND i.stored_at > b.stored_at

-- name: times_of_studies
UPDATE image_study_state AS t SET made_at = f.stored_at
FROM (
    SELECT e.study_pk, min(i.stored_at) AS stored_at
    FROM image_series AS e
    INNER JOIN image_instance AS i USING (series_pk)
    GROUP BY e.study_pk
) AS f
WHERE f.study_pk = t.study_pk AND t.made_at > f.stored_at

-- name: misplaced
WITH files AS (
    SELECT v.sop_uid, v.sha256, false AS is_shown FROM image_version AS v
    UNION ALL
    SELECT i.sop_uid, i.sha256, true AS is_shown
    FROM image_instance AS i
    WHERE EXISTS (SELECT FROM image_version AS v WHERE v.sop_uid = i.sop_uid)
),

best AS (
    SELECT DISTINCT ON (f.sop_uid) f.sop_uid, f.sha256, f.is_shown
    FROM files AS f
    LEFT JOIN LATERAL (
        SELECT c.sha256 FROM image_choice AS c
        WHERE c.sop_uid = f.sop_uid
        ORDER BY c.choice_id DESC LIMIT 1
    ) AS chosen ON true
    LEFT JOIN LATERAL (
        SELECT min(u.upload_id) AS upload_id FROM image_upload AS u
        WHERE u.sha256 = f.sha256 AND u.sop_uid = f.sop_uid
    ) AS first ON true
    ORDER BY
        f.sop_uid,
        (chosen.sha256 IS NOT NULL AND chosen.sha256 = f.sha256) DESC,
        first.upload_id NULLS LAST,
        f.is_shown DESC,
        f.sha256
)

SELECT sop_uid, sha256 FROM best WHERE NOT is_shown

-- name: instances_as_new
SELECT
    s.study_uid, e.series_uid, i.sop_uid, i.sop_class, i.transfer_syntax, i.sha256, b.size,
    i.frame_count, i.rows_px, i.columns_px, h.header, h.frames, h.bulk, u.way, u.gateway, u.spool,
    u.item, u.calling_ae, u.called_ae, u.peer, u.received_at, u.assumed_issuer
FROM image_study AS s
INNER JOIN image_series AS e USING (study_pk)
INNER JOIN image_instance AS i USING (series_pk)
INNER JOIN blob AS b USING (sha256)
INNER JOIN image_header AS h USING (instance_pk)
LEFT JOIN LATERAL (
    SELECT * FROM image_upload AS f WHERE f.sha256 = i.sha256 ORDER BY f.upload_id LIMIT 1
) AS u ON true
WHERE s.study_uid = $1
ORDER BY i.sop_uid

-- name: first_uploads
-- Who brought these files first, where that is on record.
SELECT DISTINCT ON (sha256)
    sha256, way, gateway, spool, item, calling_ae, called_ae, peer, received_at, assumed_issuer
FROM image_upload
WHERE sha256 = ANY($1::bytea[])
ORDER BY sha256, upload_id

-- name: study_of_uid
SELECT s.study_uid
FROM image_instance AS i
INNER JOIN image_series AS e USING (series_pk)
INNER JOIN image_study AS s USING (study_pk)
WHERE i.sop_uid = $1

-- name: files_shown
SELECT i.sop_uid, i.sha256
FROM image_series AS e
INNER JOIN image_instance AS i USING (series_pk)
WHERE e.study_pk = ANY($1::bigint[])

-- name: take_version
DELETE FROM image_version WHERE sop_uid = $1 AND sha256 = $2 RETURNING version_id

-- name: keep_as_version
INSERT INTO image_version (
    sop_uid, sha256, stored_at, way, gateway, spool, item, calling_ae, called_ae, peer, received_at,
    assumed_issuer, study_uid
)
SELECT
    i.sop_uid, i.sha256, i.stored_at, coalesce(u.way, 'import'), u.gateway, u.spool, u.item,
    coalesce(u.calling_ae, ''), coalesce(u.called_ae, ''), coalesce(u.peer, ''), u.received_at,
    u.assumed_issuer, s.study_uid
FROM image_instance AS i
INNER JOIN image_series AS e USING (series_pk)
INNER JOIN image_study AS s USING (study_pk)
LEFT JOIN LATERAL (
    SELECT * FROM image_upload AS f WHERE f.sha256 = i.sha256 ORDER BY f.upload_id LIMIT 1
) AS u ON true
WHERE i.sop_uid = $1

-- name: empty_studies
-- Their rows stay locked; the next instance says everything anew, whose they are too.
UPDATE image_study
SET attributes = '', modalities = '{}', sop_classes = '{}', identities = '{}', patient_id = NULL
WHERE study_pk = ANY($1::bigint[])

-- name: empty_counts
UPDATE image_study_state SET series_count = 0, instance_count = 0, size_bytes = 0
WHERE study_pk = ANY($1::bigint[])

-- name: remove_series_of_studies
DELETE FROM image_series WHERE study_pk = ANY($1::bigint[])

-- name: remove_empty_studies
DELETE FROM image_study AS s
WHERE
    s.study_pk = ANY($1::bigint[])
    AND NOT EXISTS (SELECT FROM image_series AS e WHERE e.study_pk = s.study_pk)

-- name: add_choice
INSERT INTO image_choice (sop_uid, sha256, decided_by, reason) VALUES ($1, $2, $3, $4)

-- name: matchable_studies
-- After $1, the last of the page before. All instances of what waits name one person.
-- gateways: those that brought its files first, '' for what came in another way.
SELECT
    s.study_pk, s.study_uid, s.attributes, split_part(s.identities[1], '\', 1) AS issuer,
    s.identities,
    array(
        SELECT DISTINCT coalesce(u.gateway, '')
        FROM image_series AS e
        INNER JOIN image_instance AS i USING (series_pk)
        LEFT JOIN LATERAL (
            SELECT f.gateway FROM image_upload AS f
            WHERE f.sha256 = i.sha256 ORDER BY f.upload_id LIMIT 1
        ) AS u ON true
        WHERE e.study_pk = s.study_pk
        ORDER BY 1
    ) AS gateways
FROM image_study AS s
WHERE
    s.unmatched = 'unknown'
    AND s.study_pk > $1
    AND (
        EXISTS (SELECT FROM patient_identifier AS i WHERE i.value = s.dicom_patient_id)
        OR EXISTS (
            SELECT FROM imaging_order AS o
            WHERE
                o.accession = s.accession
                AND o.dicom_patient_id = s.dicom_patient_id
                AND o.patient_id IS NOT NULL
        )
    )
ORDER BY s.study_pk
LIMIT $2

-- name: match_study
UPDATE image_study SET patient_id = $2, unmatched = NULL, unmatched_since = NULL
WHERE study_uid = $1 AND patient_id IS NULL AND unmatched = 'unknown' AND identities = $3
RETURNING study_pk

-- name: doubt_study
UPDATE image_study SET unmatched = 'ambiguous'
WHERE study_uid = $1 AND patient_id IS NULL AND unmatched = 'unknown'
