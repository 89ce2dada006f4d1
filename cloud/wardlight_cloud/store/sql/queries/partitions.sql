-- Partitions of the table reading.

-- name: prepare_days
SELECT prepare_reading_days($1::date[])

-- name: prepare_coming_days
SELECT prepare_reading_days(array(
    SELECT (now() AT TIME ZONE 'UTC')::date + ahead FROM generate_series(0, $1::int) AS ahead
))
