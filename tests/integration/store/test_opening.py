"""Opening a database: made, brought up to date, refused when it is newer or of another engine."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from support.postgres import FreshDatabase
from support.store import SCHEMA
from support.waiting import wait_until
from wardlight_cloud.config import DatabaseSettings, Settings
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.open import migrate_store, open_store
from wardlight_cloud.store.postgres import migrate, migrations, open_postgres
from wardlight_cloud.store.postgres.migrations import known_migrations, newest_version
from wardlight_shared.errors import ConfigError, StorageError


def _settings(dsn: str | None, **more: Any) -> Settings:
    secret = None if dsn is None else SecretStr(dsn)
    return Settings(database=DatabaseSettings(dsn=secret, pool_size=2), **more)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_empty_database_becomes_a_store(fresh_database: FreshDatabase) -> None:
    store = await open_store(_settings(await fresh_database()))
    try:
        assert await store.is_ready()
        assert await store.commit_seq() == 0
    finally:
        await store.close()


async def test_migrating_again_does_nothing(fresh_database: FreshDatabase) -> None:
    settings = _settings(await fresh_database())
    assert await migrate_store(settings) == newest_version()
    assert await migrate_store(settings) == 0


async def test_migrating_waits_for_a_database_that_is_not_up_yet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False, tcp_port=0)
    server.start()
    try:
        settings = _settings(server.tcp_dsn)
        server.stop()
        with pytest.raises(StorageError):
            await migrate_store(settings)
        with pytest.raises(StorageError):
            await migrate_store(settings, wait_s=0.01)
        caplog.clear()
        waiting = asyncio.create_task(migrate_store(settings, wait_s=200))
        await wait_until(lambda: "waiting for the database" in caplog.text, what="it says so")
        server.start()
        assert await asyncio.wait_for(waiting, 180) == newest_version()
    finally:
        server.stop()


async def test_the_keys_of_a_store_stay(fresh_database: FreshDatabase) -> None:
    """Ids of Observations and cursors outlive restarts and upgrades."""
    dsn = await fresh_database()
    await migrate(dsn)
    first = await open_postgres(dsn)
    await first.close()
    await migrate(dsn)
    second = await open_postgres(dsn)
    await second.close()
    assert first._database.observation_key == second._database.observation_key
    assert first._database.cursor_key == second._database.cursor_key


async def test_a_newer_database_is_refused(fresh_database: FreshDatabase) -> None:
    dsn = await fresh_database(SCHEMA)
    await _execute(dsn, "INSERT INTO schema_version (version, name) VALUES (9999, 'newer')")
    for refused in (open_store(_settings(dsn)), migrate_store(_settings(dsn)), open_postgres(dsn)):
        with pytest.raises(ConfigError, match=r"version 9999.*Install a newer Wardlight"):
            await refused


async def test_an_older_database_names_the_command(fresh_database: FreshDatabase) -> None:
    dsn = await fresh_database()
    with pytest.raises(ConfigError, match="Run `wardlight-cloud migrate`"):
        await open_postgres(dsn)


async def test_a_migration_that_fails_leaves_its_version_out(
    fresh_database: FreshDatabase,
) -> None:
    """A table of the same name stands in the way of the second file; then it is removed."""
    dsn = await fresh_database()
    await _execute(dsn, "CREATE TABLE gap (something int)")
    with pytest.raises(StorageError, match="42P07"):
        await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    versions = [
        row["version"] for row in await connection.fetch("SELECT version FROM schema_version")
    ]
    left = await connection.fetchval("SELECT to_regclass('ledger')")
    await connection.close()
    assert versions == [1]
    assert left is None
    await _execute(dsn, "DROP TABLE gap")
    assert await migrate(dsn) == newest_version() - 1


async def test_a_migration_cut_off_between_two_files_goes_on_with_the_same_engine(
    fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await fresh_database()
    early = tuple(each for each in known_migrations() if each.number <= 4)
    with monkeypatch.context() as older:
        older.setattr(migrations, "known_migrations", lambda: early)
        assert await migrate(dsn, engine="native") == 4
    assert await migrate(dsn) == newest_version() - 4
    store = await open_postgres(dsn)
    assert store._database.engine.has_own_rollups
    await store.close()


async def test_another_engine_than_the_database_has_is_refused(
    fresh_database: FreshDatabase,
) -> None:
    dsn = await fresh_database(SCHEMA)
    with pytest.raises(ConfigError, match="made with engine 'native'"):
        await open_postgres(dsn, engine="timescale")
    with pytest.raises(ConfigError, match="made with engine 'native'"):
        await migrate(dsn, engine="timescale")


async def test_timescale_where_there_is_none_is_refused(fresh_database: FreshDatabase) -> None:
    with pytest.raises(ConfigError, match="the server has no TimescaleDB"):
        await migrate(await fresh_database(), engine="timescale")


async def test_the_embedded_server_is_found_by_its_folder(tmp_path: Path) -> None:
    settings = _settings(None, data_dir=tmp_path)
    with pytest.raises(StorageError, match=r"database\.dsn"):
        await open_store(settings)
    async with EmbeddedPostgres(tmp_path / "postgres", durable=False):
        store = await open_store(settings)
        assert await store.is_ready()
        await store.close()


async def test_a_server_that_would_lose_commits_is_told_not_to(
    fresh_database: FreshDatabase,
) -> None:
    """The acknowledgement means: on the disk."""
    dsn = await fresh_database(SCHEMA)
    name = dsn.partition("@/")[2].partition("?")[0]
    await _execute(dsn, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    store = await open_postgres(dsn)
    try:
        async with store._connections.acquire() as connection:
            assert await connection.fetchval("SHOW synchronous_commit") == "on"
    finally:
        await store.close()


def test_migrations_are_found() -> None:
    """One after the other, and two of one number only where engines differ."""
    found = known_migrations()
    numbers = [each.number for each in found]
    assert sorted(set(numbers)) == list(range(1, newest_version() + 1))
    assert numbers == sorted(numbers)
    twice = {each.number for each in found if each.variant is not None}
    assert len(numbers) == newest_version() + len(twice) == newest_version() + 3
