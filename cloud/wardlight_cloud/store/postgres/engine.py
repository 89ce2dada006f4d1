"""What kind of server this is: native partitions or TimescaleDB, and what it cannot do.

Errors  ConfigError: the server cannot be what ``database.engine`` asks for, or is too old
"""

import logging
from dataclasses import dataclass
from typing import Final, Literal

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import ConfigError

Kind = Literal["native", "timescale"]
Wanted = Literal["auto", "native", "timescale"]

_log = logging.getLogger(__name__)
_SQL: Final = statements("engine")
_OLDEST: Final = 150_000  # UNIQUE NULLS NOT DISTINCT
_WEB_ASSEMBLY: Final = "Emscripten"


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself before we have made anything in it."""

    version_num: int
    has_timescale: bool  # installed in this database, or can be
    is_web_assembly: bool  # one session, no COPY

    @property
    def takes_copy(self) -> bool:
        """Whether COPY FROM STDIN works."""
        return not self.is_web_assembly

    @property
    def takes_sessions(self) -> bool:
        """Whether a second session is served beside the first."""
        return not self.is_web_assembly


@dataclass(frozen=True, slots=True)
class Engine:
    """What the store in this database was made with."""

    kind: Kind
    has_own_rollups: bool | None  # False: continuous aggregates; None: not yet made
    server: Server


async def ask_server(connection: Connection) -> Server:
    """Ask one connection; ConfigError for a server older than PostgreSQL 15."""
    row = await connection.fetchrow(_SQL["server"])
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    if row["version_num"] < _OLDEST:
        raise ConfigError(
            f"database.dsn: the server is PostgreSQL {row['version_num'] // 10_000}; "
            "Wardlight needs 15 or newer"
        )
    is_web_assembly = _WEB_ASSEMBLY in row["version"]
    can_load = row["is_preloaded"] or is_web_assembly
    has_timescale = row["installed"] is not None or (row["available"] is not None and can_load)
    return Server(row["version_num"], has_timescale, is_web_assembly)


def choose(wanted: Wanted, server: Server) -> Kind:
    """The engine of a new store; ConfigError when TimescaleDB is asked for and is not there."""
    if wanted == "timescale" and not server.has_timescale:
        raise ConfigError(
            "database.engine: the server has no TimescaleDB; install it and add it to "
            "shared_preload_libraries, or set engine to auto"
        )
    return "timescale" if wanted != "native" and server.has_timescale else "native"


async def make_timescale(connection: Connection) -> bool:
    """Create the extension; True when its licence allows continuous aggregates."""
    await connection.execute(_SQL["make_timescale"])
    row = await connection.fetchrow(_SQL["server"])
    licence = None if row is None else row["licence"]
    _log.info("database has TimescaleDB", extra={"licence": licence})
    return bool(licence == "timescale")


async def existing_engine(connection: Connection, wanted: Wanted) -> Engine | None:
    """The engine of the store in this database, None before the first migration."""
    kind: Kind | None = await connection.fetchval(_SQL["reading_kind"])
    if kind is None:
        return None
    if wanted not in ("auto", kind):
        raise ConfigError(
            f"database.engine: this database was made with engine {kind!r} and cannot become "
            f"{wanted!r}; set engine to auto, or use an empty database"
        )
    has_own_rollups = await connection.fetchval(_SQL["has_own_rollups"])
    return Engine(kind, has_own_rollups, await ask_server(connection))
