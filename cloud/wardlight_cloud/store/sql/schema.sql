-- The whole schema of a store on native partitions, to read in one piece. Nothing runs this file:
-- databases are made and changed by migrations/. A test holds it equal to their sum.

CREATE TABLE schema_version (
    version int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Gateways, devices, patients and who owns which device; the numbering of commits.

-- One row per commit that consumers can see. commit_seq grows in the order in which transactions
-- become visible, and stored_at never goes back: take_commit() holds a lock until COMMIT.
CREATE SEQUENCE commit_number AS bigint;

CREATE TABLE commit_log (
    commit_seq bigint PRIMARY KEY,
    stored_at timestamptz NOT NULL
);
CREATE INDEX commit_log_stored_at ON commit_log (stored_at, commit_seq);

-- Each commit has a millisecond of its own: the time says which commit it was, and who asks for what
-- is later than the last he saw gets all that is new, once. FHIR tells times in milliseconds.
-- plpgsql, because each statement inside sees what was committed while the one before waited.
CREATE FUNCTION take_commit() RETURNS commit_log LANGUAGE plpgsql AS $$
DECLARE
    made commit_log;
    last timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(5723, 1);
    SELECT stored_at INTO last FROM commit_log ORDER BY commit_seq DESC LIMIT 1;
    INSERT INTO commit_log (commit_seq, stored_at)
    SELECT nextval('commit_number'), greatest(
        date_trunc('milliseconds', clock_timestamp()),
        date_trunc('milliseconds', last) + interval '1 millisecond'
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

-- Device (user_index NULL = every user of it, 255 = readings whose user it did not know) belongs to a
-- patient over [valid_from, valid_to).
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
CREATE INDEX assignment_from ON assignment (valid_from);

CREATE TABLE app_user (
    login text PRIMARY KEY,
    password_hash text NOT NULL,
    fhir_user text -- which resource a user is, as Practitioner/1
);

-- Dashboard sessions, kept so that they can be ended; only the hash of what the browser shows.
CREATE TABLE app_session (
    token_sha256 bytea PRIMARY KEY,
    login text NOT NULL REFERENCES app_user ON DELETE CASCADE,
    started_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL
);
CREATE INDEX app_session_login ON app_session (login);

CREATE TABLE api_client (
    name text PRIMARY KEY,
    token_sha256 bytea UNIQUE,
    scopes text[] NOT NULL,
    jwks text,
    jwks_url text,
    redirect_uris text[] NOT NULL DEFAULT '{}',
    launch_url text,
    is_public boolean NOT NULL DEFAULT false,
    may_introspect boolean NOT NULL DEFAULT false
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

-- What is settled of each gateway's records, and what did not become a reading.

-- Ranges of seqs: stored, finally rejected, removed on purpose on the gateway (with a tombstone).
CREATE TABLE ledger (
    gateway_id int NOT NULL REFERENCES gateway,
    epoch bigint NOT NULL,
    stored int8multirange NOT NULL DEFAULT '{}',
    rejected int8multirange NOT NULL DEFAULT '{}',
    removed int8multirange NOT NULL DEFAULT '{}',
    recorded bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway_id, epoch)
) WITH (fillfactor = 50);

CREATE TABLE removal (
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    cause text NOT NULL,
    seqs int8multirange NOT NULL,
    PRIMARY KEY (gateway_id, epoch, cause)
);

-- A named loss. is_removal: of records that had seqs (counted in removal, not here).
CREATE TABLE gap (
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    device text,
    cause text NOT NULL,
    readings bigint NOT NULL,
    is_removal boolean NOT NULL,
    stored_at timestamptz DEFAULT clock_timestamp()
);
CREATE INDEX gap_ledger ON gap (gateway_id, epoch);
CREATE INDEX gap_device ON gap (device, started_at) WHERE device IS NOT NULL;

CREATE TABLE status (
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    device_id uuid,
    name text NOT NULL,
    data jsonb NOT NULL,
    stored_at timestamptz DEFAULT clock_timestamp()
);
CREATE INDEX status_time ON status (gateway_id, time);
CREATE INDEX status_device ON status (device_id, name, time) WHERE device_id IS NOT NULL;

CREATE TABLE dead_letter (
    letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    reason text NOT NULL,
    body bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    UNIQUE (gateway_id, epoch, seq)
);
CREATE INDEX dead_letter_open ON dead_letter (letter_id) WHERE released_at IS NULL;

-- Kept aside and shown: a reading from the future, another value on the key of a stored one.
-- time_us may lie outside what a timestamptz holds. body: samples of a waveform block.
-- event_id: of a record that left nothing but lines here. Such an event is not in event_seen, so
-- that a later copy of it is taken. detail: what belongs into reading_detail after a release.
CREATE TABLE quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    series_id int NOT NULL,
    time_us bigint NOT NULL,
    ord int NOT NULL,
    mantissa bigint NOT NULL,
    scale smallint NOT NULL,
    absent smallint NOT NULL,
    reason text NOT NULL,
    body bytea,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_id bytea,
    flags bigint NOT NULL DEFAULT 0,
    error_ms int NOT NULL DEFAULT -1,
    offset_min smallint NOT NULL DEFAULT 0,
    clock smallint NOT NULL DEFAULT 0,
    detail jsonb,
    is_open boolean NOT NULL DEFAULT true
);
CREATE INDEX quarantine_open ON quarantine (quarantine_id) WHERE is_open;
CREATE INDEX quarantine_record ON quarantine (gateway_id, epoch, seq);
CREATE INDEX quarantine_event ON quarantine (event_id) WHERE event_id IS NOT NULL;

-- Lines are only added: one that was discarded may be released later, and both stay on record.
-- superseded: a later copy of the same event came instead.
CREATE TABLE quarantine_decision (
    quarantine_id bigint NOT NULL REFERENCES quarantine,
    decision text NOT NULL CHECK (decision IN ('released', 'discarded', 'superseded')),
    decided_by text NOT NULL,
    reason text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    commit_seq bigint,
    time timestamptz,
    ord int,
    PRIMARY KEY (quarantine_id, decision)
);

-- Events that a device may send again, remembered for a stated time.
CREATE TABLE event_seen (
    event_id bytea PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
CREATE INDEX event_seen_at ON event_seen USING brin (seen_at);

-- The series dictionary and what is kept beside the rows of a series.

-- Components of a panel (systolic, diastolic) share the series of the panel, which has no rows.
CREATE TABLE series (
    series_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id uuid NOT NULL REFERENCES device,
    user_index smallint,
    metric int NOT NULL,
    unit text NOT NULL,
    site text,
    raw_unit text,
    panel_series_id int REFERENCES series,
    observation_metric int NOT NULL,
    is_panel boolean NOT NULL,
    UNIQUE NULLS NOT DISTINCT (device_id, user_index, metric, unit, site, raw_unit)
);
CREATE INDEX series_panel ON series (panel_series_id);

CREATE VIEW assigned_series AS
SELECT
    a.patient_id,
    a.device_id,
    a.valid_from,
    a.valid_to,
    a.commit_seq AS assigned_seq,
    s.series_id,
    coalesce(s.panel_series_id, s.series_id) AS anchor,
    s.metric,
    s.observation_metric,
    s.unit,
    s.user_index,
    s.site,
    s.raw_unit
FROM assignment AS a
INNER JOIN series AS s
    ON
        a.device_id = s.device_id
        AND (a.user_index IS NULL OR a.user_index = coalesce(s.user_index, 255))
WHERE NOT s.is_panel;

CREATE TABLE latest (
    series_id int PRIMARY KEY,
    time timestamptz NOT NULL,
    stored_at timestamptz NOT NULL,
    commit_seq bigint NOT NULL,
    mantissa bigint NOT NULL,
    flags bigint NOT NULL,
    ord int NOT NULL,
    error_ms int NOT NULL,
    scale smallint NOT NULL,
    absent smallint NOT NULL
) WITH (fillfactor = 50);

-- A device changes when its register entry or what it says of itself changes, not when it measures.
-- It is seen when it measures or speaks, not when its gateway says something of it.
CREATE VIEW device_row AS
SELECT
    d.device_id,
    d.identity,
    g.gateway,
    told.info,
    told.battery,
    told.link,
    greatest(told.time, seen.time) AS last_seen_at,
    changed.commit_seq,
    (SELECT c.stored_at FROM commit_log AS c WHERE c.commit_seq = changed.commit_seq) AS updated_at,
    told.calibration AS calibration_due,
    seen.stored_at AS last_stored_at
FROM device AS d
LEFT JOIN gateway AS g ON g.gateway_id = d.gateway_id
LEFT JOIN LATERAL (
    SELECT
        max(t.data::text) FILTER (WHERE t.name = 'info') AS info,
        max(t.data ->> 'percent') FILTER (WHERE t.name = 'battery') AS battery,
        max(t.data ->> 'state') FILTER (WHERE t.name = 'link') AS link,
        max(t.data ->> 'due') FILTER (WHERE t.name = 'calibration') AS calibration,
        max(t.time) FILTER (WHERE t.name NOT IN ('link', 'calibration')) AS time,
        max(t.commit_seq) FILTER (
            WHERE t.name IN ('info', 'battery', 'link', 'calibration')
        ) AS commit_seq
    FROM device_told AS t
    WHERE t.device_id = d.device_id
) AS told ON true
LEFT JOIN LATERAL (
    SELECT max(l.time) AS time, max(l.stored_at) AS stored_at
    FROM series AS s
    INNER JOIN latest AS l ON l.series_id = s.series_id
    WHERE s.device_id = d.device_id
) AS seen ON true
CROSS JOIN LATERAL (SELECT greatest(d.commit_seq, told.commit_seq) AS commit_seq) AS changed;

-- Where a series has clinical readings: a query looks here before it opens partitions.
CREATE TABLE series_day (
    series_id int NOT NULL,
    day date NOT NULL,
    readings bigint NOT NULL,
    -- The last commit that brought or took clinical readings of this series and day. Days of before
    -- are older than any kept one.
    commit_seq bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (series_id, day)
) WITH (fillfactor = 70);

-- What a commit added to a series, one row per hour of measured time: the way from commit order
-- to rows, and the queue of rollups to rebuild (everything above rollup_progress).
CREATE TABLE series_commit (
    series_id int NOT NULL,
    commit_seq bigint NOT NULL,
    bucket timestamptz NOT NULL,
    first_time timestamptz NOT NULL,
    last_time timestamptz NOT NULL,
    readings int NOT NULL,
    PRIMARY KEY (series_id, commit_seq, bucket)
);
CREATE INDEX series_commit_order ON series_commit (commit_seq, series_id, bucket);

CREATE TABLE rollup_progress (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    commit_seq bigint NOT NULL,
    series_id int NOT NULL,
    bucket timestamptz NOT NULL
);
INSERT INTO rollup_progress (commit_seq, series_id, bucket) VALUES (0, 0, 'epoch');

-- Only for readings of events that have more to say.
CREATE TABLE reading_detail (
    series_id int NOT NULL,
    time timestamptz NOT NULL,
    ord int NOT NULL,
    raw_scale smallint,
    raw_mantissa bigint,
    skew_s bigint,
    device_time text,
    context jsonb,
    PRIMARY KEY (series_id, time, ord)
);

-- int16 samples, little endian; compressed by nobody, since noise does not shrink.
CREATE TABLE waveform (
    series_id int NOT NULL,
    time timestamptz NOT NULL,
    commit_seq bigint NOT NULL,
    rate_mhz bigint NOT NULL,
    origin bigint NOT NULL,
    gateway_id int NOT NULL,
    error_ms int NOT NULL,
    scale smallint NOT NULL,
    samples bytea NOT NULL,
    PRIMARY KEY (series_id, time)
);
ALTER TABLE waveform ALTER COLUMN samples SET STORAGE EXTERNAL;

-- mantissa * 10**scale for drawing; a division by an exact power rounds once.
CREATE FUNCTION drawn(mantissa bigint, scale smallint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN scale < 0 THEN mantissa / power(10::double precision, -scale)
        ELSE mantissa * power(10::double precision, scale)
    END
$$;

-- Readings in native partitions.

-- 80 bytes a row with its header: widest columns first, nothing null, nothing of varying length.
CREATE TABLE reading (
    time timestamptz NOT NULL,
    commit_seq bigint NOT NULL,
    mantissa bigint NOT NULL,
    flags bigint NOT NULL,
    series_id int NOT NULL,
    ord int NOT NULL,
    error_ms int NOT NULL,
    gateway_id int NOT NULL,
    scale smallint NOT NULL,
    absent smallint NOT NULL,
    offset_min smallint NOT NULL,
    clock smallint NOT NULL,
    PRIMARY KEY (series_id, time, ord)
) PARTITION BY RANGE (time);

CREATE TABLE reading_before_2000 PARTITION OF reading
FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00:00+00');

-- From this day on each day has a partition; what devices remember from before is sparse, and a
-- month is enough for it. There is no default partition: attaching a new one would scan and lock it.
CREATE TABLE partition_plan (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    daily_from date NOT NULL
);
INSERT INTO partition_plan (daily_from)
VALUES (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month');

-- Reads the catalogue by snapshot: to_regclass() may remember that a table was not there.
CREATE FUNCTION has_reading_partition(partition text) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (
        SELECT FROM pg_inherits AS i
        INNER JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'reading'::regclass AND c.relname = partition
    )
$$;

-- Attaching takes a lock that readers and writers of the other partitions do not notice.
CREATE FUNCTION prepare_reading_days(days date []) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    part record;
    made int := 0;
BEGIN
    FOR part IN
        SELECT DISTINCT
            CASE WHEN is_day THEN to_char(day, '"reading_"YYYYMMDD')
                ELSE to_char(day, '"reading_"YYYYMM') END AS name,
            (CASE WHEN is_day THEN day
                ELSE date_trunc('month', day) END)::date AS first,
            (CASE WHEN is_day THEN day + interval '1 day'
                ELSE date_trunc('month', day) + interval '1 month' END)::date AS after
        FROM (
            SELECT day::timestamp AS day, day >= plan.daily_from AS is_day
            FROM unnest(days) AS day
            CROSS JOIN partition_plan AS plan
        ) AS wanted
        WHERE day >= '2000-01-01'
        ORDER BY first
    LOOP
        CONTINUE WHEN has_reading_partition(part.name);
        PERFORM pg_advisory_xact_lock(5723, 2);
        CONTINUE WHEN has_reading_partition(part.name);
        EXECUTE format('CREATE TABLE %I (LIKE reading)', part.name);
        EXECUTE format(
            'ALTER TABLE reading ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part.name,
            to_char(part.first, 'YYYY-MM-DD" 00:00:00+00"'),
            to_char(part.after, 'YYYY-MM-DD" 00:00:00+00"')
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Rollups that the maintenance task rebuilds from what series_commit says has changed.

-- sum, count, min and max, not the mean: so that buckets combine. Values are for drawing.
CREATE TABLE rollup_1m (
    series_id int NOT NULL,
    bucket timestamptz NOT NULL,
    readings bigint NOT NULL,
    absent bigint NOT NULL,
    total double precision,
    minimum double precision,
    maximum double precision,
    PRIMARY KEY (series_id, bucket)
);

CREATE TABLE rollup_1h (
    series_id int NOT NULL,
    bucket timestamptz NOT NULL,
    readings bigint NOT NULL,
    absent bigint NOT NULL,
    total double precision,
    minimum double precision,
    maximum double precision,
    PRIMARY KEY (series_id, bucket)
);

-- What senders say of readings that they sent before: another value, or that there is none.

-- Each such statement, as it came. device_time names the moment it is about, ord & 255 which of
-- several values of one event. The order of a gateway's seqs is that in which it was told.
CREATE TABLE correction (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    commit_seq bigint NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    mantissa bigint NOT NULL,
    flags bigint NOT NULL,
    gateway_id int NOT NULL,
    series_id int NOT NULL REFERENCES series,
    ord int NOT NULL,
    error_ms int NOT NULL,
    scale smallint NOT NULL,
    absent smallint NOT NULL,
    offset_min smallint NOT NULL,
    clock smallint NOT NULL,
    device_time text NOT NULL,
    status text NOT NULL CHECK (status IN ('corrected', 'deleted', 'wrong')),
    detail jsonb NOT NULL,
    UNIQUE (series_id, device_time, ord)
);

-- The statement that holds at a place: the same for all series of a device's metric, whatever their
-- units. is_awaited: nothing has come yet that it is about.
CREATE TABLE corrected_place (
    series_id int NOT NULL REFERENCES series,
    device_time text NOT NULL,
    repeat smallint NOT NULL,
    correction_id bigint NOT NULL REFERENCES correction,
    is_awaited boolean NOT NULL,
    PRIMARY KEY (series_id, device_time, repeat)
);
CREATE INDEX corrected_place_correction ON corrected_place (correction_id);

-- Values that were taken out of reading and reading_detail, as they stood there; superseded_seq is
-- the commit that did it. The history of an Observation reads them, and people who look into it.
CREATE TABLE superseded (
    superseded_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    correction_id bigint NOT NULL REFERENCES correction,
    superseded_seq bigint NOT NULL,
    time timestamptz NOT NULL,
    commit_seq bigint NOT NULL,
    mantissa bigint NOT NULL,
    flags bigint NOT NULL,
    series_id int NOT NULL,
    ord int NOT NULL,
    error_ms int NOT NULL,
    gateway_id int NOT NULL,
    scale smallint NOT NULL,
    absent smallint NOT NULL,
    offset_min smallint NOT NULL,
    clock smallint NOT NULL,
    raw_scale smallint,
    raw_mantissa bigint,
    skew_s bigint,
    device_time text,
    context jsonb
);
CREATE INDEX superseded_place ON superseded (series_id, time, ord);
CREATE INDEX superseded_device_time ON superseded (series_id, device_time, ord);

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
CREATE INDEX blob_cold ON blob (sha256) WHERE tier = 'cold';
CREATE INDEX blob_unused ON blob (sha256) WHERE refs = 0;

-- Matching keys as text, '' where the attribute is absent or empty; collation "C", so that an index
-- serves both order and beginnings. Names are upper-case without accents, their groups between '='.
-- attributes: DICOM JSON of the level, of the instance attributes_of: the one that says most, of
-- equals that with the greatest hash, so that the order of arrival changes nothing.
-- identities: issuer, patient id and birth date of its instances, backslashes between them, in order.
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
    identities text [] COLLATE "C" NOT NULL,
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
-- study_uid: of the file, which may be another one than that of the file that is shown; NULL = old.
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
    study_uid text COLLATE "C",
    assumed_issuer text COLLATE "C",
    UNIQUE (sop_uid, sha256)
);
CREATE INDEX image_version_blob ON image_version (sha256);
CREATE INDEX image_version_study ON image_version (study_uid);

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

-- Who brought what, once for each item of a gateway. assumed_issuer: of patient ids without one, as
-- who brought it said; '' = nobody, NULL = as the settings say.
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
    peer text NOT NULL,
    assumed_issuer text COLLATE "C"
);
CREATE UNIQUE INDEX image_upload_item ON image_upload (gateway, spool, item)
WHERE gateway IS NOT NULL;
CREATE INDEX image_upload_blob ON image_upload (sha256);

-- Whose study it is because somebody said so; an index that is made again keeps to it.
-- identities: those that the study had when it was decided; another one asks for a new decision.
CREATE TABLE image_assignment (
    study_uid text COLLATE "C" PRIMARY KEY,
    patient_id uuid NOT NULL REFERENCES patient,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    identities text [] COLLATE "C" NOT NULL
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
CREATE INDEX image_tombstone_hash ON image_tombstone (sha256);

-- A note is never changed: it is withdrawn, and another one may stand in its place.
CREATE TABLE image_note (
    note_id uuid PRIMARY KEY,
    commit_seq bigint NOT NULL,
    written_at timestamptz NOT NULL,
    frame int NOT NULL,
    study_uid text COLLATE "C" NOT NULL,
    sop_uid text COLLATE "C" NOT NULL,
    note text NOT NULL,
    author text NOT NULL,
    drawing jsonb NOT NULL,
    withdrawn_at timestamptz,
    withdrawn_by text,
    replaces uuid,
    CONSTRAINT image_note_withdrawn CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);
CREATE INDEX image_note_study ON image_note (study_uid, written_at DESC);
CREATE INDEX image_note_written ON image_note (written_at DESC);

-- What a check of the objects found; open until the same check finds it well again.
CREATE TABLE object_finding (
    finding_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    sha256 bytea NOT NULL,
    kind text NOT NULL CHECK (kind IN ('missing', 'differs', 'unindexed', 'unreadable')),
    ended text CHECK (ended IN ('well', 'other', 'replaced', 'removed'))
);
CREATE UNIQUE INDEX object_finding_open ON object_finding (sha256, kind)
WHERE resolved_at IS NULL;

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

-- A gateway has its own steps: no other one can say anything of them.
-- accessions, step_ids, study_uids: of the scheduled steps it is about, side by side.
CREATE TABLE procedure_step (
    sop_uid text COLLATE "C" NOT NULL,
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
    series_uids text [] COLLATE "C" NOT NULL,
    dicom_patient_id text COLLATE "C" NOT NULL DEFAULT '',
    issuer text COLLATE "C" NOT NULL DEFAULT '',
    birth_date text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (gateway_id, sop_uid)
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
    sop_uid text COLLATE "C" NOT NULL,
    calling_ae text COLLATE "C" NOT NULL,
    status text,
    sha256 bytea NOT NULL,
    octets bytea NOT NULL,
    FOREIGN KEY (gateway_id, sop_uid) REFERENCES procedure_step,
    UNIQUE (gateway_id, sop_uid, spool, number)
);

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
CREATE INDEX forward_item_due ON forward_item (rule_id, next_at, item_id) WHERE state = 'waiting';
CREATE INDEX forward_item_dead ON forward_item (item_id) WHERE state = 'dead';

-- Objects that gateways brought and that are on no index, for an operator to look at.

CREATE TABLE blob_aside (
    aside_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_at timestamptz,
    size bigint NOT NULL,
    spool bigint NOT NULL,
    item bigint NOT NULL,
    sha256 bytea NOT NULL,
    gateway text NOT NULL,
    reason text NOT NULL,
    calling_ae text NOT NULL,
    called_ae text NOT NULL,
    peer text NOT NULL,
    PRIMARY KEY (gateway, spool, item)
);
CREATE INDEX blob_aside_at ON blob_aside (aside_at);
CREATE INDEX blob_aside_hash ON blob_aside (sha256);

-- Who looked at images.

-- One row for a reader, a study and a face in each quarter of an hour, which begins at period_at.
CREATE TABLE image_read (
    period_at timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    study_uid text COLLATE "C" NOT NULL,
    face text NOT NULL CHECK (face IN ('dicomweb', 'viewer', 'dimse')),
    reader_kind text NOT NULL CHECK (reader_kind IN ('user', 'client', 'node')),
    reader text NOT NULL,
    PRIMARY KEY (study_uid, period_at, face, reader_kind, reader)
);
CREATE INDEX image_read_last ON image_read (last_at DESC);
CREATE INDEX image_read_reader ON image_read (reader, last_at DESC);

-- Patients' days as a face writes them, kept for days to which nothing comes any more.

-- Observations of a patient and a UTC day in one form, with all that is committed up to commit_seq.
-- It may be missing or too old at any time: readers compare commits.
CREATE TABLE kept_day (
    patient_id uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
    day date NOT NULL,
    commit_seq bigint NOT NULL,
    form bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (patient_id, day)
);

-- The last commit that changed which devices are a patient's, or from when to when.
CREATE TABLE assigned_change (
    patient_id uuid PRIMARY KEY REFERENCES patient ON DELETE CASCADE,
    commit_seq bigint NOT NULL
);

-- Assignments change under take_commit() only: the newest commit is the one of this transaction.
CREATE FUNCTION note_assigned_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO assigned_change AS c (patient_id, commit_seq)
    SELECT DISTINCT k.patient_id, (SELECT max(commit_seq) FROM commit_log)
    FROM (VALUES (OLD.patient_id), (NEW.patient_id)) AS k (patient_id)
    WHERE k.patient_id IS NOT NULL
    ON CONFLICT (patient_id) DO UPDATE SET commit_seq = excluded.commit_seq;
    RETURN NULL;
END
$$;
CREATE TRIGGER assignment_changed AFTER INSERT OR UPDATE OR DELETE ON assignment
FOR EACH ROW EXECUTE FUNCTION note_assigned_change();

-- What an assignment lost when it was shortened or removed, by commit_seq: readings of [valid_from,
-- valid_to) that were stored by then had been the patient's from assigned_seq on.
CREATE TABLE left_interval (
    commit_seq bigint NOT NULL,
    assigned_seq bigint NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    device_id uuid NOT NULL REFERENCES device,
    patient_id uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
    user_index smallint
);
CREATE INDEX left_interval_commit ON left_interval (commit_seq);

-- Assignments change under take_commit() only: the newest commit is the one of this transaction.
CREATE FUNCTION note_left_interval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF
        TG_OP = 'UPDATE'
        AND coalesce(NEW.valid_to, 'infinity') >= coalesce(OLD.valid_to, 'infinity')
    THEN
        RETURN NULL;
    END IF;
    INSERT INTO left_interval (
        commit_seq, assigned_seq, valid_from, valid_to, device_id, patient_id, user_index
    )
    SELECT
        max(commit_seq), OLD.commit_seq,
        CASE TG_OP WHEN 'UPDATE' THEN NEW.valid_to ELSE OLD.valid_from END,
        OLD.valid_to, OLD.device_id, OLD.patient_id, OLD.user_index
    FROM commit_log;
    RETURN NULL;
END
$$;
CREATE TRIGGER assignment_shortened AFTER UPDATE OF valid_to OR DELETE ON assignment
FOR EACH ROW EXECUTE FUNCTION note_left_interval();

-- Resources that EHRs and apps write: as they are, all their versions, what they are found by.
-- All changes are made under lock_resources(), then take_commit(); in this order, always.

-- body NULL: deleted. patients: whose compartment it is in.
CREATE TABLE resource (
    resource_key bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    commit_seq bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    is_new boolean NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    patients uuid[] NOT NULL,
    body bytea,
    UNIQUE (kind, id)
);
CREATE INDEX resource_commit ON resource (kind, commit_seq, resource_key);
CREATE INDEX resource_creation ON resource (kind, resource_key);
CREATE INDEX resource_patients ON resource USING gin (patients) WITH (fastupdate = off);

CREATE TABLE resource_version (
    resource_key bigint NOT NULL REFERENCES resource,
    commit_seq bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    is_new boolean NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    patients uuid[] NOT NULL,
    body bytea,
    PRIMARY KEY (resource_key, commit_seq)
);
CREATE INDEX resource_version_commit ON resource_version (commit_seq, resource_key);
CREATE INDEX resource_version_kind ON resource_version (kind, commit_seq, resource_key);
CREATE INDEX resource_version_patients ON resource_version USING gin (patients) WITH (fastupdate = off);

-- param: kind and name of the search parameter, "Observation.code".
CREATE TABLE resource_text (
    resource_key bigint NOT NULL REFERENCES resource,
    param text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    system text COLLATE "C" NOT NULL
);
CREATE INDEX resource_text_value ON resource_text (param, value, resource_key);
CREATE INDEX resource_text_key ON resource_text (resource_key);

-- low, high: microseconds since 1970, or numbers; is_first: the earliest of a resource and param.
CREATE TABLE resource_range (
    resource_key bigint NOT NULL REFERENCES resource,
    is_first boolean NOT NULL,
    low numeric NOT NULL,
    high numeric NOT NULL,
    param text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL
);
CREATE INDEX resource_range_low ON resource_range (param, unit, low, resource_key);
CREATE INDEX resource_range_high ON resource_range (param, unit, high, resource_key);
CREATE INDEX resource_range_sort ON resource_range (param, low, resource_key) WHERE is_first;
CREATE INDEX resource_range_key ON resource_range (resource_key);

CREATE FUNCTION lock_resources() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(5723, 2)
$$;

-- As searches of strings compare: without marks of letters, case and what is around.
CREATE FUNCTION folded_name(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(lower(trim(regexp_replace(
        regexp_replace(normalize(name, NFKD), '[\u0300-\u036f]', '', 'g'), '\s+', ' ', 'g'
    ))), 200)
$$;

-- The Patient of a row of the register: a new version of its body, over what is held of it.
CREATE FUNCTION keep_patient(the_patient uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own patient;
    held resource;
    rest jsonb;
    whole jsonb;
    text_body text;
BEGIN
    SELECT * INTO own FROM patient WHERE patient_id = the_patient;
    SELECT * INTO held FROM resource WHERE kind = 'Patient' AND id = the_patient::text;
    whole := coalesce(convert_from(held.body, 'UTF8')::jsonb, '{"active": true}'::jsonb)
        - 'identifier' - 'name' - 'gender' - 'birthDate';
    whole := whole || jsonb_strip_nulls(jsonb_build_object(
        'gender', own.gender,
        'birthDate', own.birth_date,
        'identifier', (
            SELECT jsonb_agg(
                jsonb_strip_nulls(
                    jsonb_build_object('system', nullif(i.system, ''), 'value', i.value)
                ) ORDER BY i.place
            )
            FROM patient_identifier AS i WHERE i.patient_id = the_patient AND i.value <> ''
        ),
        'name', CASE WHEN own.family <> '' OR own.given <> '' THEN
            jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
                'use', 'official',
                'family', nullif(own.family, ''),
                'given', CASE WHEN own.given <> '' THEN jsonb_build_array(own.given) END
            )))
        END
    ));
    rest := whole - 'meta';
    text_body := CASE
        WHEN whole ? 'meta' THEN
            '{"meta":' || (whole -> 'meta')::text || ',' || substr(rest::text, 2)
        ELSE rest::text
    END;
    IF held.resource_key IS NULL THEN
        INSERT INTO resource (commit_seq, stored_at, is_new, kind, id, patients, body)
        VALUES (
            own.commit_seq, own.updated_at, true, 'Patient', the_patient::text,
            ARRAY[the_patient], convert_to(text_body, 'UTF8')
        )
        RETURNING * INTO held;
    ELSE
        UPDATE resource SET
            commit_seq = own.commit_seq, stored_at = own.updated_at, is_new = held.body IS NULL,
            body = convert_to(text_body, 'UTF8')
        WHERE resource_key = held.resource_key
        RETURNING * INTO held;
    END IF;
    INSERT INTO resource_version
        (resource_key, commit_seq, stored_at, is_new, kind, id, patients, body)
    VALUES (
        held.resource_key, held.commit_seq, held.stored_at, held.is_new, held.kind, held.id,
        held.patients, held.body
    );
    DELETE FROM resource_text WHERE resource_key = held.resource_key AND param IN (
        'Patient.identifier', 'Patient.family', 'Patient.given', 'Patient.name', 'Patient.gender'
    );
    INSERT INTO resource_text (resource_key, param, value, system)
    SELECT held.resource_key, 'Patient.identifier', i.value, i.system
    FROM patient_identifier AS i
    WHERE i.patient_id = the_patient AND i.value <> ''
    UNION ALL
    SELECT held.resource_key, 'Patient.gender', own.gender, '*'
    UNION ALL
    SELECT held.resource_key, n.param, folded_name(n.name), left(n.name, 200)
    FROM (VALUES
        ('Patient.family', own.family), ('Patient.given', own.given),
        ('Patient.name', own.family), ('Patient.name', own.given)
    ) AS n (param, name)
    WHERE n.name <> '';
    IF held.is_new THEN
        INSERT INTO resource_text (resource_key, param, value, system)
        VALUES (held.resource_key, 'Patient.active', 'true', '*');
    END IF;
    DELETE FROM resource_range
    WHERE resource_key = held.resource_key AND param = 'Patient.birthdate';
    IF own.birth_date IS NOT NULL THEN
        INSERT INTO resource_range (resource_key, is_first, low, high, param, unit)
        SELECT held.resource_key, true, day, day + 86400000000, 'Patient.birthdate', ''
        FROM (VALUES ((own.birth_date - date '1970-01-01') * 86400000000)) AS d (day);
    END IF;
END
$$;

-- What proves who a client is, what users granted to apps, and their tokens. Of codes, tokens and
-- launch contexts only the SHA-256 is kept.

-- Assertions that were used; without a reference, so that a client made anew meets its old ones.
CREATE TABLE client_assertion (
    until timestamptz NOT NULL,
    client text NOT NULL,
    jti_sha256 bytea NOT NULL,
    PRIMARY KEY (client, jti_sha256)
);
CREATE INDEX client_assertion_until ON client_assertion (until);

-- The family of all tokens that come from one authorization; until: when the last of them ends.
CREATE TABLE access_grant (
    grant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    until timestamptz NOT NULL,
    client text NOT NULL REFERENCES api_client ON DELETE CASCADE,
    login text REFERENCES app_user ON DELETE CASCADE,
    patient_id uuid REFERENCES patient ON DELETE CASCADE,
    session_sha256 bytea REFERENCES app_session ON DELETE CASCADE,
    nonce text,
    scopes text[] NOT NULL
);
CREATE INDEX access_grant_until ON access_grant (until);
CREATE INDEX access_grant_client ON access_grant (client);
CREATE INDEX access_grant_login ON access_grant (login);
CREATE INDEX access_grant_session ON access_grant (session_sha256);

CREATE TABLE grant_code (
    grant_id bigint NOT NULL REFERENCES access_grant ON DELETE CASCADE,
    until timestamptz NOT NULL,
    used_at timestamptz,
    code_sha256 bytea PRIMARY KEY,
    redirect_uri text NOT NULL,
    challenge text NOT NULL
);
CREATE INDEX grant_code_grant ON grant_code (grant_id);

-- scopes: of this token, where it has less than its grant.
CREATE TABLE grant_token (
    grant_id bigint NOT NULL REFERENCES access_grant ON DELETE CASCADE,
    issued_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL,
    used_at timestamptz,
    is_refresh boolean NOT NULL,
    token_sha256 bytea PRIMARY KEY,
    scopes text[]
);
CREATE INDEX grant_token_grant ON grant_token (grant_id);
CREATE INDEX grant_token_until ON grant_token (until);

-- A grant that was bound to a session of its user ends with it.
CREATE VIEW live_grant AS
SELECT g.*
FROM access_grant AS g
LEFT JOIN app_session AS s ON s.token_sha256 = g.session_sha256
WHERE g.session_sha256 IS NULL OR s.until > now();

CREATE TABLE launch_context (
    until timestamptz NOT NULL,
    patient_id uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
    launch_sha256 bytea PRIMARY KEY,
    client text NOT NULL REFERENCES api_client ON DELETE CASCADE,
    login text REFERENCES app_user ON DELETE CASCADE
);
CREATE INDEX launch_context_until ON launch_context (until);

-- Who did what with patients' data.

-- Only added to: what is older than the settings say is removed by forget_audit(), nothing else is
-- changed or removed. One index beside that of patients, because each request adds a row.
CREATE TABLE audit_event (
    recorded_at timestamptz NOT NULL,
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    status smallint NOT NULL,
    face text NOT NULL,
    action text NOT NULL,
    interaction text NOT NULL,
    kind text NOT NULL,
    resource_id text NOT NULL,
    query text NOT NULL,
    client text NOT NULL,
    login text NOT NULL,
    address text NOT NULL,
    patients uuid[] NOT NULL,
    PRIMARY KEY (recorded_at, event_id)
);
CREATE INDEX audit_event_patients ON audit_event USING gin (patients);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('wardlight.audit_retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_event is only added to';
END
$$;
CREATE TRIGGER audit_event_change BEFORE UPDATE OR DELETE ON audit_event
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_event_emptied BEFORE TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE FUNCTION forget_audit(older_than timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    forgotten bigint;
BEGIN
    PERFORM set_config('wardlight.audit_retention', 'on', true);
    DELETE FROM audit_event WHERE recorded_at < older_than;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    PERFORM set_config('wardlight.audit_retention', 'off', true);
    RETURN forgotten;
END
$$;

-- FHIR Subscriptions: whose each is and how far its notices have come, beside the resource itself;
-- their events; how far commits were looked at; websockets that may be bound.

-- state new: the resource is about to be written. from_commit: commits behind it count, NULL: none
-- do. next_at: a deliverer has something to do then; NULL: nothing. shown: the state that the
-- resource tells. grant_id: it ends with this grant; token_sha256: with this token of its client.
CREATE TABLE subscription (
    made_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz,
    ends_at timestamptz,
    lease_until timestamptz,
    failing_since timestamptz,
    version bigint NOT NULL DEFAULT 0,
    from_commit bigint,
    last_number bigint NOT NULL DEFAULT 0,
    sent_number bigint NOT NULL DEFAULT 0,
    grant_id bigint,
    patient_id uuid,
    generation int NOT NULL DEFAULT 0,
    secret_turn int NOT NULL DEFAULT 1,
    attempts int NOT NULL DEFAULT 0,
    subscription_id text COLLATE "C" PRIMARY KEY,
    client text NOT NULL,
    login text,
    token_sha256 bytea,
    scopes text[] NOT NULL,
    base text NOT NULL,
    state text NOT NULL DEFAULT 'new'
    CHECK (state IN ('new', 'requested', 'active', 'error', 'off')),
    shown text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    lease_holder text,
    definition bytea
);
CREATE INDEX subscription_due ON subscription (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX subscription_client ON subscription (client);

-- patients: whose the resource was when it matched, or until then: is_left.
CREATE TABLE subscription_event (
    number bigint NOT NULL,
    commit_seq bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    subscription_id text COLLATE "C" NOT NULL REFERENCES subscription ON DELETE CASCADE,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    patients uuid[] NOT NULL,
    is_left boolean NOT NULL DEFAULT false,
    PRIMARY KEY (subscription_id, number)
);
CREATE INDEX subscription_event_stored_at ON subscription_event (stored_at);

-- Commits up to commit_seq have their events; of those behind it, resources up to resource_seq, and
-- Observations up to the place. turn: of whoever writes here; revision: of what is subscribed to.
CREATE TABLE subscription_progress (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    commit_seq bigint NOT NULL,
    resource_seq bigint NOT NULL,
    turn bigint NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 0,
    place bytea
);
INSERT INTO subscription_progress (commit_seq, resource_seq)
SELECT newest.commit_seq, newest.commit_seq
FROM (SELECT coalesce(max(commit_seq), 0) AS commit_seq FROM commit_log) AS newest;

CREATE TABLE subscription_binding (
    until timestamptz NOT NULL,
    token_sha256 bytea PRIMARY KEY,
    subscription_ids text[] NOT NULL
);
CREATE INDEX subscription_binding_until ON subscription_binding (until);

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

-- HL7 v2 out: how far each destination has come, and the messages that wait for it.

-- Observations up to commit_seq, and of those behind it up to the place, have their messages. turn:
-- of whoever writes here. next_at: until then nothing is sent, for the reason. Commits behind
-- from_commit are told.
CREATE TABLE hl7_destination (
    made_at timestamptz NOT NULL DEFAULT now(),
    gathered_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    commit_seq bigint NOT NULL,
    turn bigint NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0,
    name text PRIMARY KEY,
    place bytea,
    reason text NOT NULL DEFAULT '',
    from_commit bigint NOT NULL
);

-- body NULL: arrived, and forgotten.
CREATE TABLE hl7_message (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    patient_id uuid NOT NULL,
    observations int NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    destination text NOT NULL REFERENCES hl7_destination ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
    control_id text NOT NULL,
    reason text NOT NULL DEFAULT '',
    body bytea
);
CREATE INDEX hl7_message_waiting ON hl7_message (destination, message_id) WHERE state = 'waiting';
CREATE INDEX hl7_message_patient ON hl7_message (patient_id, message_id) WHERE state = 'waiting';
CREATE INDEX hl7_message_dead ON hl7_message (message_id) WHERE state = 'dead';
CREATE INDEX hl7_message_sent ON hl7_message (settled_at) WHERE state = 'sent';
