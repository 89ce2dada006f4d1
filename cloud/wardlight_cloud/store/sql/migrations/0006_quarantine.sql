-- What a person needs to decide on a reading in quarantine, and what was decided.

-- event_id: of a record that left nothing but lines here. Such an event is not in event_seen, so
-- that a later copy of it is taken. detail: what belongs into reading_detail after a release.
ALTER TABLE quarantine
ADD COLUMN event_id bytea,
ADD COLUMN flags bigint NOT NULL DEFAULT 0,
ADD COLUMN error_ms int NOT NULL DEFAULT -1,
ADD COLUMN offset_min smallint NOT NULL DEFAULT 0,
ADD COLUMN clock smallint NOT NULL DEFAULT 0,
ADD COLUMN detail jsonb,
ADD COLUMN is_open boolean NOT NULL DEFAULT true;
CREATE INDEX quarantine_open ON quarantine (quarantine_id) WHERE is_open;
CREATE INDEX quarantine_record ON quarantine (gateway_id, epoch, seq);
CREATE INDEX quarantine_event ON quarantine (event_id) WHERE event_id IS NOT NULL;

-- Lines are only added: one that was discarded may be released later, and both stay on record.
-- superseded: a later copy of the same event came instead.
CREATE TABLE quarantine_decision (
    quarantine_id bigint NOT NULL REFERENCES quarantine,
    decision text NOT NULL CHECK (decision IN ('released', 'discarded', 'superseded')),
    decided_by text NOT NULL,
    reason text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    commit_seq bigint,
    time timestamptz,
    ord int,
    PRIMARY KEY (quarantine_id, decision)
);
