-- Numbers that a device itself calls invalid were counted. Minutes and hours with such are made
-- anew; all others stay. 896 = the flags demo, test and calibrating, 17179869186 = invalid and
-- withdrawn.

CREATE TEMPORARY TABLE counted_wrongly ON COMMIT DROP AS
SELECT DISTINCT series_id, date_bin('1 minute', time, 'epoch') AS bucket
FROM reading
WHERE absent = 0 AND (flags & 17179869186) <> 0 AND (flags & 896) = 0;

UPDATE rollup_1m AS m
SET
    readings = r.readings,
    absent = r.absent,
    total = r.total,
    minimum = r.minimum,
    maximum = r.maximum
FROM counted_wrongly AS k
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE n.is_number) AS readings,
        count(*) FILTER (WHERE NOT n.is_number) AS absent,
        sum(n.value) FILTER (WHERE n.is_number) AS total,
        min(n.value) FILTER (WHERE n.is_number) AS minimum,
        max(n.value) FILTER (WHERE n.is_number) AS maximum
    FROM (
        SELECT
            absent = 0 AND (flags & 17179869186) = 0 AS is_number,
            drawn(mantissa, scale) AS value
        FROM reading
        WHERE
            series_id = k.series_id AND time >= k.bucket
            AND time < k.bucket + interval '1 minute' AND (flags & 896) = 0
    ) AS n
) AS r
WHERE m.series_id = k.series_id AND m.bucket = k.bucket;

UPDATE rollup_1h AS h
SET
    readings = r.readings,
    absent = r.absent,
    total = r.total,
    minimum = r.minimum,
    maximum = r.maximum
FROM (
    SELECT
        k.series_id, k.bucket, sum(m.readings)::bigint AS readings,
        sum(m.absent)::bigint AS absent, sum(m.total) AS total, min(m.minimum) AS minimum,
        max(m.maximum) AS maximum
    FROM (
        SELECT DISTINCT series_id, date_bin('1 hour', bucket, 'epoch') AS bucket
        FROM counted_wrongly
    ) AS k
    INNER JOIN rollup_1m AS m
        ON m.series_id = k.series_id AND m.bucket >= k.bucket
        AND m.bucket < k.bucket + interval '1 hour'
    GROUP BY k.series_id, k.bucket
) AS r
WHERE h.series_id = r.series_id AND h.bucket = r.bucket;
