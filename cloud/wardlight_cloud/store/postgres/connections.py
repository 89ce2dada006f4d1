"""Ways to the server: a pool, or one connection where the server takes no second one.

Both give the same three things: a connection for a call, an advisory lock held by a session of its
own, and a listener. Nothing outside this package sees a driver's object.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from wardlight_cloud.store.postgres.idle import Borrowed, IdleConnections
from wardlight_cloud.store.postgres.metrics import MOST
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import ConfigError

# The driver's types take their parameter in stubs only, hence the quotes.
Own: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connection: TypeAlias = "Own | PoolConnectionProxy[asyncpg.Record]"

if TYPE_CHECKING:
    _Driver = asyncpg.Connection[asyncpg.Record]
else:
    _Driver = asyncpg.Connection

_log = logging.getLogger(__name__)
_SQL: Final = statements("sessions")
_CONNECT_TIMEOUT_S: Final = 10.0
_STATEMENTS: Final = 256  # more than this package has, so that none is prepared twice
_IDLE_S: Final = 300.0
_GOODBYE_S: Final = 0.5
_PROCESSES: Final = 2  # collector and API share a server, each with a pool


class Connections(Protocol):
    """What the parts of the store ask of the server."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for one call."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection inside a transaction: commits at the end, rolls back on an exception."""

    def session_lock(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Hold the advisory lock ``name``; False when another session has it."""

    def listen(
        self, channel: str, heard: Callable[[str], None], lost: Callable[[], None]
    ) -> AbstractAsyncContextManager[None]:
        """Call ``heard`` with each payload on ``channel``, ``lost`` when the connection dies."""

    async def close(self) -> None:
        """Close all connections; running calls fail."""


class _Session(_Driver):
    """A pooled connection; calls leave nothing behind in it, so returning it costs no statement."""

    def get_reset_query(self) -> str:
        return ""


def server_settings(application: str) -> dict[str, str]:
    """Settings of each session."""
    return {
        "application_name": application,
        "timezone": "UTC",
        "jit": "off",  # our statements are short
        # Whoever hangs inside the commit lock is ended, so that the others go on.
        "idle_in_transaction_session_timeout": "60s",
    }


async def prepare(connection: Connection, *, readers: int) -> None:
    """Bring a new session into the state that the store needs; ``readers`` run at a time."""
    # An acknowledged commit is on the disk, whatever the server's default is.
    await connection.fetch(_SQL["commit_durably"])
    await connection.fetch(_SQL["plan_for_partitions"], readers)


async def connect(dsn: str, *, command_timeout_s: float) -> Own:
    """One connection outside any pool; ConfigError for an address that the driver cannot read."""
    try:
        return await asyncpg.connect(
            dsn,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=command_timeout_s,
            statement_cache_size=_STATEMENTS,
            max_cached_statement_lifetime=0,
            server_settings=server_settings("wardlight"),
        )
    except OSError:  # a certificate that does not fit is a ValueError, too
        raise
    except ValueError:  # its text may hold the password
        raise ConfigError(
            "database.dsn: not an address of a PostgreSQL server; write it as "
            "postgresql://user:password@host:5432/database"
        ) from None


async def say_goodbye(connection: Own) -> None:
    """Close a connection, and with it its locks and listeners; a server away cannot be told."""
    with contextlib.suppress(TimeoutError, OSError, asyncpg.PostgresError):
        await connection.close(timeout=_GOODBYE_S)


class PooledConnections:
    """A pool for calls, and connections of their own for locks and listeners."""

    def __init__(self, dsn: str, *, size: int, command_timeout_s: float) -> None:
        self._dsn = dsn
        self._size = size
        self._command_timeout_s = command_timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._idle: IdleConnections | None = None

    async def open(self) -> None:
        """Open the pool; raises what the driver raises."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,  # a server that is away is asked for when it is needed, not over and over
            max_size=self._size,
            max_inactive_connection_lifetime=_IDLE_S,
            init=functools.partial(prepare, readers=_PROCESSES * self._size),
            connection_class=_Session,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=self._command_timeout_s,
            statement_cache_size=_STATEMENTS,
            max_cached_statement_lifetime=0,
            server_settings=server_settings("wardlight"),
        )
        MOST.inc(self._size)
        self._idle = IdleConnections(self._pool, wait_s=self._command_timeout_s, idle_s=_IDLE_S)

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """See Connections."""
        if self._idle is None:
            raise asyncpg.InterfaceError("the store is closed")
        return Borrowed(self._idle)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """See Connections."""
        async with self.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def session_lock(self, name: str) -> AsyncIterator[bool]:
        """See Connections; the lock goes with its connection."""
        async with self._own() as connection:
            yield bool(await connection.fetchval(_SQL["try_lock"], name))

    @asynccontextmanager
    async def listen(
        self, channel: str, heard: Callable[[str], None], lost: Callable[[], None]
    ) -> AsyncIterator[None]:
        """See Connections."""
        async with self._own() as connection:
            connection.add_termination_listener(lambda _: lost())
            await connection.add_listener(channel, lambda *told: heard(str(told[3])))
            yield

    async def close(self) -> None:
        """See Connections; waits at most as long as one statement may take."""
        pool, self._pool = self._pool, None
        idle, self._idle = self._idle, None
        if pool is None or idle is None:
            return
        MOST.dec(self._size)
        try:
            async with asyncio.timeout(self._command_timeout_s):
                await idle.close()
                await pool.close()
        except TimeoutError:
            _log.warning("connections did not come back in time; closing them")
            pool.terminate()

    @asynccontextmanager
    async def _own(self) -> AsyncIterator[Own]:
        connection = await connect(self._dsn, command_timeout_s=self._command_timeout_s)
        try:
            yield connection
        finally:
            await say_goodbye(connection)


class SingleConnection:
    """One connection for everything, for a server that takes no second one."""

    def __init__(self, connection: Own) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._names: set[str] = set()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """See Connections."""
        async with self._turn:
            yield self._connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """See Connections."""
        async with self.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def session_lock(self, name: str) -> AsyncIterator[bool]:
        """See Connections; with one session, the holder inside this process is all there is."""
        if name in self._names:
            yield False
            return
        self._names.add(name)
        try:
            yield True
        finally:
            self._names.discard(name)

    @asynccontextmanager
    async def listen(
        self, channel: str, heard: Callable[[str], None], lost: Callable[[], None]
    ) -> AsyncIterator[None]:
        """See Connections."""

        def on_notice(*told: Any) -> None:
            heard(str(told[3]))

        def on_end(_: Any) -> None:
            lost()

        self._connection.add_termination_listener(on_end)
        async with self._turn:
            await self._connection.add_listener(channel, on_notice)
        try:
            yield
        finally:
            self._connection.remove_termination_listener(on_end)
            async with self._turn:
                await self._connection.remove_listener(channel, on_notice)

    async def close(self) -> None:
        """See Connections; such a server does not answer a goodbye."""
        self._connection.terminate()
        await asyncio.sleep(0)  # the loop closes the socket at its next turn
