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
