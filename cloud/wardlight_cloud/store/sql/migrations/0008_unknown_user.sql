-- An assignment of user 255 takes the readings whose user the device did not know.
CREATE OR REPLACE VIEW assigned_series AS
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
