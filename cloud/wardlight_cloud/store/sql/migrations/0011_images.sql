-- Images: the index of DICOM files, and what was decided about them. The files are in the object
-- store; what stands in blob, image_study to image_header can be made again from them.

-- refs: instances and conflict versions that are this file.
CREATE TABLE blob (
    sha256 bytea PRIMARY KEY,
    size bigint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz,
    refs int NOT NULL,
    tier text NOT NULL DEFAULT 'hot' CHECK (tier IN ('hot', 'cold'))
);
CREATE INDEX blob_check ON blob (checked_at NULLS FIRST, sha256);
CREATE INDEX blob_hot ON blob (stored_at) WHERE tier = 'hot';
CREATE INDEX blob_unused ON blob (sha256) WHERE refs = 0;

-- Matching keys as text, '' where the attribute is absent or empty; collation "C", so that an index
-- serves both order and beginnings. Names are upper-case without accents, their groups between '='.
-- attributes: DICOM JSON of the level, of the instance attributes_of: the one that says most, of
-- equals that with the greatest hash, so that the order of arrival changes nothing.
CREATE TABLE image_study (
    study_pk bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id uuid REFERENCES patient,
    unmatched_since timestamptz,
    study_uid text COLLATE "C" NOT NULL UNIQUE,
    study_date text COLLATE "C" NOT NULL,
    study_time text COLLATE "C" NOT NULL,
    accession text COLLATE "C" NOT NULL,
    study_id text COLLATE "C" NOT NULL,
    description text COLLATE "C" NOT NULL,
    referring text COLLATE "C" NOT NULL,
    patient_name text COLLATE "C" NOT NULL,
    dicom_patient_id text COLLATE "C" NOT NULL,
    issuer text COLLATE "C" NOT NULL,
    birth_date text COLLATE "C" NOT NULL,
    sex text COLLATE "C" NOT NULL,
    unmatched text COLLATE "C",
    name_grams text [] COLLATE "C" NOT NULL,
    modalities text [] COLLATE "C" NOT NULL,
    sop_classes text [] COLLATE "C" NOT NULL,
    attributes_of bytea NOT NULL,
    attributes bytea NOT NULL,
    CHECK ((unmatched IS NULL) = (unmatched_since IS NULL))
);
CREATE INDEX image_study_newest
ON image_study (study_date DESC, study_time DESC, study_uid);
CREATE INDEX image_study_patient
ON image_study (patient_id, study_date DESC, study_time DESC, study_uid);
CREATE INDEX image_study_dicom_patient
ON image_study (dicom_patient_id, study_date DESC, study_time DESC, study_uid);
CREATE INDEX image_study_accession ON image_study (accession);
CREATE INDEX image_study_name ON image_study USING gin (name_grams);
CREATE INDEX image_study_modality ON image_study USING gin (modalities);
CREATE INDEX image_study_unmatched ON image_study (unmatched_since, study_pk)
WHERE unmatched IS NOT NULL;

-- What changes with each instance, apart, so that no other index has to follow.
CREATE TABLE image_study_state (
    study_pk bigint PRIMARY KEY REFERENCES image_study ON DELETE CASCADE,
    commit_seq bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    made_at timestamptz NOT NULL,
    size_bytes bigint NOT NULL,
    series_count int NOT NULL,
    instance_count int NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX image_study_commit ON image_study_state (commit_seq);
CREATE INDEX image_study_made ON image_study_state (made_at, study_pk);

CREATE TABLE image_series (
    series_pk bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_pk bigint NOT NULL REFERENCES image_study ON DELETE CASCADE,
    instance_count int NOT NULL DEFAULT 0,
    series_number int,
    series_uid text COLLATE "C" NOT NULL,
    modality text COLLATE "C" NOT NULL,
    description text COLLATE "C" NOT NULL,
    series_date text COLLATE "C" NOT NULL,
    series_time text COLLATE "C" NOT NULL,
    step_date text COLLATE "C" NOT NULL,
    step_time text COLLATE "C" NOT NULL,
    body_part text COLLATE "C" NOT NULL,
    laterality text COLLATE "C" NOT NULL,
    protocol text COLLATE "C" NOT NULL,
    station text COLLATE "C" NOT NULL,
    institution text COLLATE "C" NOT NULL,
    manufacturer text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    procedure_id text COLLATE "C" NOT NULL,
    attributes_of bytea NOT NULL,
    attributes bytea NOT NULL,
    UNIQUE (study_pk, series_uid)
) WITH (fillfactor = 70);
CREATE INDEX image_series_uid ON image_series (series_uid);

CREATE TABLE image_instance (
    instance_pk bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_pk bigint NOT NULL REFERENCES image_series ON DELETE CASCADE,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    instance_number int,
    frame_count int NOT NULL,
    rows_px int NOT NULL,
    columns_px int NOT NULL,
    sha256 bytea NOT NULL REFERENCES blob,
    sop_uid text COLLATE "C" NOT NULL UNIQUE,
    sop_class text COLLATE "C" NOT NULL,
    transfer_syntax text COLLATE "C" NOT NULL,
    content_date text COLLATE "C" NOT NULL,
    content_time text COLLATE "C" NOT NULL,
    completion text COLLATE "C" NOT NULL,
    verification text COLLATE "C" NOT NULL,
    attributes bytea NOT NULL
);
CREATE INDEX image_instance_series ON image_instance (series_pk, instance_number);
CREATE INDEX image_instance_blob ON image_instance (sha256);

-- Compressed by us (zstd). frames and bulk: where in the file frames and large values are.
CREATE TABLE image_header (
    instance_pk bigint PRIMARY KEY REFERENCES image_instance ON DELETE CASCADE,
    header bytea NOT NULL,
    frames bytea NOT NULL,
    bulk bytea NOT NULL
);
ALTER TABLE image_header ALTER COLUMN header SET STORAGE EXTERNAL;
ALTER TABLE image_header ALTER COLUMN frames SET STORAGE EXTERNAL;
ALTER TABLE image_header ALTER COLUMN bulk SET STORAGE EXTERNAL;

-- Files that have the SOP Instance UID of another one; whichever stands in image_instance is shown.
CREATE TABLE image_version (
    version_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_at timestamptz,
    spool bigint,
    item bigint,
    sha256 bytea NOT NULL REFERENCES blob,
    sop_uid text COLLATE "C" NOT NULL,
    way text NOT NULL,
    gateway text,
    calling_ae text NOT NULL,
    called_ae text NOT NULL,
    peer text NOT NULL,
    UNIQUE (sop_uid, sha256)
);
CREATE INDEX image_version_blob ON image_version (sha256);

-- Which file of several with one UID somebody chose; the newest line holds.
CREATE TABLE image_choice (
    choice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sha256 bytea NOT NULL,
    sop_uid text COLLATE "C" NOT NULL,
    decided_by text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX image_choice_uid ON image_choice (sop_uid, choice_id);

-- Who brought what, once for each item of a gateway.
CREATE TABLE image_upload (
    upload_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_at timestamptz,
    spool bigint,
    item bigint,
    sha256 bytea NOT NULL,
    sop_uid text COLLATE "C" NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('stored', 'known', 'conflict')),
    way text NOT NULL,
    gateway text,
    calling_ae text NOT NULL,
    called_ae text NOT NULL,
    peer text NOT NULL
);
CREATE UNIQUE INDEX image_upload_item ON image_upload (gateway, spool, item)
WHERE gateway IS NOT NULL;
CREATE INDEX image_upload_blob ON image_upload (sha256);

-- Whose study it is because somebody said so; an index that is made again keeps to it.
CREATE TABLE image_assignment (
    study_uid text COLLATE "C" PRIMARY KEY,
    patient_id uuid NOT NULL REFERENCES patient,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A study under hold is removed by no rule; lines stay when it ends.
CREATE TABLE image_hold (
    hold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    study_uid text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    placed_by text NOT NULL,
    released_by text
);
CREATE UNIQUE INDEX image_hold_open ON image_hold (study_uid) WHERE released_at IS NULL;

-- Instances that were removed, and by which rule.
CREATE TABLE image_tombstone (
    tombstone_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    commit_seq bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    removed_at timestamptz NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    study_uid text COLLATE "C" NOT NULL,
    series_uid text COLLATE "C" NOT NULL,
    sop_uid text COLLATE "C" NOT NULL,
    patient_id uuid,
    rule text NOT NULL
);
CREATE INDEX image_tombstone_uid ON image_tombstone (sop_uid);
CREATE INDEX image_tombstone_commit ON image_tombstone (commit_seq);

CREATE TABLE image_note (
    note_id uuid PRIMARY KEY,
    commit_seq bigint NOT NULL,
    written_at timestamptz NOT NULL,
    frame int NOT NULL,
    study_uid text COLLATE "C" NOT NULL,
    sop_uid text COLLATE "C" NOT NULL,
    note text NOT NULL,
    author text NOT NULL,
    drawing jsonb NOT NULL
);
CREATE INDEX image_note_study ON image_note (study_uid, written_at DESC);
CREATE INDEX image_note_written ON image_note (written_at DESC);

-- What a check of the objects found; open until the same check finds it well again.
CREATE TABLE object_finding (
    finding_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    sha256 bytea NOT NULL,
    kind text NOT NULL CHECK (kind IN ('missing', 'differs', 'unindexed', 'unreadable'))
);
CREATE UNIQUE INDEX object_finding_open ON object_finding (sha256, kind)
WHERE resolved_at IS NULL;
