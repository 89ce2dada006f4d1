-- Rollups as continuous aggregates, and old chunks as columns: TimescaleDB's own licence only.
-- 896 = the flags demo, test and calibrating, which are no clinical readings.

CREATE MATERIALIZED VIEW rollup_1m
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    series_id,
    time_bucket('1 minute', time) AS bucket,
    count(*) FILTER (WHERE absent = 0) AS readings,
    count(*) FILTER (WHERE absent <> 0) AS absent,
    sum(drawn(mantissa, scale)) FILTER (WHERE absent = 0) AS total,
    min(drawn(mantissa, scale)) FILTER (WHERE absent = 0) AS minimum,
    max(drawn(mantissa, scale)) FILTER (WHERE absent = 0) AS maximum
FROM reading
WHERE (flags & 896) = 0
GROUP BY series_id, time_bucket('1 minute', time)
WITH NO DATA;

CREATE MATERIALIZED VIEW rollup_1h
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    series_id,
    time_bucket('1 hour', bucket) AS bucket,
    sum(readings)::bigint AS readings,
    sum(absent)::bigint AS absent,
    sum(total) AS total,
    min(minimum) AS minimum,
    max(maximum) AS maximum
FROM rollup_1m
GROUP BY series_id, time_bucket('1 hour', bucket)
WITH NO DATA;

ALTER TABLE reading SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'series_id',
    timescaledb.compress_orderby = 'time, ord'
);
SELECT add_compression_policy('reading', compress_after => interval '7 days');
