-- Readings that are a patient's no longer: those who were told of them are told of that, too.

-- What an assignment lost when it was shortened or removed, by commit_seq: readings of [valid_from,
-- valid_to) that were stored by then had been the patient's from assigned_seq on.
CREATE TABLE left_interval (
    commit_seq bigint NOT NULL,
    assigned_seq bigint NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    device_id uuid NOT NULL REFERENCES device,
    patient_id uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
    user_index smallint
);
CREATE INDEX left_interval_commit ON left_interval (commit_seq);

-- Assignments change under take_commit() only: the newest commit is the one of this transaction.
CREATE FUNCTION note_left_interval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF
        TG_OP = 'UPDATE'
        AND coalesce(NEW.valid_to, 'infinity') >= coalesce(OLD.valid_to, 'infinity')
    THEN
        RETURN NULL;
    END IF;
    INSERT INTO left_interval (
        commit_seq, assigned_seq, valid_from, valid_to, device_id, patient_id, user_index
    )
    SELECT
        max(commit_seq), OLD.commit_seq,
        CASE TG_OP WHEN 'UPDATE' THEN NEW.valid_to ELSE OLD.valid_from END,
        OLD.valid_to, OLD.device_id, OLD.patient_id, OLD.user_index
    FROM commit_log;
    RETURN NULL;
END
$$;
CREATE TRIGGER assignment_shortened AFTER UPDATE OF valid_to OR DELETE ON assignment
FOR EACH ROW EXECUTE FUNCTION note_left_interval();

-- An event of a reading that left its patient.
ALTER TABLE subscription_event ADD COLUMN is_left boolean NOT NULL DEFAULT false;

-- Commits behind it are told to the destination.
ALTER TABLE hl7_destination ADD COLUMN from_commit bigint;
UPDATE hl7_destination AS d
SET from_commit = (
    SELECT coalesce(max(c.commit_seq), 0) FROM commit_log AS c WHERE c.stored_at <= d.made_at
);
ALTER TABLE hl7_destination ALTER COLUMN from_commit SET NOT NULL;
