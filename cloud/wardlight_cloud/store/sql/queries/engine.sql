-- What kind of server this is, and which version of the schema it holds.

-- name: server
SELECT
    version() AS version,
    current_setting('server_version_num')::int AS version_num,
    (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb') AS available,
    (SELECT installed_version FROM pg_available_extensions WHERE name = 'timescaledb') AS installed,
    EXISTS (SELECT FROM pg_settings WHERE name LIKE 'timescaledb.%') AS is_preloaded,
    current_setting('timescaledb.license', true) AS licence

-- name: make_timescale
CREATE EXTENSION IF NOT EXISTS timescaledb

-- name: lock_migrations
SELECT pg_advisory_lock(5723, 3)

-- name: has_versions
SELECT to_regclass('schema_version') IS NOT NULL

-- name: make_versions
CREATE TABLE schema_version (
    version int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: versions
SELECT version, name FROM schema_version ORDER BY version

-- name: add_version
INSERT INTO schema_version (version, name) VALUES ($1, $2)

-- name: reading_kind
-- native, timescale, or null before the first migration
SELECT CASE
    WHEN to_regclass('reading') IS NULL THEN NULL
    WHEN EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass('reading'))
        THEN 'native'
    ELSE 'timescale'
END

-- name: has_own_rollups
SELECT relkind = 'r' FROM pg_class WHERE oid = to_regclass('rollup_1m')

-- name: keep_secret
INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING

-- name: secrets
SELECT name, value FROM secret
