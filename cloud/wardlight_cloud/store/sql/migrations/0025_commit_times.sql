-- Each commit has a millisecond of its own: the time says which commit it was, and who asks for what
-- is later than the last he saw gets all that is new, once. FHIR tells times in milliseconds.
CREATE OR REPLACE FUNCTION take_commit() RETURNS commit_log LANGUAGE plpgsql AS $$
DECLARE
    made commit_log;
    last timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(5723, 1);
    SELECT stored_at INTO last FROM commit_log ORDER BY commit_seq DESC LIMIT 1;
    INSERT INTO commit_log (commit_seq, stored_at)
    SELECT nextval('commit_number'), greatest(
        date_trunc('milliseconds', clock_timestamp()),
        date_trunc('milliseconds', last) + interval '1 millisecond'
    )
    RETURNING * INTO made;
    PERFORM pg_notify('wardlight_commit', made.commit_seq::text);
    RETURN made;
END
$$;
