-- Clients, their tokens, and what users granted them.

-- name: token
SELECT
    name AS client, scopes, NULL::text AS login, NULL::uuid AS patient_id,
    NULL::double precision AS expires_in_s
FROM api_client
WHERE token_sha256 = $1
UNION ALL
SELECT
    g.client, coalesce(t.scopes, g.scopes), g.login, g.patient_id,
    extract(EPOCH FROM t.until - now())::double precision
FROM grant_token AS t
INNER JOIN live_grant AS g USING (grant_id)
WHERE t.token_sha256 = $1 AND NOT t.is_refresh AND t.until > now()

-- name: put_registration
INSERT INTO api_client (
    name, scopes, jwks, jwks_url, redirect_uris, launch_url, is_public, may_introspect
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (name) DO UPDATE
SET
    token_sha256 = NULL,
    scopes = excluded.scopes,
    jwks = excluded.jwks,
    jwks_url = excluded.jwks_url,
    redirect_uris = excluded.redirect_uris,
    launch_url = excluded.launch_url,
    is_public = excluded.is_public,
    may_introspect = excluded.may_introspect

-- name: end_grants_of
DELETE FROM access_grant WHERE client = $1

-- name: clients
SELECT
    name, scopes, jwks, jwks_url, redirect_uris, launch_url, is_public, may_introspect,
    token_sha256 IS NOT NULL AS has_token
FROM api_client
WHERE $1::text IS NULL OR name = $1
ORDER BY name

-- name: use_assertion
INSERT INTO client_assertion (client, jti_sha256, until)
VALUES ($1, $2, now() + $3::int * interval '1 second')
ON CONFLICT (client, jti_sha256) DO NOTHING
RETURNING client

-- name: forget_assertions
DELETE FROM client_assertion WHERE (client, jti_sha256) IN (
    SELECT client, jti_sha256 FROM client_assertion
    WHERE until < now() LIMIT 100 FOR UPDATE SKIP LOCKED
)

-- name: forget_grants
DELETE FROM access_grant WHERE grant_id IN (
    SELECT grant_id FROM access_grant
    WHERE until < now() LIMIT 100 FOR UPDATE SKIP LOCKED
)

-- name: forget_tokens
DELETE FROM grant_token WHERE token_sha256 IN (
    SELECT token_sha256 FROM grant_token
    WHERE until < now() LIMIT 100 FOR UPDATE SKIP LOCKED
)

-- name: forget_launches
DELETE FROM launch_context WHERE launch_sha256 IN (
    SELECT launch_sha256 FROM launch_context
    WHERE until < now() LIMIT 100 FOR UPDATE SKIP LOCKED
)

-- name: add_grant
INSERT INTO access_grant (client, login, patient_id, session_sha256, nonce, scopes, until)
VALUES ($1, $2, $3, $4, $5, $6, now() + $7::int * interval '1 second')
RETURNING grant_id

-- name: extend_grant
UPDATE access_grant
SET until = greatest(until, now() + $2::int * interval '1 second')
WHERE grant_id = $1

-- name: end_grant
DELETE FROM access_grant WHERE grant_id = $1

-- name: add_code
INSERT INTO grant_code (grant_id, code_sha256, redirect_uri, challenge, until)
VALUES ($1, $2, $3, $4, now() + $5::int * interval '1 second')

-- name: add_token
INSERT INTO grant_token (grant_id, token_sha256, is_refresh, until)
VALUES ($1, $2, $3, now() + $4::int * interval '1 second')

-- name: code
SELECT
    c.grant_id, c.used_at IS NOT NULL AS is_used, c.until > now() AS is_timely,
    c.redirect_uri, c.challenge, g.client, g.login, g.patient_id, g.nonce, g.scopes,
    g.session_sha256
FROM grant_code AS c
INNER JOIN live_grant AS g USING (grant_id)
WHERE c.code_sha256 = $1 AND g.client = $2
FOR UPDATE OF c

-- name: use_code
UPDATE grant_code SET used_at = now() WHERE code_sha256 = $1

-- name: refresh_token
SELECT
    t.grant_id, t.used_at IS NOT NULL AS is_used, t.until > now() AS is_timely,
    g.client, g.login, g.patient_id, g.nonce, g.scopes, g.session_sha256
FROM grant_token AS t
INNER JOIN live_grant AS g USING (grant_id)
WHERE t.token_sha256 = $1 AND t.is_refresh AND g.client = $2
FOR UPDATE OF t

-- name: client_of_refresh
SELECT g.client
FROM grant_token AS t
INNER JOIN live_grant AS g USING (grant_id)
WHERE t.token_sha256 = $1 AND t.is_refresh

-- name: use_token
UPDATE grant_token SET used_at = now() WHERE token_sha256 = $1

-- name: narrow_token
UPDATE grant_token SET scopes = $2 WHERE token_sha256 = $1

-- name: revoke_access
DELETE FROM grant_token AS t USING access_grant AS g
WHERE t.token_sha256 = $1 AND NOT t.is_refresh AND g.grant_id = t.grant_id AND g.client = $2

-- name: revoke_family
DELETE FROM access_grant AS g USING grant_token AS t
WHERE t.token_sha256 = $1 AND t.is_refresh AND g.grant_id = t.grant_id AND g.client = $2

-- name: introspect
SELECT
    g.client, coalesce(t.scopes, g.scopes) AS scopes, g.login, g.patient_id,
    extract(EPOCH FROM t.issued_at)::bigint AS issued_at,
    extract(EPOCH FROM t.until)::bigint AS until
FROM grant_token AS t
INNER JOIN live_grant AS g USING (grant_id)
WHERE t.token_sha256 = $1 AND t.until > now() AND t.used_at IS NULL

-- name: put_launch
INSERT INTO launch_context (launch_sha256, client, patient_id, login, until)
VALUES ($1, $2, $3, $4, now() + $5::int * interval '1 second')

-- name: launch
SELECT client, patient_id, login FROM launch_context WHERE launch_sha256 = $1 AND until > now()

-- name: use_launch
DELETE FROM launch_context WHERE launch_sha256 = $1 AND until > now() RETURNING client

-- name: fhir_user
SELECT fhir_user FROM app_user WHERE login = $1

-- name: put_fhir_user
UPDATE app_user SET fhir_user = $2 WHERE login = $1 RETURNING login

-- name: keep_secret
INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING

-- name: secret
SELECT value FROM secret WHERE name = $1
