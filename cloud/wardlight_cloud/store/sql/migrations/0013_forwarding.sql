-- Application entities on the LAN side of a hospital, and what is forwarded to them.

-- port NULL: it calls, and is not called. networks '{}': calls come from host alone.
CREATE TABLE dicom_node (
    ae_title text PRIMARY KEY,
    host text NOT NULL,
    port int CHECK (port BETWEEN 1 AND 65535),
    networks text[] NOT NULL,
    tls boolean NOT NULL,
    fingerprint bytea,
    rights text[] NOT NULL
);

-- Rules are expanded up to and with commit_seq, for instances stored at stored_from or later.
CREATE TABLE forward_rule (
    rule_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    commit_seq bigint NOT NULL,
    stored_from timestamptz NOT NULL,
    name text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('all', 'modality', 'patient', 'source')),
    value text NOT NULL,
    ae_title text REFERENCES dicom_node,
    url text,
    token_env text,
    token_file text,
    give_up_days int NOT NULL CHECK (give_up_days > 0),
    CHECK ((ae_title IS NULL) <> (url IS NULL))
);

-- One instance of a rule. A process that takes items moves next_at beyond its lease.
CREATE TABLE forward_item (
    item_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    rule_id int NOT NULL REFERENCES forward_rule ON DELETE CASCADE,
    attempts int NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
    study_uid text COLLATE "C" NOT NULL,
    sop_uid text COLLATE "C" NOT NULL,
    sha256 bytea NOT NULL,
    reason text NOT NULL DEFAULT '',
    UNIQUE (rule_id, sop_uid, sha256)
);
CREATE INDEX forward_item_due ON forward_item (next_at, item_id) WHERE state = 'waiting';
CREATE INDEX forward_item_dead ON forward_item (item_id) WHERE state = 'dead';
