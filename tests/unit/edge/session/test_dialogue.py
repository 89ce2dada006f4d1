"""A session that asks its device: what is committed before a bookmark is kept, and after a kill."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from support.recording_outbox import RecordingOutbox
from support.session_bench import IDENTITY, Accepting, SessionBench
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import Bookmarks
from wardlight_edge.profiles import load_file
from wardlight_edge.sessions.bookmarks import Shelf
from wardlight_edge.sessions.dialogue import REST_S
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.sessions.session import Session
from wardlight_edge.transports.base import (
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
    Refused,
    Request,
)

METER = load_file(ROOT / "firmware-configs" / "generic-glucose.toml")
SENT = bytes([6, 0, 1, 1])


def record(sequence: int) -> bytes:
    """100 mg/dL, capillary whole blood, 2026-08-01 07:30:05 (GSS Glucose Measurement)."""
    head = bytes([0x02]) + sequence.to_bytes(2, "little")
    return head + bytes.fromhex("EA07 08 01 07 1E 05 64B0 11")


class Speaking(Accepting):
    """A transport that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, Request]] = []
        self.left: list[tuple[int, float]] = []

    def ask(self, link: int, request: Request) -> None:
        self.asked.append((link, request))

    def leave(self, link: int, rest_s: float) -> None:
        self.left.append((link, rest_s))


class CountingShelf(Shelf):
    """Knows how many events were committed whenever it was told to keep something."""

    def __init__(self, folder: Path, outbox: RecordingOutbox) -> None:
        sealer = Sealer(bytes(32))
        super().__init__(folder, sealer.seal, sealer.open_sealed)
        self._outbox = outbox
        self.committed: list[int] = []

    def keep(self, device: str, bookmarks: Bookmarks) -> bool:
        self.committed.append(len(self._outbox.events()))
        return super().keep(device, bookmarks)


class LostShelf(CountingShelf):
    """The gateway is killed before anything is kept."""

    def keep(self, device: str, bookmarks: Bookmarks) -> bool:
        del device, bookmarks
        return False


class Meter:
    """A session with a meter, fed by hand."""

    def __init__(self, bench: SessionBench, shelf: Shelf) -> None:
        gateway = msgspec.structs.replace(bench.gateway, shelf=shelf)
        device = DeviceSettings(identity=IDENTITY, profile="meter")
        self.session = Session(device, METER, gateway, bench.entry)
        self.transport = Speaking()
        self._bench = bench

    def connect(self, link: int = 1) -> None:
        now_ms = self._bench.clock.mono_ms()
        self.session.inbox.offer(LinkChange(LinkState.CONNECTED, now_ms))
        self.session.inbox.offer(ReadsDone(now_ms, link=link))

    def value(self, channel: str, octets: bytes) -> None:
        clock = self._bench.clock
        self.session.inbox.offer(Octets(channel, octets, clock.mono_ms(), clock.wall_ms()))

    async def asked(self, count: int) -> bytes:
        """The request of this place, once it was made."""
        await wait_until(lambda: len(self.transport.asked) >= count)
        return self.transport.asked[count - 1][1].octets or b""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.session.run(self.transport))
        try:
            yield
        finally:
            self.session.inbox.close()
            await asyncio.wait_for(task, 180)


async def fetch_three(meter: Meter) -> None:
    """The whole conversation: three records."""
    meter.connect()
    assert await meter.asked(1) == bytes([4, 1])
    meter.value("0x2A52", bytes([5, 0, 3, 0]))
    assert await meter.asked(2) == bytes([1, 1])
    for sequence in (1, 2, 3):
        meter.value("0x2A18", record(sequence))
    meter.value("0x2A52", SENT)
    await wait_until(lambda: meter.transport.left)


async def test_a_bookmark_is_kept_after_the_commit_of_what_it_tells_of(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, METER)
    shelf = CountingShelf(tmp_path / "bookmarks", bench.outbox)
    meter = Meter(bench, shelf)
    async with meter.running():
        await fetch_three(meter)
    assert shelf.committed == [3]
    assert shelf.read(IDENTITY)[""].number == 3
    assert meter.transport.left == [(1, REST_S)]


async def test_its_device_information_tells_how_records_are_read(
    tmp_path: Path,
) -> None:
    """Meal 6 of a CareSens is a ketone record; Device Information comes before the records."""
    bench = SessionBench(tmp_path, METER)
    meter = Meter(bench, CountingShelf(tmp_path / "bookmarks", bench.outbox))
    async with meter.running():
        now_ms = bench.clock.mono_ms()
        meter.session.inbox.offer(LinkChange(LinkState.CONNECTED, now_ms))
        meter.value("0x2A29", b"i-SENS")
        meter.session.inbox.offer(ReadsDone(now_ms, link=1))
        await meter.asked(1)
        meter.value("0x2A52", bytes([5, 0, 1, 0]))
        await meter.asked(2)
        meter.value("0x2A18", bytes([0x12]) + record(1)[1:])
        meter.value("0x2A34", bytes([0x02, 1, 0, 6]))
        meter.value("0x2A52", SENT)
        await wait_until(lambda: meter.transport.left)
    (event,) = bench.outbox.events()
    assert event.context == [("meal", "ketone")]


async def test_a_kill_between_commit_and_bookmark_stores_nothing_twice(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, METER)
    first = Meter(bench, LostShelf(tmp_path / "bookmarks", bench.outbox))
    async with first.running():
        await fetch_three(first)
    assert not (tmp_path / "bookmarks").exists()
    again = SessionBench(tmp_path, METER, outbox=bench.outbox, clock=bench.clock)
    second = Meter(again, CountingShelf(tmp_path / "bookmarks", bench.outbox))
    async with second.running():
        await fetch_three(second)
    assert len(bench.outbox.events()) == 3


async def test_a_damaged_bookmark_asks_for_everything(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, METER)
    shelf = CountingShelf(tmp_path / "bookmarks", bench.outbox)
    shelf.keep(IDENTITY, {})
    (file,) = (tmp_path / "bookmarks").iterdir()
    file.write_bytes(b"damaged")
    meter = Meter(bench, shelf)
    async with meter.running():
        await fetch_three(meter)
    assert shelf.read(IDENTITY)[""].number == 3


async def test_a_transport_that_cannot_speak_is_only_listened_to(tmp_path: Path) -> None:
    """A capture of a meter: its records are readings all the same."""
    bench = SessionBench(tmp_path, METER)
    async with bench.running():
        bench.connect()
        bench.octets(record(1), "0x2A18")
        bench.octets(SENT, "0x2A52")
        await wait_until(lambda: bench.outbox.events())
    assert len(bench.outbox.events()) == 1


async def test_a_link_that_ends_is_not_asked_any_more(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, METER)
    meter = Meter(bench, CountingShelf(tmp_path / "bookmarks", bench.outbox))
    async with meter.running():
        meter.connect(link=1)
        await meter.asked(1)
        meter.session.inbox.offer(LinkChange(LinkState.WAITING, bench.clock.mono_ms()))
        meter.value("0x2A52", bytes([5, 0, 3, 0]))
        meter.connect(link=2)
        await meter.asked(2)
    assert [link for link, _ in meter.transport.asked] == [1, 2]


async def test_silence_is_noticed_by_time_alone(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, METER)
    meter = Meter(bench, CountingShelf(tmp_path / "bookmarks", bench.outbox))
    async with meter.running():
        meter.connect()
        await meter.asked(1)
        bench.clock.advance(31_000)
        await wait_until(lambda: bench.outbox.statuses("memory"))
    data = bench.outbox.statuses("memory")[0].data
    assert data["state"] == "incomplete"
    assert "silent for 30 s" in str(data["reason"])
    assert bench.entry.reason == data["reason"]


async def test_a_refusal_reaches_the_dialogue(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, METER)
    meter = Meter(bench, CountingShelf(tmp_path / "bookmarks", bench.outbox))
    async with meter.running():
        meter.connect()
        await meter.asked(1)
        now_ms = bench.clock.mono_ms()
        meter.session.inbox.offer(Refused("0x2A52", "ATT error 0xfe", now_ms, 0xFE))
        assert await meter.asked(2) == bytes([3, 0])
