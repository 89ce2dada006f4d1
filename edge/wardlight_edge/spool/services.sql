-- Tables of worklist, procedure steps and storage commitment. "sealed" holds what names anybody.

CREATE TABLE IF NOT EXISTS worklist (
    generation INTEGER NOT NULL,
    entry      INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (generation, entry)
);

-- Queries are answered from "generation"; "coming" is the revision up to which the next one has
-- arrived, while it does. as_of_ms: when the list was read, by the collector's clock.
CREATE TABLE IF NOT EXISTS worklist_state (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    generation   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    coming       INTEGER,
    as_of_ms     INTEGER NOT NULL,
    kept_ms      INTEGER NOT NULL,
    kept_mono_ms INTEGER NOT NULL,
    kept_boot    TEXT NOT NULL
);

-- Which database of the cloud counted the revisions that are held, or are coming.
CREATE TABLE IF NOT EXISTS worklist_epoch (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS step (
    step       INTEGER PRIMARY KEY AUTOINCREMENT,
    key_hash   BLOB NOT NULL UNIQUE,  -- of the SOP Instance UID
    status     TEXT NOT NULL,
    events     INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,      -- age of the spool
    sealed     BLOB NOT NULL,         -- the attributes after all events; once it is over, its status
    sender     BLOB NOT NULL DEFAULT x'',      -- bounds.py: hash of the calling AE title
    octets     INTEGER NOT NULL DEFAULT 0      -- of "sealed" while the step is not over
);
CREATE INDEX IF NOT EXISTS step_changed ON step (changed_at);

-- Events that were accepted and are no items of the spool yet.
CREATE TABLE IF NOT EXISTS step_event (
    event  INTEGER PRIMARY KEY AUTOINCREMENT,
    name   BLOB NOT NULL,  -- 16 random octets: the sealed column's place
    sealed BLOB NOT NULL,
    sender BLOB NOT NULL DEFAULT x'',
    octets INTEGER NOT NULL DEFAULT 0
);

-- Events whose row does not open: kept for an operator, so that the others go on.
CREATE TABLE IF NOT EXISTS step_event_aside (
    event    INTEGER PRIMARY KEY,
    name     BLOB NOT NULL,
    sealed   BLOB NOT NULL,
    since_ms INTEGER NOT NULL
);

-- Times but received_ms are ages of the spool: age.py.
CREATE TABLE IF NOT EXISTS commitment (
    commitment  INTEGER PRIMARY KEY AUTOINCREMENT,
    key_hash    BLOB NOT NULL UNIQUE,  -- of requester and Transaction UID
    state       TEXT NOT NULL,
    received_ms INTEGER NOT NULL,      -- by the wall clock
    asked_at    INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    name        BLOB NOT NULL,         -- 16 random octets: the sealed columns' place
    asked       BLOB NOT NULL,         -- sealed: who asked
    instances   INTEGER NOT NULL,
    digest      BLOB NOT NULL,         -- keyed hash of the instances
    verdicts    BLOB,                  -- sealed: of each instance what is reported, once decided
    sender      BLOB NOT NULL DEFAULT x'',
    octets      INTEGER NOT NULL DEFAULT 0  -- of its pages, which are kept until it is reported
);
CREATE INDEX IF NOT EXISTS commitment_due ON commitment (state, next_at);

-- Which instances a request is about, some hundred a row.
CREATE TABLE IF NOT EXISTS commitment_page (
    commitment INTEGER NOT NULL REFERENCES commitment ON DELETE CASCADE,
    page       INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    UNIQUE (commitment, page)
);

-- What each sender has in three of these tables, for bounds.py; kept by triggers, so that no change
-- forgets it.
CREATE TABLE IF NOT EXISTS held (
    subject TEXT NOT NULL,     -- table
    sender  BLOB NOT NULL,     -- hash of the calling AE title; x'' = it was not noted
    entries INTEGER NOT NULL,
    octets  INTEGER NOT NULL,
    PRIMARY KEY (subject, sender)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS commitment_sender ON commitment (sender, state, commitment);
CREATE INDEX IF NOT EXISTS step_sender ON step (sender, status, step);

CREATE TRIGGER IF NOT EXISTS held_commitment_comes AFTER INSERT ON commitment BEGIN
    INSERT INTO held VALUES ('commitment', NEW.sender, 1, NEW.octets)
    ON CONFLICT (subject, sender) DO UPDATE SET entries = entries + 1,
        octets = octets + excluded.octets;
END;

CREATE TRIGGER IF NOT EXISTS held_commitment_changes AFTER UPDATE OF octets ON commitment BEGIN
    UPDATE held SET octets = octets + NEW.octets - OLD.octets
    WHERE subject = 'commitment' AND sender = NEW.sender;
END;

CREATE TRIGGER IF NOT EXISTS held_commitment_goes AFTER DELETE ON commitment BEGIN
    UPDATE held SET entries = entries - 1, octets = octets - OLD.octets
    WHERE subject = 'commitment' AND sender = OLD.sender;
END;

CREATE TRIGGER IF NOT EXISTS held_step_comes AFTER INSERT ON step BEGIN
    INSERT INTO held VALUES ('step', NEW.sender, 1, NEW.octets)
    ON CONFLICT (subject, sender) DO UPDATE SET entries = entries + 1,
        octets = octets + excluded.octets;
END;

CREATE TRIGGER IF NOT EXISTS held_step_changes AFTER UPDATE OF octets ON step BEGIN
    UPDATE held SET octets = octets + NEW.octets - OLD.octets
    WHERE subject = 'step' AND sender = NEW.sender;
END;

CREATE TRIGGER IF NOT EXISTS held_step_goes AFTER DELETE ON step BEGIN
    UPDATE held SET entries = entries - 1, octets = octets - OLD.octets
    WHERE subject = 'step' AND sender = OLD.sender;
END;

CREATE TRIGGER IF NOT EXISTS held_event_comes AFTER INSERT ON step_event BEGIN
    INSERT INTO held VALUES ('step_event', NEW.sender, 1, NEW.octets)
    ON CONFLICT (subject, sender) DO UPDATE SET entries = entries + 1,
        octets = octets + excluded.octets;
END;

CREATE TRIGGER IF NOT EXISTS held_event_goes AFTER DELETE ON step_event BEGIN
    UPDATE held SET entries = entries - 1, octets = octets - OLD.octets
    WHERE subject = 'step_event' AND sender = OLD.sender;
END;
