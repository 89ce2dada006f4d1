"""The outbox on SQLite: the contract of base.py over the writer thread.

async with SqliteOutbox(path, key, settings, clock, live_age_ms=60_000) as outbox:
    seqs = await outbox.append(records)      # on the disk now
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from wardlight_edge.clock import Clock
from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox.base import Choice, NewRecord, OutboxStatus
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.engine import Engine
from wardlight_edge.outbox.settlement import Settlement
from wardlight_edge.outbox.writer import MORE, More, Writer
from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.records import Record, SeriesKey
from wardlight_shared.timestamps import Anchor


class SqliteOutbox:
    """Outbox in the file ``path``; one process at a time may have it open.

    path         the file; `path-wal`, `path.reserve` and files set aside stand beside it
    key          32 bytes, see key.py
    live_age_ms  how long a live record is served before the backlog (``uplink.live_age_s``)

    Entering raises ConfigError (wrong key, newer file) or StorageError (cannot be opened).
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        settings: OutboxSettings,
        clock: Clock,
        *,
        live_age_ms: int,
    ) -> None:
        self._dictionary = Dictionary()
        self._engine = Engine(
            path, key, settings, clock, live_age_ms=live_age_ms, dictionary=self._dictionary
        )
        self._arrived = asyncio.Event()
        self._writer = Writer(
            self._engine, linger_ms=settings.linger_ms, on_append=self._arrived.set
        )

    async def __aenter__(self) -> Self:
        try:
            await self._writer.start()
        except BaseException:
            await self._writer.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._writer.stop()

    @property
    def epoch(self) -> int:
        """Random 63-bit number of the file; changes when the file had to be replaced."""
        return self._engine.epoch

    @property
    def boot(self) -> int:
        """Number of the running boot within this file, from 1."""
        return self._engine.boot

    def series_number(self, key: SeriesKey) -> int:
        """Number of a series; a new one is committed with the next ``append``."""
        return self._dictionary.number(key)

    def series(self, numbers: Sequence[int]) -> list[SeriesEntry]:
        """Dictionary entries for an envelope header."""
        return self._dictionary.entries(numbers)

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Accept records in one transaction; seqs after COMMIT."""
        return await self._writer.append(records) if records else []

    async def take(self, choice: Choice, *, max_records: int, max_bytes: int) -> list[Record]:
        """Lease waiting records, bodies opened."""
        if not self._engine.may_wait(choice):
            return []  # no trip to the thread to learn that nothing is there
        return await self._writer.call(partial(self._engine.take, choice, max_records, max_bytes))

    async def give_back(self, seqs: Sequence[int] | None = None) -> None:
        """End leases without settling; None = all."""
        await self._writer.call(partial(self._engine.give_back, seqs))

    async def settle(
        self,
        *,
        upto: int,
        ranges: Sequence[tuple[int, int]] = (),
        rejected: Sequence[tuple[int, str]] = (),
        epoch: int | None = None,
    ) -> int:
        """Remove what the collector has committed under ``epoch``."""
        of = self.epoch if epoch is None else epoch
        what = Settlement([(1, upto), *ranges], rejected)

        def step() -> int | More:
            removed = self._engine.settle(of, what)
            return MORE if removed is None else removed

        return await self._writer.call(step)

    async def forget(self, seqs: Sequence[int]) -> int:
        """Drop rejected records whose release was confirmed."""
        return await self._writer.call(partial(self._engine.forget, seqs))

    async def renew_epoch(self, cause: str) -> None:
        """Begin a new epoch; waiting records get new seqs in the background."""
        await self._writer.call(partial(self._engine.renew_epoch, cause))

    async def add_anchor(self, anchor: Anchor) -> None:
        """Keep a clock anchor of a boot."""
        await self._writer.call(partial(self._engine.add_anchor, anchor))

    def anchors(self) -> list[Anchor]:
        """Clock anchors of all boots that still have records."""
        return self._engine.anchors()

    async def wait_for_records(self) -> None:
        """Return when records were appended since the last call."""
        await self._arrived.wait()
        self._arrived.clear()

    def status(self) -> OutboxStatus:
        """Counters; never blocks."""
        return self._engine.status()
