-- Gateways, devices, patients and who owns which device; the numbering of commits.

-- One row per commit that consumers can see. commit_seq grows in the order in which transactions
-- become visible, and stored_at never goes back: take_commit() holds a lock until COMMIT.
CREATE SEQUENCE commit_number AS bigint;

CREATE TABLE commit_log (
    commit_seq bigint PRIMARY KEY,
    stored_at timestamptz NOT NULL
);
CREATE INDEX commit_log_stored_at ON commit_log (stored_at, commit_seq);

-- plpgsql, because each statement inside sees what was committed while the one before waited.
CREATE FUNCTION take_commit() RETURNS commit_log LANGUAGE plpgsql AS $$
DECLARE
    made commit_log;
BEGIN
    PERFORM pg_advisory_xact_lock(5723, 1);
    INSERT INTO commit_log (commit_seq, stored_at)
    SELECT nextval('commit_number'), greatest(
        clock_timestamp(),
        (SELECT stored_at FROM commit_log ORDER BY commit_seq DESC LIMIT 1)
    )
    RETURNING * INTO made;
    PERFORM pg_notify('wardlight_commit', made.commit_seq::text);
    RETURN made;
END
$$;

-- Microseconds since 1970 as an instant: integers cross the wire faster than datetimes.
CREATE FUNCTION instant(us bigint) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_timestamp((us / 1000000)::double precision) + (us % 1000000) * interval '1 microsecond'
$$;

CREATE TABLE secret (
    name text PRIMARY KEY,
    value bytea NOT NULL
);

CREATE TABLE gateway (
    gateway_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text NOT NULL UNIQUE,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    enabled boolean NOT NULL,
    online boolean NOT NULL DEFAULT false,
    state_at timestamptz,
    seen_at timestamptz,
    software text
);

CREATE TABLE device (
    device_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    identity text NOT NULL UNIQUE,
    gateway_id int REFERENCES gateway,
    commit_seq bigint NOT NULL
);

-- What a device said last, by name of the status (info, battery, link, ...).
CREATE TABLE device_told (
    device_id uuid NOT NULL,
    name text NOT NULL,
    data jsonb NOT NULL,
    time timestamptz NOT NULL,
    commit_seq bigint NOT NULL,
    PRIMARY KEY (device_id, name)
);

CREATE TABLE patient (
    patient_id uuid PRIMARY KEY,
    family text NOT NULL,
    given text NOT NULL,
    birth_date date,
    gender text NOT NULL CHECK (gender IN ('male', 'female', 'other', 'unknown')),
    commit_seq bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX patient_name ON patient (family, given, patient_id);

CREATE TABLE patient_identifier (
    patient_id uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
    place int NOT NULL,
    system text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (patient_id, place)
);
CREATE INDEX patient_identifier_value ON patient_identifier (value, system);

CREATE VIEW patient_row AS
SELECT
    p.patient_id, p.family, p.given, p.birth_date, p.gender, p.commit_seq, p.updated_at,
    array(
        SELECT ARRAY[i.system, i.value] FROM patient_identifier AS i
        WHERE i.patient_id = p.patient_id ORDER BY i.place
    ) AS identifiers
FROM patient AS p;

-- Device (user_index NULL = every user of it) belongs to a patient over [valid_from, valid_to).
-- Rows are only made, shortened and removed under take_commit(), which keeps overlaps out.
CREATE TABLE assignment (
    assignment_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    device_id uuid NOT NULL REFERENCES device,
    user_index smallint,
    patient_id uuid NOT NULL REFERENCES patient,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    commit_seq bigint NOT NULL,
    CHECK (valid_to IS NULL OR valid_from < valid_to)
);
CREATE INDEX assignment_device ON assignment (device_id);
CREATE INDEX assignment_patient ON assignment (patient_id);
CREATE INDEX assignment_commit ON assignment (commit_seq);

CREATE TABLE app_user (
    login text PRIMARY KEY,
    password_hash text NOT NULL
);

CREATE TABLE api_client (
    name text PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL
);

CREATE TABLE watch (
    patient_id uuid PRIMARY KEY REFERENCES patient ON DELETE CASCADE,
    until timestamptz NOT NULL
);

CREATE TABLE lease_holder (
    holder text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE TABLE shard_lease (
    shard int PRIMARY KEY,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL
);
