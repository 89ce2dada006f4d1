-- HL7 v2 out: how far each destination has come, and the messages that wait for it.

-- Observations up to commit_seq, and of those behind it up to the place, have their messages. turn:
-- of whoever writes here. next_at: until then nothing is sent, for the reason.
CREATE TABLE hl7_destination (
    made_at timestamptz NOT NULL DEFAULT now(),
    gathered_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    commit_seq bigint NOT NULL,
    turn bigint NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0,
    name text PRIMARY KEY,
    place bytea,
    reason text NOT NULL DEFAULT ''
);

-- body NULL: arrived, and forgotten.
CREATE TABLE hl7_message (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    patient_id uuid NOT NULL,
    observations int NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    destination text NOT NULL REFERENCES hl7_destination ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
    control_id text NOT NULL,
    reason text NOT NULL DEFAULT '',
    body bytea
);
CREATE INDEX hl7_message_waiting ON hl7_message (destination, message_id) WHERE state = 'waiting';
CREATE INDEX hl7_message_patient ON hl7_message (patient_id, message_id) WHERE state = 'waiting';
CREATE INDEX hl7_message_dead ON hl7_message (message_id) WHERE state = 'dead';
CREATE INDEX hl7_message_sent ON hl7_message (settled_at) WHERE state = 'sent';
