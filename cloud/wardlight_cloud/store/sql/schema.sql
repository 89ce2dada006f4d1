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
    password_hash text NOT NULL
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
    is_removal boolean NOT NULL
);
CREATE INDEX gap_ledger ON gap (gateway_id, epoch);

CREATE TABLE status (
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    device_id uuid,
    name text NOT NULL,
    data jsonb NOT NULL
);
CREATE INDEX status_time ON status (gateway_id, time);

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
-- the commit that did it. Nothing reads them but people who look into it.
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
