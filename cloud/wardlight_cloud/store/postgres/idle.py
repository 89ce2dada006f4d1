"""Connections between two calls, kept out of the driver's pool while nobody waits for one.

Taking a connection from the driver's pool and putting it back costs as much as a small statement:
a task, a turn of the loop, a check of what the call left behind. A call that ended well leaves
nothing behind, so its connection is handed to the next one as it is. Whatever ended otherwise (an
error, a cancellation, a connection lost) goes back to the pool, which cleans up or replaces it; so
does each connection from time to time, since the pool alone knows when one has served enough.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from wardlight_cloud.store.postgres.metrics import IN_USE, WAITING

# The driver's types take their parameter in stubs only.
if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Pooled: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    Pool, Pooled = asyncpg.Pool, PoolConnectionProxy

_CALLS: Final = 1000  # giving back costs nothing, spread over as many


@dataclass(slots=True)
class Lent:
    """A connection that the pool has lent, how many calls it served since, and when it was kept."""

    connection: Pooled
    calls: int = 0
    kept_at: float = 0.0


class IdleConnections:
    """The connections of a pool that are ready at once, the last one used first.

    ``wait_s`` bounds how long a call waits for a connection; after ``idle_s`` without a call a
    connection is closed, after ``calls`` calls the pool has it back.
    """

    def __init__(self, pool: Pool, *, wait_s: float, idle_s: float, calls: int = _CALLS) -> None:
        self._pool = pool
        self._wait_s = wait_s
        self._idle_s = idle_s
        self._calls = calls
        self._ready: list[Lent] = []
        self._waiting = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    def ready(self) -> Lent | None:
        """One that is ready now."""
        while self._ready:
            lent = self._ready.pop()
            if _is_alive(lent.connection):
                return lent
            _discard(lent.connection)
        return None

    async def wait(self) -> Lent:
        """One of the pool: a new one, or the next that comes back."""
        self._waiting += 1
        WAITING.inc()
        try:
            # The driver's own timeout makes a task for each call, which costs a turn of the loop.
            async with asyncio.timeout(self._wait_s):
                return Lent(await self._pool.acquire())
        finally:
            self._waiting -= 1
            WAITING.dec()

    def keep(self, lent: Lent) -> bool:
        """Keep one for the next call; False when the pool must have it back."""
        lent.calls += 1
        if self._waiting or self._is_closed or lent.calls >= self._calls:
            return False
        if not _is_alive(lent.connection):
            return False
        loop = asyncio.get_running_loop()
        lent.kept_at = loop.time()
        self._ready.append(lent)
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._idle_s, self._sweep)
        return True

    async def give_back(self, lent: Lent) -> None:
        """Let the pool have it."""
        await self._pool.release(lent.connection)

    async def close(self) -> None:
        """Give all back; whatever is in use follows when its call ends."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._ready:
            await self.give_back(self._ready.pop())

    def _sweep(self) -> None:
        """Close what nobody has used for long: a firewall may have forgotten it by then."""
        loop = asyncio.get_running_loop()
        before = loop.time() - self._idle_s
        for lent in self._ready:
            if lent.kept_at <= before:
                _discard(lent.connection)
        self._ready = [lent for lent in self._ready if lent.kept_at > before]
        self._sweeping = None
        if self._ready:
            self._sweeping = loop.call_at(self._ready[0].kept_at + self._idle_s, self._sweep)


def _is_alive(connection: Pooled) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back, because the server ended it
        return False


def _discard(connection: Pooled) -> None:
    """Close one. The pool counts it as lent until then, even when nothing is behind it any more."""
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool has taken it back
        connection.terminate()


class Borrowed:
    """A connection for one call."""

    __slots__ = ("_idle", "_lent")

    def __init__(self, idle: IdleConnections) -> None:
        self._idle = idle

    async def __aenter__(self) -> Pooled:
        self._lent = self._idle.ready() or await self._idle.wait()
        IN_USE.inc()
        return self._lent.connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        IN_USE.dec()
        if kind is not None or not self._idle.keep(self._lent):
            await self._idle.give_back(self._lent)
