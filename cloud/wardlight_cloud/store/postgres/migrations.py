"""Brings a database to the schema that this program knows, one numbered file at a time.

Files are ``sql/migrations/NNNN_<name>[.<variant>].sql``; of variants of one number a database gets
the one that fits its engine. Each file runs in a transaction of its own, together with its line in
schema_version. An advisory lock lets one process migrate at a time; the others find nothing to do.

Errors  ConfigError: the database is newer than this program, or cannot be what is asked for;
        StorageError: the server refused or is away
"""

import logging
import re
import secrets
from dataclasses import dataclass
from functools import cache
from typing import Final

from wardlight_cloud.store.postgres.connections import Connection, connect, say_goodbye
from wardlight_cloud.store.postgres.engine import (
    Engine,
    Wanted,
    ask_server,
    choose,
    existing_engine,
    make_timescale,
)
from wardlight_cloud.store.postgres.errors import storage_errors
from wardlight_cloud.store.postgres.statements import sql_folder, statements
from wardlight_shared.errors import ConfigError

_log = logging.getLogger(__name__)
_SQL: Final = statements("engine")
_FILE: Final = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)(\.(?P<variant>[a-z]+))?\.sql")
_MIGRATION_TIMEOUT_S: Final = 3600.0  # a migration may have to rewrite a large table

OBSERVATION_KEY: Final = "observation-id"
CURSOR_KEY: Final = "cursor"
_SECRETS: Final = {OBSERVATION_KEY: 16, CURSOR_KEY: 32}


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. ``variant`` None = for every engine."""

    number: int
    name: str
    variant: str | None
    text: str


@cache
def known_migrations() -> tuple[Migration, ...]:
    """All files in order; ValueError for a name that does not follow the pattern."""
    found = []
    for file in sql_folder().joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file.name}: not the name of a migration")
        text = file.read_text(encoding="utf-8")
        found.append(Migration(int(match["number"]), match["name"], match["variant"], text))
    return tuple(sorted(found, key=lambda each: (each.number, each.variant or "")))


def newest_version() -> int:
    """The schema version that this program knows."""
    return known_migrations()[-1].number


def check_version(found: int) -> None:
    """Raise ConfigError unless a database of version ``found`` can be used as it is."""
    known = newest_version()
    if found > known:
        raise ConfigError(
            f"The database has schema version {found}, this program knows up to {known}. "
            "Install a newer Wardlight; a newer database is never changed back."
        )
    if found < known:
        raise ConfigError(
            f"The database has schema version {found}, this program needs {known}. "
            "Run `wardlight-cloud migrate`."
        )


async def current_version(connection: Connection) -> int:
    """The schema version of a database; 0 = nothing of ours is there."""
    if not await connection.fetchval(_SQL["has_versions"]):
        return 0
    rows = await connection.fetch(_SQL["versions"])
    return int(rows[-1]["version"]) if rows else 0


async def migrate(dsn: str, *, engine: Wanted = "auto") -> int:
    """Bring the database to the newest version; returns how many files were run."""
    with storage_errors("migrate"):
        connection = await connect(dsn, command_timeout_s=_MIGRATION_TIMEOUT_S)
        try:
            if await _is_current(connection, engine):
                return 0
            await connection.execute(_SQL["lock_migrations"])
            return await _migrate(connection, engine)
        finally:
            await say_goodbye(connection)  # and with it the lock


async def _is_current(connection: Connection, wanted: Wanted) -> bool:
    """Whether there is nothing to do, asked without the lock: every process start asks."""
    if await current_version(connection) != newest_version():
        return False
    await existing_engine(connection, wanted)
    return len(await connection.fetch(_SQL["secrets"])) >= len(_SECRETS)


async def _migrate(connection: Connection, wanted: Wanted) -> int:
    version = await current_version(connection)
    if version > newest_version():
        check_version(version)
    existing = await existing_engine(connection, wanted)
    variants = await _variants(connection, existing, wanted)
    if version == 0:
        await connection.execute(_SQL["make_versions"])
    due = [
        each
        for each in known_migrations()
        if each.number > version and each.variant in (None, *variants)
    ]
    for migration in due:
        async with connection.transaction():
            await connection.execute(migration.text)
            await connection.execute(_SQL["add_version"], migration.number, migration.name)
        _log.info("schema migrated", extra={"version": migration.number, "step": migration.name})
    for name, size in _SECRETS.items():
        await connection.execute(_SQL["keep_secret"], name, secrets.token_bytes(size))
    return len(due)


async def _variants(
    connection: Connection, existing: Engine | None, wanted: Wanted
) -> tuple[str, str]:
    """Which variants of migrations this database gets: of readings and of rollups."""
    kind = existing.kind if existing else choose(wanted, await ask_server(connection))
    has_own_rollups = existing.has_own_rollups if existing else None
    if kind == "native":
        has_own_rollups = True
    elif has_own_rollups is None:
        has_own_rollups = not await make_timescale(connection)
    return kind, "own" if has_own_rollups else "continuous"
