"""The queue between a transport and its session: bounded, and it counts what it cannot take."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from wardlight_edge.transports.base import Arrival, Octets, Unreadable

CAPACITY = 1024  # 17 minutes of a 1 Hz stream
BATCH = 256
_POLL_S = 1.0


class Lost(msgspec.Struct, frozen=True):
    """Arrivals that found no room: why, how many, and when the first and the last of them came."""

    cause: str
    count: int
    since_ms: int
    until_ms: int


class Inbox:
    """Implements ``transports.base.Receiver``; ``is_full`` says whether the outbox refuses."""

    def __init__(self, is_full: Callable[[], bool], capacity: int = CAPACITY) -> None:
        self._is_full = is_full
        self._capacity = capacity
        self._arrivals: deque[Arrival] = deque()
        self._lost: Lost | None = None
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._is_closed = False

    @property
    def is_refusing(self) -> bool:
        """True while nothing can be accepted."""
        return self._is_full()

    @property
    def has_room(self) -> bool:
        """Whether a value that is offered now is taken."""
        return len(self._arrivals) < self._capacity

    async def wait_until_accepting(self) -> None:
        """Return when ``is_refusing`` is False."""
        while self._is_full():  # noqa: ASYNC110 - a disk raises no event when space comes back
            await asyncio.sleep(_POLL_S)

    def offer(self, arrival: Arrival) -> bool:
        """Take an arrival at once; False and counted when there is no room."""
        if not self.has_room and isinstance(arrival, Octets | Unreadable):
            self._count_lost(arrival.mono_ms)
            return False
        self._arrivals.append(arrival)
        self._filled.set()
        return True

    async def deliver(self, arrival: Arrival) -> None:
        """Take an arrival as soon as there is room."""
        while not self.has_room:
            self._emptied.clear()
            await self._emptied.wait()
        self.offer(arrival)

    async def take(self, wait_s: float | None) -> list[Arrival]:
        """Up to BATCH arrivals; [] when none came within ``wait_s`` or the inbox is closed."""
        if not self._arrivals and not self._is_closed:
            self._filled.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._filled.wait()
            except TimeoutError:
                return []
        count = min(len(self._arrivals), BATCH)
        taken = [self._arrivals.popleft() for _ in range(count)]
        self._emptied.set()
        return taken

    def close(self) -> None:
        """No more will come: ``take`` gives what is left, then [] at once."""
        self._is_closed = True
        self._filled.set()

    @property
    def is_done(self) -> bool:
        """Closed and empty."""
        return self._is_closed and not self._arrivals

    def take_lost(self) -> Lost | None:
        """What was lost since the last call."""
        lost, self._lost = self._lost, None
        return lost

    def _count_lost(self, mono_ms: int) -> None:
        cause = "outbox-full" if self._is_full() else "overrun"
        before = self._lost or Lost(cause, 0, mono_ms, mono_ms)
        self._lost = Lost(before.cause, before.count + 1, before.since_ms, mono_ms)
