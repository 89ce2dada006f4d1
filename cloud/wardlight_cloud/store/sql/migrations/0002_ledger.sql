-- What is settled of each gateway's records, and what did not become a reading.

-- Ranges of seqs: stored, finally rejected, removed on purpose on the gateway (with a tombstone).
CREATE TABLE ledger (
    gateway_id int NOT NULL REFERENCES gateway,
    epoch bigint NOT NULL,
    stored int8multirange NOT NULL DEFAULT '{}',
    rejected int8multirange NOT NULL DEFAULT '{}',
    removed int8multirange NOT NULL DEFAULT '{}',
    recorded bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway_id, epoch)
) WITH (fillfactor = 50);

CREATE TABLE removal (
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    cause text NOT NULL,
    seqs int8multirange NOT NULL,
    PRIMARY KEY (gateway_id, epoch, cause)
);

-- A named loss. is_removal: of records that had seqs (counted in removal, not here).
CREATE TABLE gap (
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    device text,
    cause text NOT NULL,
    readings bigint NOT NULL,
    is_removal boolean NOT NULL
);
CREATE INDEX gap_ledger ON gap (gateway_id, epoch);

CREATE TABLE status (
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    device_id uuid,
    name text NOT NULL,
    data jsonb NOT NULL
);
CREATE INDEX status_time ON status (gateway_id, time);

CREATE TABLE dead_letter (
    letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    reason text NOT NULL,
    body bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    UNIQUE (gateway_id, epoch, seq)
);
CREATE INDEX dead_letter_open ON dead_letter (letter_id) WHERE released_at IS NULL;

-- Kept aside and shown: a reading from the future, another value on the key of a stored one.
-- time_us may lie outside what a timestamptz holds. body: samples of a waveform block.
CREATE TABLE quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id int NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    series_id int NOT NULL,
    time_us bigint NOT NULL,
    ord int NOT NULL,
    mantissa bigint NOT NULL,
    scale smallint NOT NULL,
    absent smallint NOT NULL,
    reason text NOT NULL,
    body bytea,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Events that a device may send again, remembered for a stated time.
CREATE TABLE event_seen (
    event_id bytea PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
CREATE INDEX event_seen_at ON event_seen USING brin (seen_at);
