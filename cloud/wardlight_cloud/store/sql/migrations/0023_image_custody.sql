-- How findings of objects ended, and what lies in the second place.

-- ended: a check found the object well, or something else; it came again; it was removed.
ALTER TABLE object_finding ADD COLUMN ended text
CHECK (ended IN ('well', 'other', 'replaced', 'removed'));

CREATE INDEX blob_cold ON blob (sha256) WHERE tier = 'cold';
