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
    ON a.device_id = s.device_id AND (a.user_index IS NULL OR a.user_index = s.user_index)
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
    (SELECT c.stored_at FROM commit_log AS c WHERE c.commit_seq = changed.commit_seq) AS updated_at
FROM device AS d
LEFT JOIN gateway AS g ON g.gateway_id = d.gateway_id
LEFT JOIN LATERAL (
    SELECT
        max(t.data::text) FILTER (WHERE t.name = 'info') AS info,
        max(t.data ->> 'percent') FILTER (WHERE t.name = 'battery') AS battery,
        max(t.data ->> 'state') FILTER (WHERE t.name = 'link') AS link,
        max(t.time) AS time,
        max(t.commit_seq) FILTER (WHERE t.name IN ('info', 'battery', 'link')) AS commit_seq
    FROM device_told AS t
    WHERE t.device_id = d.device_id
) AS told ON true
LEFT JOIN LATERAL (
    SELECT max(l.time) AS time
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
