"""An outbox without its thread: every operation runs where it is called, rests only when told."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from support.outbox_records import KEY, LIVE_AGE_MS, settings
from wardlight_edge.clock import Clock
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.outbox.writer import More, Writer

T = TypeVar("T")


class StepwiseWriter(Writer):
    """The writer's operations, run by the caller."""

    async def start(self) -> None:
        self._engine.open()

    async def stop(self) -> None:
        self._engine.close()

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        [result] = self._engine.append([records])
        if isinstance(result, BaseException):
            raise result
        self._on_append()
        return result

    async def call(self, work: Callable[[], T | More]) -> T:
        while True:
            result = work()
            if not isinstance(result, More):
                return result


class StepwiseOutbox(SqliteOutbox):
    """A SqliteOutbox whose background work is done in ``rest``, one step a call."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, KEY, settings(), clock, live_age_ms=LIVE_AGE_MS)
        self._writer = StepwiseWriter(self._engine, linger_ms=0, on_append=self._arrived.set)

    def rest(self) -> bool:
        """Do one step of the background work; True = there is more."""
        return self._engine.rest()
