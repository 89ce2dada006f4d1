-- Who looked at images, and notes about images that were withdrawn.

-- One row for a reader, a study and a face in each quarter of an hour, which begins at period_at.
CREATE TABLE image_read (
    period_at timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    study_uid text COLLATE "C" NOT NULL,
    face text NOT NULL CHECK (face IN ('dicomweb', 'viewer', 'dimse')),
    reader_kind text NOT NULL CHECK (reader_kind IN ('user', 'client', 'node')),
    reader text NOT NULL,
    PRIMARY KEY (study_uid, period_at, face, reader_kind, reader)
);
CREATE INDEX image_read_last ON image_read (last_at DESC);
CREATE INDEX image_read_reader ON image_read (reader, last_at DESC);

-- A note is never changed: it is withdrawn, and another one may stand in its place.
ALTER TABLE image_note
ADD COLUMN withdrawn_at timestamptz,
ADD COLUMN withdrawn_by text,
ADD COLUMN replaces uuid,
ADD CONSTRAINT image_note_withdrawn CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL));
