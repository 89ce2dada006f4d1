-- Searches of the image index. Conditions are put together by imaging_search.py: ``:column`` is a
-- column it knows, ``:value`` the place of an argument; ``:where``, ``:limit`` and ``:offset`` too.

-- part: of_study
s.study_uid, s.attributes AS study, s.modalities, s.sop_classes, s.patient_id,
t.series_count, t.instance_count, t.updated_at, t.commit_seq

-- part: of_instance
i.sop_uid, i.sop_class, i.transfer_syntax, i.sha256, b.size, i.instance_number, i.rows_px,
i.columns_px, i.frame_count, b.tier, i.stored_at, i.attributes AS instance,
EXISTS (
    SELECT FROM object_finding AS f
    WHERE f.sha256 = i.sha256 AND f.resolved_at IS NULL AND f.kind <> 'unindexed'
) AS is_doubted

-- part: studies
FROM image_study AS s
INNER JOIN image_study_state AS t USING (study_pk)

-- part: series
{studies}
INNER JOIN image_series AS e USING (study_pk)

-- part: instances
{series}
INNER JOIN image_instance AS i USING (series_pk)
INNER JOIN blob AS b USING (sha256)

-- name: search_studies
-- The page is found on an index alone; only its rows are read as a whole.
SELECT {of_study}
FROM (
    SELECT s.study_uid FROM image_study AS s
    WHERE :where
    ORDER BY s.study_date DESC, s.study_time DESC, s.study_uid
    LIMIT :limit OFFSET :offset
) AS page
INNER JOIN image_study AS s USING (study_uid)
INNER JOIN image_study_state AS t USING (study_pk)
ORDER BY s.study_date DESC, s.study_time DESC, s.study_uid

-- name: search_newest_studies
-- Only the newest :newest studies are looked at, for what many have: a full page of what is found
-- among them is the same page of what is found among all.
SELECT {of_study}
FROM (
    SELECT s.study_uid
    FROM (
        SELECT * FROM image_study
        ORDER BY study_date DESC, study_time DESC, study_uid
        LIMIT :newest
    ) AS s
    WHERE :where
    ORDER BY s.study_date DESC, s.study_time DESC, s.study_uid
    LIMIT :limit OFFSET :offset
) AS page
INNER JOIN image_study AS s USING (study_uid)
INNER JOIN image_study_state AS t USING (study_pk)
ORDER BY s.study_date DESC, s.study_time DESC, s.study_uid

-- name: search_gathered_studies
-- All that is found is gathered before it is ordered: of what few have, by the index of its pieces.
SELECT {of_study}
FROM (
    WITH found AS MATERIALIZED (
        SELECT s.study_date, s.study_time, s.study_uid FROM image_study AS s WHERE :where
    )

    SELECT study_uid FROM found
    ORDER BY study_date DESC, study_time DESC, study_uid
    LIMIT :limit OFFSET :offset
) AS page
INNER JOIN image_study AS s USING (study_uid)
INNER JOIN image_study_state AS t USING (study_pk)
ORDER BY s.study_date DESC, s.study_time DESC, s.study_uid

-- name: search_changed_studies
SELECT {of_study}
{studies}
WHERE :where
ORDER BY t.commit_seq, s.study_uid
LIMIT :limit OFFSET :offset

-- name: search_series
SELECT {of_study}, e.series_uid, e.attributes AS series, e.instance_count AS series_instances
{series}
WHERE :where
ORDER BY :order, e.series_number, e.series_uid
LIMIT :limit OFFSET :offset

-- name: search_instances
SELECT
    {of_study}, e.series_uid, e.attributes AS series, e.instance_count AS series_instances,
    {of_instance}
{instances}
WHERE :where
ORDER BY :order, e.series_number, e.series_uid, i.instance_number, i.sop_uid
LIMIT :limit OFFSET :offset

-- name: count_found_studies
SELECT count(*)
FROM image_study AS s
WHERE :where

-- name: count_changed_studies
SELECT count(*)
{studies}
WHERE :where

-- name: count_found_series
SELECT count(*)
{series}
WHERE :where

-- name: count_found_instances
SELECT count(*)
{instances}
WHERE :where

-- name: newest_first
s.study_date DESC, s.study_time DESC, s.study_uid

-- name: commit_order
t.commit_seq, s.study_uid

-- name: of_patients
s.patient_id = ANY(:value::uuid[])

-- name: after_commit
t.commit_seq > :value::bigint

-- name: is_one
:column = :value

-- name: is_any
:column = ANY(:value)

-- name: overlaps
:column && :value::text[]

-- name: has_like
EXISTS (SELECT FROM unnest(:column) AS each WHERE each LIKE :value::text)

-- name: from_on
:column >= :value

-- name: up_to
:column <= :value AND :column <> ''

-- name: is_like
:column LIKE :value::text

-- name: has_grams
s.name_grams @> :value::text[]

-- name: has_word
translate(:column, '=^-,.', '     ') LIKE :value::text

-- name: taken_date
-- The day of AcquisitionDateTime, which only waveforms are asked for; of ContentDate; of the study.
coalesce(
    substring(
        convert_from(i.attributes, 'UTF8')
        FROM '"0008002A":[{]"vr":"DT","Value":[[]"([0-9]{8})'
    ),
    CASE WHEN i.content_date ~ '^[0-9]{8}$' THEN i.content_date ELSE s.study_date END
)

-- name: plan_for_search
-- The session plans for partitions of readings; here arrays and beginnings have to be looked at.
SELECT
    set_config('enable_bitmapscan', 'on', true),
    set_config('plan_cache_mode', 'force_custom_plan', true)
