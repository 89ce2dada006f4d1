-- When losses and statuses came here: those of before this are not known.
ALTER TABLE gap ADD COLUMN stored_at timestamptz;
ALTER TABLE gap ALTER COLUMN stored_at SET DEFAULT clock_timestamp();
ALTER TABLE status ADD COLUMN stored_at timestamptz;
ALTER TABLE status ALTER COLUMN stored_at SET DEFAULT clock_timestamp();
