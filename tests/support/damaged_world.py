"""One gateway whose disk is bad, what is under way from it, and one store: all from one seed.

The outbox is the gateway's own, run step by step without its thread: a kill, a damage, a message
or an ack can come between any two portions of a salvage, and comes there again with the same seed.
"""

import contextlib
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol
from unittest.mock import patch

from support.bad_disk import BadDisk, Sealed
from support.manual_clock import ManualClock
from support.stepwise_outbox import StepwiseOutbox
from wardlight_cloud.ingest.pipeline import open_message
from wardlight_cloud.store.batch import IngestBatch, LedgerState
from wardlight_edge.outbox.base import Choice, NewRecord
from wardlight_edge.uplink.batch import Sender, seal_records
from wardlight_shared.codes import METRICS
from wardlight_shared.records import (
    BlockBody,
    Column,
    Group,
    Lane,
    Origin,
    SeriesKey,
    TimeMethod,
    encode_body,
)
from wardlight_shared.timestamps import Anchor, ClockQuality

GATEWAY = "gw-damage"
SERIES = SeriesKey("ble:00000000000A", METRICS["pulse_rate_oximeter"].wire)
_LIVES = 4
_STEPS = 25
_MOST_RESTS = 10_000


class Collector(Protocol):
    """Where messages arrive."""

    async def ingest(self, batches: Sequence[IngestBatch]) -> Sequence[LedgerState]:
        """One transaction; the states of the ledgers afterwards."""


class World:
    """``accepted``: value of the sample by its first number; ``given``: newest seq by epoch."""

    def __init__(self, seed: int, folder: Path, collector: Collector) -> None:
        self.noise = random.Random(seed)
        self.folder = folder
        self.path = folder / "outbox.db"
        self.collector = collector
        self.clock = ManualClock()
        self.sealed = Sealed()
        self.disk = BadDisk(self.noise, self.path, self.sealed)
        self.accepted: dict[Origin, int] = {}
        self.under_way: list[bytes] = []
        self.told: list[str] = []

    @property
    def given(self) -> dict[int, int]:
        newest: dict[int, int] = defaultdict(int)
        for epoch, seq in self.sealed.rows:
            newest[epoch] = max(newest[epoch], seq)
        return newest

    async def run(self) -> None:
        """Some lives, each ended by a stop or a kill and by damage; then all is well."""
        with self._from_seed():
            for _ in range(_LIVES):
                await self._live()
                self.told.append(self.disk.damage())
            await self._drain()

    @contextlib.contextmanager
    def _from_seed(self) -> Iterator[None]:
        """Epochs, nonces and the size of a portion: what else the outbox draws by itself."""
        where = "wardlight_edge.outbox"
        with (
            patch(f"{where}.file.secrets", SimpleNamespace(randbelow=self.noise.randrange)),
            patch(f"{where}.cipher.os", SimpleNamespace(urandom=self.noise.randbytes)),
            patch(f"{where}.salvage._PORTION", self.noise.choice([3, 20, 200])),
            patch(f"{where}.file.Cipher", self.sealed.cipher()),
        ):
            yield

    async def _live(self) -> None:
        killed = self.folder / "killed"
        async with StepwiseOutbox(self.path, self.clock) as outbox:
            for _ in range(self.noise.randrange(_STEPS)):
                await self._step(outbox)
            if self.noise.random() < 0.5:
                _copy(self.folder, killed)
        if killed.exists():
            for one in self.folder.glob("outbox.db*"):
                one.unlink()
            _copy(killed, self.folder)
            shutil.rmtree(killed)

    async def _step(self, outbox: StepwiseOutbox) -> None:
        step = self.noise.choice(["append", "send", "deliver", "deliver", "rest", "back"])
        if step == "append":
            await self._append(outbox)
        elif step == "send":
            await self._send(outbox)
        elif step == "deliver":
            await self._deliver(outbox)
        elif step == "rest":
            for _ in range(self.noise.randrange(1, 6)):
                outbox.rest()
        elif self.noise.random() < 0.5:
            await outbox.give_back()
        elif self.noise.random() < 0.2:
            self.told.append("in use")
            self.disk.damage_in_use()

    async def _append(self, outbox: StepwiseOutbox) -> None:
        """A few blocks of one sample each; the value tells which record it was."""
        count = self.noise.randrange(1, 40)
        lane = self.noise.choice([Lane.LIVE, Lane.LIVE, Lane.BACKFILL, Lane.ALARM])
        values = range(len(self.accepted), len(self.accepted) + count)
        series = outbox.series_number(SERIES)
        new: list[NewRecord] = []
        for value in values:
            self.clock.advance(self.noise.randrange(700, 1300))
            block = Group(0, 1, 1000, 1, 1, b"", [Column(series, 0, value, 1, b"")])
            body = encode_body(BlockBody(TimeMethod.SAMPLE_COUNT, 10, [block]))
            new.append(NewRecord(lane, None, self.clock.mono_ms(), self.clock.wall_ms(), body))
        seqs = await outbox.append(new)
        epoch = outbox.epoch
        self.accepted.update({(epoch, seq): n for seq, n in zip(seqs, values, strict=True)})

    async def _send(self, outbox: StepwiseOutbox) -> None:
        """Seal a batch by whatever anchor there is now; it may be under way for long."""
        jitter_ms = self.noise.randrange(-50, 50)
        mono_ms, utc_ms = self.clock.mono_ms(), self.clock.wall_ms() + jitter_ms
        await outbox.add_anchor(Anchor(outbox.boot, mono_ms, utc_ms, 1, ClockQuality.SERVER))
        for choice in self.noise.sample(list(Choice), len(Choice)):
            most = self.noise.choice([1, 7, 50, 2000])
            records = await outbox.take(choice, max_records=most, max_bytes=1 << 20)
            if records:
                sender = Sender(GATEWAY, outbox.epoch, 1, utc_ms, 60)
                self.under_way += [one.payload for one in seal_records(outbox, sender, records)]

    async def _deliver(self, outbox: StepwiseOutbox | None) -> None:
        """Some message arrives, perhaps not for the last time; its ack arrives, or not."""
        if not self.under_way:
            return
        place = self.noise.randrange(len(self.under_way))
        message = self.under_way[place]
        if self.noise.random() < 0.7:
            del self.under_way[place]
        batches = list(open_message(GATEWAY, message, self.clock.wall_ms()))
        states = await self.collector.ingest(batches)
        if outbox is None or self.noise.random() < 0.5:
            return
        for state in states:
            await outbox.settle(
                upto=state.upto, ranges=state.ranges, rejected=state.rejected, epoch=state.epoch
            )

    async def _drain(self) -> None:
        """Everything is sent, every message arrives, the oldest too."""
        async with StepwiseOutbox(self.path, self.clock) as outbox:
            rests = 0
            while outbox.status().salvaging or outbox.status().records:
                rests += 1
                assert rests < _MOST_RESTS
                outbox.rest()
                await outbox.give_back()
                await self._send(outbox)
                while self.under_way:
                    await self._deliver(outbox)
        while self.under_way:
            await self._deliver(None)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for one in source.glob("outbox.db*"):
        shutil.copy(one, target / one.name)
