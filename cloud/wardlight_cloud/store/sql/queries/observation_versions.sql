-- What stood at a place of the table of readings, and what stands.

-- name: values_at
-- Of the series $1, or of the components of the panel $1, at $2 and $3. $4: flags that keep a row out,
-- $5: a commit that will never be.
SELECT
    s.series_id, s.metric, s.unit, s.raw_unit, v.since, v.until, v.became, v.mantissa, v.scale,
    v.absent, v.flags, v.error_ms, v.gateway_id, v.offset_min, v.clock, v.raw_mantissa, v.raw_scale,
    v.device_time, v.context
FROM series AS s
CROSS JOIN LATERAL (
    SELECT
        r.commit_seq AS since, $5::bigint AS until, NULL AS became, r.mantissa, r.scale, r.absent,
        r.flags, r.error_ms, r.gateway_id, r.offset_min, r.clock, d.raw_mantissa, d.raw_scale,
        d.device_time, d.context::text AS context
    FROM reading AS r
    LEFT JOIN reading_detail AS d
        ON d.series_id = r.series_id AND d.time = r.time AND d.ord = r.ord
    WHERE r.series_id = s.series_id AND r.time = $2 AND r.ord = $3
    UNION ALL
    SELECT
        p.commit_seq, p.superseded_seq, c.status, p.mantissa, p.scale, p.absent, p.flags, p.error_ms,
        p.gateway_id, p.offset_min, p.clock, p.raw_mantissa, p.raw_scale, p.device_time,
        p.context::text
    FROM superseded AS p
    INNER JOIN correction AS c USING (correction_id)
    WHERE p.series_id = s.series_id AND p.time = $2 AND p.ord = $3
) AS v
WHERE NOT s.is_panel AND (s.series_id = $1 OR s.panel_series_id = $1) AND (v.flags & $4::bigint) = 0
ORDER BY s.series_id, v.since
