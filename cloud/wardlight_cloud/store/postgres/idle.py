"""Connections between two calls, kept out of the driver's pool while nobody waits for one.

Taking a connection from the driver's pool and putting it back costs as much as a small statement:
a task, a turn of the loop, a check of what the call left behind. A call that ended well leaves
nothing behind, so its connection is handed to the next one as it is. Whatever ended otherwise (an
error, a cancellation, a connection lost) goes back to the pool, which cleans up or replaces it.
"""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

# The driver's types take their parameter in stubs only.
if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Pooled: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    Pool, Pooled = asyncpg.Pool, PoolConnectionProxy


class IdleConnections:
    """The connections of a pool that are ready at once, the last one used first.

    ``wait_s`` bounds how long a call waits for a connection; after ``idle_s`` without a call a
    connection is closed.
    """

    def __init__(self, pool: Pool, *, wait_s: float, idle_s: float) -> None:
        self._pool = pool
        self._wait_s = wait_s
        self._idle_s = idle_s
        self._ready: list[tuple[Pooled, float]] = []  # and since when
        self._waiting = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    def ready(self) -> Pooled | None:
        """One that is ready now."""
        while self._ready:
            connection, _ = self._ready.pop()
            if _is_alive(connection):
                return connection
        return None

    async def wait(self) -> Pooled:
        """One of the pool: a new one, or the next that comes back."""
        self._waiting += 1
        try:
            # The driver's own timeout makes a task for each call, which costs a turn of the loop.
            async with asyncio.timeout(self._wait_s):
                connection: Pooled = await self._pool.acquire()
                return connection
        finally:
            self._waiting -= 1

    def keep(self, connection: Pooled) -> bool:
        """Keep one for the next call; False when the pool must have it back."""
        if self._waiting or self._is_closed or not _is_alive(connection):
            return False
        loop = asyncio.get_running_loop()
        self._ready.append((connection, loop.time()))
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._idle_s, self._sweep)
        return True

    async def give_back(self, connection: Pooled) -> None:
        """Let the pool have it."""
        await self._pool.release(connection)

    async def close(self) -> None:
        """Give all back; whatever is in use follows when its call ends."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._ready:
            await self.give_back(self._ready.pop()[0])

    def _sweep(self) -> None:
        """Close what nobody has used for long: a firewall may have forgotten it by then."""
        loop = asyncio.get_running_loop()
        before = loop.time() - self._idle_s
        for connection, since in self._ready:
            if since <= before and _is_alive(connection):
                connection.terminate()
        self._ready = [each for each in self._ready if each[1] > before]
        self._sweeping = None
        if self._ready:
            oldest = self._ready[0][1]
            self._sweeping = loop.call_at(oldest + self._idle_s, self._sweep)


def _is_alive(connection: Pooled) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back, because the server ended it
        return False


class Borrowed:
    """A connection for one call."""

    __slots__ = ("_connection", "_idle")

    def __init__(self, idle: IdleConnections) -> None:
        self._idle = idle

    async def __aenter__(self) -> Pooled:
        self._connection = self._idle.ready() or await self._idle.wait()
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None or not self._idle.keep(self._connection):
            await self._idle.give_back(self._connection)
