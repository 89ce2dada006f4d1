"""An outbox damaged at random, again and again, while messages and acks are lost or late.

Real outbox files, the gateway's own sealing, the collector's own opening, the real store. The
samples have no event id, and each sending resolves their times by other anchors, so that neither
an event id nor a row key can hide a record that is stored twice.

Stored at most once: every sample. Stored at least once: every sample whose row was not destroyed;
which rows those are the test finds out for itself, from the bytes of the file. Whatever is neither
stored nor readable is named: a ledger counts it as removed, under the number that it had when it
was destroyed.
"""

import os
import random
import shutil
import sqlite3
from collections import defaultdict
from functools import partial
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.manual_clock import ManualClock
from support.outbox_records import KEY, sqlite_outbox
from support.postgres import FreshDatabase
from support.store import SCHEMA, Place
from support.waiting import wait_until
from wardlight_cloud.ingest.pipeline import open_message
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_edge.outbox.base import Choice, NewRecord
from wardlight_edge.outbox.cipher import Cipher
from wardlight_edge.outbox.origin import unframed
from wardlight_edge.outbox.sqlite import SqliteOutbox
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
PAGE = 4096
LIVES = 4
STEPS = 25


class World:
    """One gateway whose disk is bad, what is under way, and one store."""

    def __init__(self, noise: random.Random, folder: Path, store: PostgresStore) -> None:
        self.noise = noise
        self.folder = folder
        self.path = folder / "outbox.db"
        self.store = store
        self.clock = ManualClock()
        self.accepted: dict[Origin, int] = {}
        self.destroyed: dict[Origin, set[Origin]] = defaultdict(set)  # first number: last ones
        self.under_way: list[bytes] = []

    def outbox(self) -> SqliteOutbox:
        return sqlite_outbox(self.path, self.clock)

    async def append(self, outbox: SqliteOutbox) -> None:
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

    async def send(self, outbox: SqliteOutbox) -> None:
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

    async def deliver(self, outbox: SqliteOutbox | None) -> None:
        """Some message arrives, perhaps not for the last time; its ack arrives, or not."""
        if not self.under_way:
            return
        place = self.noise.randrange(len(self.under_way))
        message = self.under_way[place]
        if self.noise.random() < 0.7:
            del self.under_way[place]
        batches = list(open_message(GATEWAY, message, self.clock.wall_ms()))
        results = await self.store.ingest(batches)
        if outbox is None or self.noise.random() < 0.5:
            return
        for result in results:
            state = result.ledger
            await outbox.settle(
                upto=state.upto, ranges=state.ranges, rejected=state.rejected, epoch=state.epoch
            )

    async def live(self) -> None:
        """One life of the gateway, ended by a stop or a kill; then the disk goes bad."""
        async with self.outbox() as outbox:
            for _ in range(self.noise.randrange(STEPS)):
                step = self.noise.choice([self.append, self.send, self.deliver, self.deliver])
                await step(outbox)
                if self.noise.random() < 0.1:
                    await outbox.give_back()
            killed = self.folder / "killed"
            if self.noise.random() < 0.5:
                # Between two operations of the writer: files that belong together.
                await outbox._writer.call(partial(_copy, self.folder, killed))
        if killed.exists():
            for one in self.folder.glob("outbox.db*"):
                one.unlink()
            _copy(killed, self.folder)
            shutil.rmtree(killed)
        self.damage()

    def damage(self) -> None:
        """Noise over some pages, a shorter file, or none of it."""
        rows, spared = self.rows()
        before = _pages(self.path)
        pages = self.path.stat().st_size // PAGE
        how = self.noise.choice(["pages", "pages", "pages", "tail", "nothing"])
        if how == "pages":
            chosen = self.noise.sample(range(pages), min(pages, self.noise.randrange(1, 4)))
            with self.path.open("r+b") as file:
                for page in set(chosen) - {1, spared - 1}:
                    file.seek(page * PAGE)
                    file.write(self.noise.randbytes(PAGE))
        elif how == "tail":
            os.truncate(
                self.path, self.noise.randrange(min(spared, pages) * PAGE, pages * PAGE + 1)
            )
        after = _pages(self.path)
        # Fewer times than before: a page that SQLite has rearranged may hold a row's bytes still.
        for number, (first, sealed) in rows.items():
            if after.count(sealed) < before.count(sealed):
                self.destroyed[first].add(number)

    def rows(self) -> tuple[dict[Origin, tuple[Origin, bytes]], int]:
        """First numbers and sealed rows by number, and the page of the dictionary that is spared:
        without both copies no row can be read. (The pointer map, page 2, is spared as well: without
        it and an inner page of the tree nobody knows which leaves are in use.)"""
        copy = self.folder / "looked-at"
        _copy(self.folder, copy)
        connection = sqlite3.connect(copy / "outbox.db")
        try:
            [(epoch,)] = connection.execute("SELECT value FROM meta WHERE name = 'epoch'")
            found = connection.execute("SELECT seq, body FROM record").fetchall()
            [(root,)] = connection.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'series_copy'"
            )
        finally:
            connection.close()
            shutil.rmtree(copy)
        cipher = Cipher(KEY, epoch)
        rows: dict[Origin, tuple[Origin, bytes]] = {}
        for seq, sealed in found:
            _, origin = unframed(cipher.open(seq, sealed)[4])
            rows[epoch, seq] = origin or (epoch, seq), sealed
        return rows, root

    async def drain(self) -> None:
        """At last all is well: everything is sent, every message arrives, the oldest too."""
        async with self.outbox() as outbox:
            await wait_until(lambda: not outbox.status().salvaging, what="salvage has ended")
            while outbox.status().records:
                await outbox.give_back()
                await self.send(outbox)
                while self.under_way:
                    await self.deliver(outbox)
        while self.under_way:
            await self.deliver(None)


def _pages(path: Path) -> bytes:
    """The pages as SQLite sees them: those of the file, in front of them those of the log's present
    round (behind it may stand pages of earlier ones)."""
    log = path.with_name(path.name + "-wal")
    octets = log.read_bytes() if log.exists() else b""
    frames = [octets[at : at + 24 + PAGE] for at in range(32, len(octets), 24 + PAGE)]
    whole = path.read_bytes()
    # A page cut short is no page.
    pages = {at // PAGE: whole[at : at + PAGE] for at in range(0, len(whole) - PAGE + 1, PAGE)}
    for frame in takewhile(lambda frame: frame[8:16] == octets[16:24], frames):
        pages[int.from_bytes(frame[:4], "big") - 1] = frame[24:]
    return b"".join(pages.values())


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for one in source.glob("outbox.db*"):
        shutil.copy(one, target / one.name)


@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
async def test_no_sample_is_stored_twice_and_none_is_lost_in_silence(
    fresh_database: FreshDatabase, seed: int
) -> None:
    place = Place(await fresh_database(SCHEMA))
    with TemporaryDirectory() as folder:
        world = World(random.Random(seed), Path(folder), await place.open())
        for _ in range(LIVES):
            await world.live()
        await world.drain()
    stored = [row["mantissa"] for row in await place.execute("SELECT mantissa FROM reading")]
    aside = await place.execute("SELECT 1 FROM quarantine")
    ledgers = await place.execute("SELECT epoch, removed::text AS removed FROM ledger")
    removed = {row["epoch"]: row["removed"] for row in ledgers}
    await place.close()
    missing = {first for first, value in world.accepted.items() if value not in set(stored)}
    assert len(stored) == len(set(stored)), "a sample is stored twice"
    assert not aside
    assert missing <= world.destroyed.keys(), "a sample that could be read is lost"
    silent = {
        first
        for first in missing
        if not any(_holds(removed.get(of, "{}"), seq) for of, seq in world.destroyed[first])
    }
    assert not silent, "a sample is lost in silence"


def _holds(multirange: str, number: int) -> bool:
    parts = [
        part.split(",")
        for part in multirange.strip("{}").replace("),[", ";").strip("[)").split(";")
        if part
    ]
    return any(int(low) <= number < int(high) for low, high in parts)
