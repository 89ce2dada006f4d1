-- Who did what with patients' data.

-- Only added to: what is older than the settings say is removed by forget_audit(), nothing else is
-- changed or removed. One index beside that of patients, because each request adds a row.
CREATE TABLE audit_event (
    recorded_at timestamptz NOT NULL,
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    status smallint NOT NULL,
    face text NOT NULL,
    action text NOT NULL,
    interaction text NOT NULL,
    kind text NOT NULL,
    resource_id text NOT NULL,
    query text NOT NULL,
    client text NOT NULL,
    login text NOT NULL,
    address text NOT NULL,
    patients uuid[] NOT NULL,
    PRIMARY KEY (recorded_at, event_id)
);
CREATE INDEX audit_event_patients ON audit_event USING gin (patients);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('wardlight.audit_retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_event is only added to';
END
$$;
CREATE TRIGGER audit_event_change BEFORE UPDATE OR DELETE ON audit_event
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_event_emptied BEFORE TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE FUNCTION forget_audit(older_than timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    forgotten bigint;
BEGIN
    PERFORM set_config('wardlight.audit_retention', 'on', true);
    DELETE FROM audit_event WHERE recorded_at < older_than;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    PERFORM set_config('wardlight.audit_retention', 'off', true);
    RETURN forgotten;
END
$$;
