"""An outbox in memory that shows what sessions give it, and refuses when told to."""

import asyncio
from collections.abc import Sequence

from wardlight_edge.outbox.base import Choice, Level, NewRecord, OutboxStatus
from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.errors import OutboxFull
from wardlight_shared.records import (
    BlockBody,
    Body,
    EventBody,
    GapBody,
    Record,
    SeriesKey,
    StatusBody,
    WaveformBody,
    decode_body,
)
from wardlight_shared.timestamps import Anchor


class RecordingOutbox:
    """Implements ``outbox.base.Outbox`` as far as sessions use it.

    is_full  True: ``append`` refuses, as a full disk makes it
    """

    def __init__(self) -> None:
        self.epoch = 1
        self.boot = 1
        self.is_full = False
        self.refused = 0
        self.records: list[NewRecord] = []
        self._seqs: dict[bytes, int] = {}
        self._series: dict[SeriesKey, int] = {}

    # -- what tests look at

    def bodies(self) -> list[Body]:
        """Every accepted body, decoded as the collector does."""
        return [decode_body(record.body) for record in self.records]

    def events(self) -> list[EventBody]:
        return [body for body in self.bodies() if isinstance(body, EventBody)]

    def blocks(self) -> list[BlockBody]:
        return [body for body in self.bodies() if isinstance(body, BlockBody)]

    def waveforms(self) -> list[WaveformBody]:
        return [body for body in self.bodies() if isinstance(body, WaveformBody)]

    def gaps(self) -> list[GapBody]:
        return [body for body in self.bodies() if isinstance(body, GapBody)]

    def statuses(self, name: str) -> list[StatusBody]:
        return [
            body for body in self.bodies() if isinstance(body, StatusBody) and body.name == name
        ]

    def key(self, number: int) -> SeriesKey:
        """The series of a number."""
        return next(key for key, each in self._series.items() if each == number)

    # -- Outbox

    def series_number(self, key: SeriesKey) -> int:
        return self._series.setdefault(key, len(self._series) + 1)

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        await asyncio.sleep(0)
        if self.is_full:
            self.refused += 1
            raise OutboxFull("the quota is used up")
        return [self._append(record) for record in records]

    def _append(self, record: NewRecord) -> int:
        if record.event_id is not None and record.event_id in self._seqs:
            return self._seqs[record.event_id]
        self.records.append(record)
        seq = len(self.records)
        if record.event_id is not None:
            self._seqs[record.event_id] = seq
        return seq

    async def take(self, choice: Choice, *, max_records: int, max_bytes: int) -> list[Record]:
        del choice, max_records, max_bytes
        return []

    async def give_back(self, seqs: Sequence[int] | None = None) -> None:
        del seqs

    async def settle(
        self,
        *,
        upto: int,
        ranges: Sequence[tuple[int, int]] = (),
        rejected: Sequence[tuple[int, str]] = (),
        epoch: int | None = None,
    ) -> int:
        del upto, ranges, rejected, epoch
        return 0

    async def forget(self, seqs: Sequence[int]) -> int:
        del seqs
        return 0

    def series(self, numbers: Sequence[int]) -> list[SeriesEntry]:
        return [SeriesEntry(number, self.key(number)) for number in numbers]

    async def renew_epoch(self, cause: str) -> None:
        del cause

    async def add_anchor(self, anchor: Anchor) -> None:
        del anchor

    def anchors(self) -> list[Anchor]:
        return []

    async def wait_for_records(self) -> None:
        await asyncio.Event().wait()

    def status(self) -> OutboxStatus:
        level = Level.FULL if self.is_full else Level.NORMAL
        count = len(self.records)
        return OutboxStatus(
            epoch=self.epoch, boot=self.boot, records=count, leased=0, rejected=0, lowest=1,
            highest=count, oldest_wall_ms=None, size_bytes=0, quota_bytes=1, free_disk_bytes=1,
            level=level, appended=count, refused=self.refused, settled=0, thinned=0,
            salvaging=False,
        )  # fmt: skip
