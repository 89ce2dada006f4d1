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
