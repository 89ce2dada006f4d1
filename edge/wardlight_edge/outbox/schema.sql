-- The outbox file, version 2. One gateway process owns it (exclusive lock); see docs/decisions/009-outbox-file.md.
-- `body` columns and small-table contents are sealed (cipher.py); what stands in clear says nothing
-- of a person: order, queue, kind, hour of receipt since boot. Version 1 had the same tables; each record
-- had a row of its own.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,  -- schema, epoch, key_check, highest, before
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE boot (
    number  INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE
);

-- Without the dictionary no body can be read, so it stands on two pages.
CREATE TABLE series (
    number INTEGER PRIMARY KEY,
    sealed BLOB NOT NULL
);

CREATE TABLE series_copy (
    number INTEGER PRIMARY KEY,
    sealed BLOB NOT NULL
);

CREATE TABLE anchor (
    number INTEGER PRIMARY KEY,
    boot   INTEGER NOT NULL,
    sealed BLOB NOT NULL
);

-- seq is given by the program from `highest` and max(seq) and never reused (what AUTOINCREMENT
-- does, without its write to a second table per row). A row may hold records with consecutive seqs,
-- see packing.py.
CREATE TABLE record (
    seq      INTEGER PRIMARY KEY,  -- of the first record
    queue    INTEGER NOT NULL,  -- queues.Queue
    kind     INTEGER NOT NULL,  -- records.Kind + 16 * (records - 1)
    hour     INTEGER NOT NULL,  -- queues.hour_of
    event_id BLOB,              -- hidden by the cipher; NULL for streams
    body     BLOB NOT NULL
);

CREATE UNIQUE INDEX record_event ON record (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX record_alarm ON record (seq) WHERE queue = 0;

-- What the collector refused, kept until an operator has released it.
CREATE TABLE rejected (
    seq      INTEGER PRIMARY KEY,
    reason   TEXT NOT NULL,
    event_id BLOB,
    body     BLOB NOT NULL
);

CREATE INDEX rejected_event ON rejected (event_id) WHERE event_id IS NOT NULL;

-- Files set aside whose rows are being accepted again under this epoch.
CREATE TABLE salvage (
    file      TEXT PRIMARY KEY,
    cause     TEXT NOT NULL,
    epoch     INTEGER NOT NULL,
    next_seq  INTEGER NOT NULL,
    highest   INTEGER NOT NULL,
    expected  INTEGER NOT NULL,
    recovered INTEGER NOT NULL,
    lost      INTEGER NOT NULL
);
