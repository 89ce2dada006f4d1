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
