-- Dashboard users and their sessions.

-- name: put_user
INSERT INTO app_user (login, password_hash) VALUES ($1, $2)
ON CONFLICT (login) DO UPDATE SET password_hash = excluded.password_hash

-- name: remove_user
-- Its sessions go with it.
DELETE FROM app_user WHERE login = $1 RETURNING login

-- name: password_hash
SELECT password_hash FROM app_user WHERE login = $1

-- name: end_sessions_of
DELETE FROM app_session WHERE login = $1

-- name: forget_ended_sessions
DELETE FROM app_session WHERE until <= now()

-- name: start_session
-- FOR SHARE: a password change in progress is waited for, and what it wrote is compared.
INSERT INTO app_session (token_sha256, login, until)
SELECT $1, u.login, now() + $4::int * interval '1 second'
FROM (
    SELECT login FROM app_user WHERE login = $2 AND password_hash = $3 FOR SHARE
) AS u
RETURNING token_sha256

-- name: session_login
SELECT login FROM app_session WHERE token_sha256 = $1 AND until > now()

-- name: end_session
DELETE FROM app_session WHERE token_sha256 = $1
