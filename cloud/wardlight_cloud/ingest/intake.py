"""Envelopes between the broker and the database: bounded, live first, backlog never starved."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from wardlight_cloud.ingest.metrics import MESSAGES
from wardlight_shared.records import Lane
from wardlight_shared.topics import Topic

_BACKLOG_EVERY: Final = 8  # of this many envelopes one is backlog, however much is live


class Arrival(NamedTuple):
    """One envelope as it came."""

    topic: Topic
    payload: bytes
    received_s: float


class Intake:
    """Two queues with one bound. Alarm and live go first, but for every eighth place."""

    def __init__(self, largest: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._largest = largest
        self._clock = clock
        self._live: deque[Arrival] = deque()
        self._backlog: deque[Arrival] = deque()
        self._taken = 0
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._live) + len(self._backlog)

    @property
    def has_room(self) -> bool:
        """False when the next ``offer`` will be refused."""
        return len(self) < self._largest

    @property
    def oldest_s(self) -> float:
        """Age of the oldest envelope, 0 when there is none."""
        heads = [queue[0].received_s for queue in (self._live, self._backlog) if queue]
        return self._clock() - min(heads) if heads else 0.0

    def offer(self, topic: Topic, lane: Lane, payload: bytes) -> bool:
        """Put an envelope in; False when there is no room."""
        if not self.has_room:
            return False
        queue = self._live if lane in (Lane.ALARM, Lane.LIVE) else self._backlog
        MESSAGES.labels(lane.name.lower()).inc()
        queue.append(Arrival(topic, payload, self._clock()))
        self._filled.set()
        return True

    def take(self) -> Arrival | None:
        """The next envelope, None when there is none."""
        if not len(self):
            return None
        self._taken += 1
        backlog_turn = self._taken % _BACKLOG_EVERY == 0 and self._backlog
        return (self._backlog if backlog_turn or not self._live else self._live).popleft()

    def take_live(self) -> Arrival | None:
        """The next alarm or live envelope, None when there is none."""
        return self._live.popleft() if self._live else None

    async def wait(self) -> None:
        """Return when there is an envelope."""
        while not len(self):
            self._filled.clear()
            await self._filled.wait()
