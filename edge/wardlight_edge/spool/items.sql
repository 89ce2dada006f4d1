-- Items of the spool. What stands in clear says nothing of a person: order, kind, sizes, times.

CREATE TABLE IF NOT EXISTS origin (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    identity INTEGER NOT NULL,  -- 63 random bits made with the file
    key_check BLOB NOT NULL      -- nothing, sealed with the key of the gateway
);

CREATE TABLE IF NOT EXISTS item (
    item        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,     -- blobs.BlobKind
    key_hash    BLOB NOT NULL,     -- of the SOP Instance UID
    sender      BLOB NOT NULL,     -- hash of the calling AE title
    name        BLOB NOT NULL,     -- 16 random octets: the file's name and the sealed column's place
    size        INTEGER NOT NULL,  -- octets of the DICOM file
    disk_bytes  INTEGER NOT NULL,  -- of its encrypted file; 0 when it has none any more
    received_ms INTEGER NOT NULL,
    state       TEXT NOT NULL,     -- base.ItemState
    settled_ms  INTEGER,           -- when the state became final, by the wall clock
    reason      TEXT,
    sealed      BLOB NOT NULL,     -- SHA-256 and what is told about it
    ordinal     INTEGER NOT NULL DEFAULT 0,  -- order of receipt, also in the file's trailer
    noticed_at  INTEGER            -- age of the spool when the imaging process met the final state
);

-- age.py: how long this spool has existed, at a moment of the monotonic clock of a boot; and the
-- last moment at which the wall clock was synchronised.
CREATE TABLE IF NOT EXISTS age (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    age_ms         INTEGER NOT NULL,
    mono_ms        INTEGER NOT NULL,
    boot           TEXT NOT NULL,
    anchor_age_ms  INTEGER NOT NULL,
    anchor_wall_ms INTEGER NOT NULL,
    anchor_boot    TEXT NOT NULL      -- '' = there was none
);

-- Items that a person gave up: told to the cloud with the gateway's records, then removed.
CREATE TABLE IF NOT EXISTS dropped (
    drop_number INTEGER PRIMARY KEY AUTOINCREMENT,
    entry       TEXT NOT NULL,     -- as `dicom items` named it
    kind        TEXT NOT NULL,     -- what it was
    size        INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    why         TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS item_key ON item (key_hash);
CREATE INDEX IF NOT EXISTS item_state ON item (state, item);
-- What the collector keeps and nobody sees: its receipt has a reason.
CREATE INDEX IF NOT EXISTS item_cloud_aside ON item (reason)
WHERE state = 'delivered' AND reason IS NOT NULL;
CREATE INDEX IF NOT EXISTS item_settled ON item (settled_ms) WHERE settled_ms IS NOT NULL;

-- Sums that quotas are held against; kept by triggers, so that no change forgets them.
CREATE TABLE IF NOT EXISTS usage (
    sender     BLOB PRIMARY KEY,
    disk_bytes INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS usage_grows AFTER INSERT ON item BEGIN
    INSERT INTO usage VALUES (NEW.sender, NEW.disk_bytes), (x'', NEW.disk_bytes)
    ON CONFLICT (sender) DO UPDATE SET disk_bytes = disk_bytes + excluded.disk_bytes;
END;

CREATE TRIGGER IF NOT EXISTS usage_changes AFTER UPDATE OF disk_bytes ON item BEGIN
    UPDATE usage SET disk_bytes = disk_bytes + NEW.disk_bytes - OLD.disk_bytes
    WHERE sender IN (NEW.sender, x'');
END;

CREATE TRIGGER IF NOT EXISTS usage_shrinks AFTER DELETE ON item BEGIN
    UPDATE usage SET disk_bytes = disk_bytes - OLD.disk_bytes WHERE sender IN (OLD.sender, x'');
END;

CREATE TABLE IF NOT EXISTS tally (
    state  TEXT PRIMARY KEY,
    items  INTEGER NOT NULL,
    octets INTEGER NOT NULL  -- of DICOM files
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS tally_grows AFTER INSERT ON item BEGIN
    INSERT INTO tally VALUES (NEW.state, 1, NEW.size)
    ON CONFLICT (state) DO UPDATE SET items = items + 1, octets = octets + excluded.octets;
END;

CREATE TRIGGER IF NOT EXISTS tally_changes AFTER UPDATE OF state ON item BEGIN
    UPDATE tally SET items = items - 1, octets = octets - OLD.size WHERE state = OLD.state;
    INSERT INTO tally VALUES (NEW.state, 1, NEW.size)
    ON CONFLICT (state) DO UPDATE SET items = items + 1, octets = octets + excluded.octets;
END;

CREATE TRIGGER IF NOT EXISTS tally_shrinks AFTER DELETE ON item BEGIN
    UPDATE tally SET items = items - 1, octets = octets - OLD.size WHERE state = OLD.state;
END;
