-- Readings in a TimescaleDB hypertable; the columns are those of the native table.

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
);

-- The primary key serves every query; the default index on time alone would only cost.
SELECT create_hypertable(
    'reading', by_range('time', interval '1 day'), create_default_indexes => false
);

-- Chunks come by themselves.
CREATE FUNCTION prepare_reading_days(days date []) RETURNS int LANGUAGE sql AS $$ SELECT 0 $$;
