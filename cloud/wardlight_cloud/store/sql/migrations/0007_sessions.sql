-- Dashboard sessions, kept so that they can be ended; only the hash of what the browser shows.
CREATE TABLE app_session (
    token_sha256 bytea PRIMARY KEY,
    login text NOT NULL REFERENCES app_user ON DELETE CASCADE,
    started_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL
);
CREATE INDEX app_session_login ON app_session (login);

-- Who has a device from a moment on: asked by what delivers changes.
CREATE INDEX assignment_from ON assignment (valid_from);
