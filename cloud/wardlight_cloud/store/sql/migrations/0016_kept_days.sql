-- Patients' days as a face writes them, kept for days to which nothing comes any more.

-- The last commit that brought or took clinical readings of this series and day. Days of before are
-- older than any kept one.
ALTER TABLE series_day ADD COLUMN commit_seq bigint NOT NULL DEFAULT 0;

-- Observations of a patient and a UTC day in one form, with all that is committed up to commit_seq.
-- It may be missing or too old at any time: readers compare commits.
CREATE TABLE kept_day (
    patient_id uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
    day date NOT NULL,
    commit_seq bigint NOT NULL,
    form bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (patient_id, day)
);

-- The last commit that changed which devices are a patient's, or from when to when.
CREATE TABLE assigned_change (
    patient_id uuid PRIMARY KEY REFERENCES patient ON DELETE CASCADE,
    commit_seq bigint NOT NULL
);

-- Assignments change under take_commit() only: the newest commit is the one of this transaction.
CREATE FUNCTION note_assigned_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO assigned_change AS c (patient_id, commit_seq)
    SELECT DISTINCT k.patient_id, (SELECT max(commit_seq) FROM commit_log)
    FROM (VALUES (OLD.patient_id), (NEW.patient_id)) AS k (patient_id)
    WHERE k.patient_id IS NOT NULL
    ON CONFLICT (patient_id) DO UPDATE SET commit_seq = excluded.commit_seq;
    RETURN NULL;
END
$$;
CREATE TRIGGER assignment_changed AFTER INSERT OR UPDATE OR DELETE ON assignment
FOR EACH ROW EXECUTE FUNCTION note_assigned_change();
