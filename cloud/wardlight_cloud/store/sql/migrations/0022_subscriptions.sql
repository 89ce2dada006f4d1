-- FHIR Subscriptions: whose each is and how far its notices have come, beside the resource itself;
-- their events; how far commits were looked at; websockets that may be bound.

-- state new: the resource is about to be written. from_commit: commits behind it count, NULL: none
-- do. next_at: a deliverer has something to do then; NULL: nothing. shown: the state that the
-- resource tells. grant_id: it ends with this grant; token_sha256: with this token of its client.
CREATE TABLE subscription (
    made_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz,
    ends_at timestamptz,
    lease_until timestamptz,
    failing_since timestamptz,
    version bigint NOT NULL DEFAULT 0,
    from_commit bigint,
    last_number bigint NOT NULL DEFAULT 0,
    sent_number bigint NOT NULL DEFAULT 0,
    grant_id bigint,
    patient_id uuid,
    generation int NOT NULL DEFAULT 0,
    secret_turn int NOT NULL DEFAULT 1,
    attempts int NOT NULL DEFAULT 0,
    subscription_id text COLLATE "C" PRIMARY KEY,
    client text NOT NULL,
    login text,
    token_sha256 bytea,
    scopes text[] NOT NULL,
    base text NOT NULL,
    state text NOT NULL DEFAULT 'new'
    CHECK (state IN ('new', 'requested', 'active', 'error', 'off')),
    shown text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    lease_holder text,
    definition bytea
);
CREATE INDEX subscription_due ON subscription (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX subscription_client ON subscription (client);

-- patients: whose the resource was when it matched.
CREATE TABLE subscription_event (
    number bigint NOT NULL,
    commit_seq bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    subscription_id text COLLATE "C" NOT NULL REFERENCES subscription ON DELETE CASCADE,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    patients uuid[] NOT NULL,
    PRIMARY KEY (subscription_id, number)
);
CREATE INDEX subscription_event_stored_at ON subscription_event (stored_at);

-- Commits up to commit_seq have their events; of those behind it, resources up to resource_seq, and
-- Observations up to the place. turn: of whoever writes here; revision: of what is subscribed to.
CREATE TABLE subscription_progress (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    commit_seq bigint NOT NULL,
    resource_seq bigint NOT NULL,
    turn bigint NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 0,
    place bytea
);
INSERT INTO subscription_progress (commit_seq, resource_seq)
SELECT newest.commit_seq, newest.commit_seq
FROM (SELECT coalesce(max(commit_seq), 0) AS commit_seq FROM commit_log) AS newest;

CREATE TABLE subscription_binding (
    until timestamptz NOT NULL,
    token_sha256 bytea PRIMARY KEY,
    subscription_ids text[] NOT NULL
);
CREATE INDEX subscription_binding_until ON subscription_binding (until);
