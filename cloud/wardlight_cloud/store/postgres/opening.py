"""Opens a database whose schema is the one this program knows."""

import logging
from typing import Final

from wardlight_cloud.store.postgres.connections import (
    Connections,
    Own,
    PooledConnections,
    SingleConnection,
    connect,
    prepare,
    say_goodbye,
)
from wardlight_cloud.store.postgres.engine import Engine, Wanted, existing_engine
from wardlight_cloud.store.postgres.errors import storage_errors
from wardlight_cloud.store.postgres.migrations import (
    CURSOR_KEY,
    OBSERVATION_KEY,
    check_version,
    current_version,
)
from wardlight_cloud.store.postgres.part import Database
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.postgres.store import PostgresStore
from wardlight_shared.errors import ConfigError

_log = logging.getLogger(__name__)
_SQL: Final = statements("engine")


async def open_postgres(
    dsn: str, *, pool_size: int = 8, command_timeout_s: float = 30.0, engine: Wanted = "auto"
) -> PostgresStore:
    """Open the store in a database.

    Raises StorageError when the server is away, ConfigError when the schema is older or newer than
    this program's, or made with another engine than asked for.
    """
    with storage_errors("open_store"):
        first = await connect(dsn, command_timeout_s=command_timeout_s)
        try:
            check_version(await current_version(first))
            found = await existing_engine(first, engine)
            secrets = {row["name"]: row["value"] for row in await first.fetch(_SQL["secrets"])}
            found = _complete(found, secrets)
            connections = await _connections(first, found, dsn, pool_size, command_timeout_s)
        except BaseException:
            await say_goodbye(first)
            raise
    _log.info(
        "store opened",
        extra={"engine": found.kind, "own_rollups": found.has_own_rollups},
    )
    return PostgresStore(
        Database(connections, found, secrets[OBSERVATION_KEY], secrets[CURSOR_KEY])
    )


def _complete(found: Engine | None, secrets: dict[str, bytes]) -> Engine:
    """Both are there from the first migration on, unless it was cut off at its very end."""
    if found is None or not {OBSERVATION_KEY, CURSOR_KEY} <= secrets.keys():
        raise ConfigError("The database is incomplete. Run `wardlight-cloud migrate`.")
    return found


async def _connections(
    first: Own,
    engine: Engine,
    dsn: str,
    pool_size: int,
    command_timeout_s: float,
) -> Connections:
    if not engine.server.takes_sessions:
        await prepare(first, readers=1)
        return SingleConnection(first)
    await say_goodbye(first)
    pool = PooledConnections(dsn, size=pool_size, command_timeout_s=command_timeout_s)
    await pool.open()
    return pool
