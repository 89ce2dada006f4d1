-- Exports of many resources to files, as clients ask for them; rows stay when the files are gone.

-- It shows what was committed behind since_seq, up to and with commit_seq. transaction_time is what
-- the client is told of the latter, and asks from the next time. holder: the process at work, until
-- lease_until. plan, progress: of fhir/bulk/; octets: of the files that progress names.
CREATE TABLE bulk_export (
    export_id uuid PRIMARY KEY,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    transaction_time timestamptz NOT NULL,
    lease_until timestamptz,
    commit_seq bigint NOT NULL,
    since_seq bigint NOT NULL,
    octets bigint NOT NULL DEFAULT 0,
    patient_id uuid,
    attempt int NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'gone')),
    client text NOT NULL,
    login text,
    holder text,
    problem text,
    request text NOT NULL,
    plan bytea NOT NULL,
    progress bytea
);
CREATE INDEX bulk_export_live ON bulk_export (asked_at) WHERE state <> 'gone';
CREATE INDEX bulk_export_time ON bulk_export (transaction_time);
