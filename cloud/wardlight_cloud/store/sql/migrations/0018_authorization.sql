-- Clients that prove who they are with a key, what users granted to apps, and their tokens. Of
-- codes, tokens and launch contexts only the SHA-256 is kept.

ALTER TABLE api_client
ALTER COLUMN token_sha256 DROP NOT NULL,
ADD COLUMN jwks text,
ADD COLUMN jwks_url text,
ADD COLUMN redirect_uris text[] NOT NULL DEFAULT '{}',
ADD COLUMN launch_url text,
ADD COLUMN is_public boolean NOT NULL DEFAULT false,
ADD COLUMN may_introspect boolean NOT NULL DEFAULT false;

-- Which resource a user is, as Practitioner/1.
ALTER TABLE app_user ADD COLUMN fhir_user text;

-- Assertions that were used; without a reference, so that a client made anew meets its old ones.
CREATE TABLE client_assertion (
    until timestamptz NOT NULL,
    client text NOT NULL,
    jti_sha256 bytea NOT NULL,
    PRIMARY KEY (client, jti_sha256)
);
CREATE INDEX client_assertion_until ON client_assertion (until);

-- The family of all tokens that come from one authorization; until: when the last of them ends.
CREATE TABLE access_grant (
    grant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    until timestamptz NOT NULL,
    client text NOT NULL REFERENCES api_client ON DELETE CASCADE,
    login text REFERENCES app_user ON DELETE CASCADE,
    patient_id uuid REFERENCES patient ON DELETE CASCADE,
    session_sha256 bytea REFERENCES app_session ON DELETE CASCADE,
    nonce text,
    scopes text[] NOT NULL
);
CREATE INDEX access_grant_until ON access_grant (until);
CREATE INDEX access_grant_client ON access_grant (client);
CREATE INDEX access_grant_login ON access_grant (login);
CREATE INDEX access_grant_session ON access_grant (session_sha256);

CREATE TABLE grant_code (
    grant_id bigint NOT NULL REFERENCES access_grant ON DELETE CASCADE,
    until timestamptz NOT NULL,
    used_at timestamptz,
    code_sha256 bytea PRIMARY KEY,
    redirect_uri text NOT NULL,
    challenge text NOT NULL
);
CREATE INDEX grant_code_grant ON grant_code (grant_id);

-- scopes: of this token, where it has less than its grant.
CREATE TABLE grant_token (
    grant_id bigint NOT NULL REFERENCES access_grant ON DELETE CASCADE,
    issued_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL,
    used_at timestamptz,
    is_refresh boolean NOT NULL,
    token_sha256 bytea PRIMARY KEY,
    scopes text[]
);
CREATE INDEX grant_token_grant ON grant_token (grant_id);
CREATE INDEX grant_token_until ON grant_token (until);

-- A grant that was bound to a session of its user ends with it.
CREATE VIEW live_grant AS
SELECT g.*
FROM access_grant AS g
LEFT JOIN app_session AS s ON s.token_sha256 = g.session_sha256
WHERE g.session_sha256 IS NULL OR s.until > now();

CREATE TABLE launch_context (
    until timestamptz NOT NULL,
    patient_id uuid NOT NULL REFERENCES patient ON DELETE CASCADE,
    launch_sha256 bytea PRIMARY KEY,
    client text NOT NULL REFERENCES api_client ON DELETE CASCADE,
    login text REFERENCES app_user ON DELETE CASCADE
);
CREATE INDEX launch_context_until ON launch_context (until);
