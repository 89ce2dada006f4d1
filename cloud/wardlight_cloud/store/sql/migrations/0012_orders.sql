-- Orders, the worklists of gateways, and the procedure steps that modalities performed.

-- accession: the number of the order. patient_id: of the register, NULL = not known there.
CREATE TABLE imaging_order (
    accession text COLLATE "C" PRIMARY KEY,
    patient_id uuid REFERENCES patient,
    dicom_patient_id text COLLATE "C" NOT NULL,
    issuer text COLLATE "C" NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX imaging_order_patient ON imaging_order (patient_id);

-- starts: YYYYMMDD HHMMSS, local time of the site. data_set: Explicit VR Little Endian.
CREATE TABLE worklist_entry (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at timestamptz NOT NULL,
    accession text COLLATE "C" NOT NULL REFERENCES imaging_order,
    step_id text COLLATE "C" NOT NULL,
    study_uid text COLLATE "C" NOT NULL,
    modality text COLLATE "C" NOT NULL,
    station_ae text COLLATE "C" NOT NULL,
    starts text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (
        state IN ('scheduled', 'in-progress', 'discontinued', 'completed', 'removed')
    ),
    data_set bytea NOT NULL,
    UNIQUE (accession, step_id)
);
CREATE INDEX worklist_entry_study ON worklist_entry (study_uid);
CREATE INDEX worklist_entry_starts ON worklist_entry (starts, entry_id);

-- Each change of an entry on a gateway's list has a revision of its own. They become visible in
-- their order: whoever takes one holds an advisory lock until COMMIT.
CREATE SEQUENCE worklist_revision AS bigint;

CREATE TABLE worklist_gateway (
    entry_id bigint NOT NULL REFERENCES worklist_entry,
    revision bigint NOT NULL UNIQUE,
    gateway_id int NOT NULL REFERENCES gateway,
    is_listed boolean NOT NULL,
    PRIMARY KEY (entry_id, gateway_id)
);
CREATE INDEX worklist_gateway_revision ON worklist_gateway (gateway_id, revision);

-- accessions, step_ids, study_uids: of the scheduled steps it is about, side by side.
CREATE TABLE procedure_step (
    sop_uid text COLLATE "C" PRIMARY KEY,
    updated_at timestamptz NOT NULL,
    gateway_id int NOT NULL REFERENCES gateway,
    events int NOT NULL,
    status text NOT NULL CHECK (status IN ('IN PROGRESS', 'COMPLETED', 'DISCONTINUED')),
    station_ae text COLLATE "C" NOT NULL,
    modality text COLLATE "C" NOT NULL,
    started text COLLATE "C" NOT NULL,
    ended text COLLATE "C" NOT NULL,
    accessions text [] COLLATE "C" NOT NULL,
    step_ids text [] COLLATE "C" NOT NULL,
    study_uids text [] COLLATE "C" NOT NULL,
    series_uids text [] COLLATE "C" NOT NULL
);
CREATE INDEX procedure_step_updated ON procedure_step (updated_at DESC, sop_uid);
CREATE INDEX procedure_step_accession ON procedure_step USING gin (accessions);

-- Every N-CREATE and N-SET as it came.
CREATE TABLE procedure_step_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    spool bigint NOT NULL,
    number int NOT NULL,
    gateway_id int NOT NULL REFERENCES gateway,
    sop_uid text COLLATE "C" NOT NULL REFERENCES procedure_step,
    calling_ae text COLLATE "C" NOT NULL,
    status text,
    sha256 bytea NOT NULL,
    octets bytea NOT NULL,
    UNIQUE (sop_uid, spool, number)
);
