-- Whether an object was removed: asked of each that an index made again does not know.
CREATE INDEX image_tombstone_hash ON image_tombstone (sha256);
