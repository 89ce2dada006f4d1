"""A fault between a session and the outbox: nothing is lost without a gap, nothing is twice."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from support.edge_settings import settings_for
from support.recording_outbox import RecordingOutbox
from support.session_bench import BP, BP_HIGH, CUFF, IDENTITY, STRAP, Accepting, SessionBench
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.advert_session import AdvertSession
from wardlight_edge.sessions.inbox import Lost
from wardlight_edge.sessions.left_over import left_over
from wardlight_edge.sessions.report import Report
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_edge.sessions.session import Session
from wardlight_edge.transports.base import Octets, Receiver
from wardlight_edge.transports.replay import ReplayTransport
from wardlight_lab.devices.advertisers import BTHomeSensor
from wardlight_shared.profile import Profile, parse
from wardlight_shared.records import EventBody, GapBody, decode_body

READINGS = parse(
    """
schema = 1
decoder = "replayed_readings"
device = { manufacturer = "generic", model = "replayed" }
[[metric]]
name = "spo2"
""",
    source="readings.toml",
)
LINE = '{"t": 0, "reading": {"metric": "spo2", "value": "97", "unit": "%"}}\n'
SCALE = parse(
    """
schema = 1
decoder = "bthome"
device = { manufacturer = "m", model = "scale" }
transport = { adverts = {} }
[[metric]]
name = "body_weight"
""",
    source="scale.toml",
)


class FaultyOutbox(RecordingOutbox):
    """Raises what no outbox should, as often as it is told.

    is_committed  the fault comes after the COMMIT
    """

    def __init__(self, faults: int, *, is_committed: bool = False) -> None:
        super().__init__()
        self.faults = faults
        self.is_committed = is_committed

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        is_event = any(isinstance(decode_body(one.body), EventBody) for one in records)
        if not (is_event and self.faults):
            return await super().append(records)
        self.faults -= 1
        if self.is_committed:
            await super().append(records)
        raise IndexError("a bug")


class Lives:
    """Sessions of one device, one after the other, each with what the last one left."""

    def __init__(self, folder: Path, profile: Profile, outbox: FaultyOutbox) -> None:
        self.bench = SessionBench(folder, profile, outbox=outbox)
        self.profile = profile
        self.left: list[NewRecord] = []

    async def live(self, *octets: bytes, channel: str = "0x2A35") -> None:
        """A life that ends by a fault, or as it should."""
        bench = self.bench
        device = DeviceSettings(identity=IDENTITY, profile="profile")
        bench.session = Session(device, self.profile, bench.gateway, bench.entry, self.left)
        bench.connect()
        for one in octets:
            bench.octets(one, channel)
        bench.session.inbox.close()
        with suppress(IndexError):
            await asyncio.wait_for(bench.session.run(bench.transport), 180)
        self.left = bench.session.left


def bodies(records: Sequence[NewRecord]) -> list[object]:
    return [decode_body(one.body) for one in records]


@pytest.mark.parametrize("is_committed", [False, True])
async def test_an_event_is_accepted_by_the_next_session_and_once(
    tmp_path: Path, *, is_committed: bool
) -> None:
    outbox = FaultyOutbox(1, is_committed=is_committed)
    lives = Lives(tmp_path, CUFF, outbox)
    await lives.live(BP)
    assert [type(one) for one in bodies(lives.left)] == [EventBody]
    await lives.live()
    assert lives.left == []
    assert len(outbox.events()) == 1


async def test_a_loss_that_was_to_be_told_is_told(tmp_path: Path) -> None:
    outbox = FaultyOutbox(1)
    lives = Lives(tmp_path, CUFF, outbox)
    lost = Lost("overrun", 3, lives.bench.clock.mono_ms(), lives.bench.clock.mono_ms())
    lives.left = Report(IDENTITY, lives.bench.gateway, lives.bench.entry).lost(lost)
    await lives.live(BP)
    assert not outbox.gaps()
    await lives.live()
    [gap] = outbox.gaps()
    assert (gap.cause, gap.count) == ("overrun", 3)


async def test_an_event_that_no_outbox_takes_keeps_nobody_out(tmp_path: Path) -> None:
    outbox = FaultyOutbox(2)
    lives = Lives(tmp_path, CUFF, outbox)
    await lives.live(BP)
    lives.bench.clock.advance(1000)
    await lives.live()
    [gap] = bodies(lives.left)
    assert isinstance(gap, GapBody)
    assert (gap.cause, gap.count, gap.device) == ("fault", 1, IDENTITY)
    await lives.live()
    assert lives.left == []
    assert [each.cause for each in outbox.gaps()] == ["fault"]
    assert not outbox.events()


async def test_what_was_accepted_is_not_handed_on(tmp_path: Path) -> None:
    outbox = FaultyOutbox(0)
    lives = Lives(tmp_path, CUFF, outbox)
    await lives.live(BP)
    assert lives.left == []
    assert len(outbox.events()) == 1


async def test_blocks_are_named_by_the_gap_with_which_the_stream_goes_on(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37")
        await bench.settled()
    assert bench.outbox.blocks()
    assert not [
        one
        for one in left_over(bench.outbox.records, (), IDENTITY)
        if not isinstance(decode_body(one.body), GapBody)
    ]


@pytest.mark.parametrize("is_unique", [True, False])
async def test_an_advert_is_handed_on_only_under_a_name_of_its_own(
    tmp_path: Path, *, is_unique: bool
) -> None:
    """Without a counter it is heard again, with the memory that was kept before it."""
    key = bytes(range(16)) if is_unique else None
    file = None
    if key is not None:
        file = tmp_path / "key"
        file.write_text(key.hex())
        file.chmod(0o600)
    bench = SessionBench(tmp_path, CUFF, outbox=FaultyOutbox(1))
    device = DeviceSettings(identity="ble:5448E68F80A5", profile="scale", bind_key_file=file)
    session = AdvertSession(device, SCALE, bench.gateway, bench.entry)
    scale = BTHomeSensor("54:48:E6:8F:80:A5", key=key)
    moment = bench.clock.mono_ms(), bench.clock.wall_ms()
    weighed = scale.weigh(Decimal("70.00"))
    session.inbox.offer(Octets("service-data:0xFCD2", weighed, *moment))
    session.inbox.close()
    with pytest.raises(IndexError):
        await session.run(Accepting())
    kinds = [type(one) for one in bodies(session.left)]
    assert kinds == ([EventBody] if is_unique else [])


async def test_an_event_that_cannot_be_known_again_is_told_as_a_gap(tmp_path: Path) -> None:
    """Without device time it has no id: perhaps it was committed, so it is not stored again."""
    outbox = FaultyOutbox(1, is_committed=True)
    lives = Lives(tmp_path, CUFF, outbox)
    await lives.live(BP_HIGH)
    await lives.live()
    assert len(outbox.events()) == 1
    [gap] = outbox.gaps()
    assert (gap.cause, gap.count, gap.device) == ("fault", 1, IDENTITY)


def _replayed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that says everything once, without a time: nobody can know it again."""
    play, lives = ReplayTransport.run, iter([True])

    async def run(self: ReplayTransport, receiver: Receiver) -> None:
        if next(lives, False):
            await play(self, receiver)
        else:
            await asyncio.Event().wait()

    monkeypatch.setattr(ReplayTransport, "run", run)


def _runner(folder: Path, outbox: RecordingOutbox) -> DeviceRunner:
    file = folder / "x.jsonl"
    file.write_text(LINE)
    device = DeviceSettings(identity="replay:x", profile="readings", file=file, speed=0)
    settings = settings_for(folder, device)
    return DeviceRunner(settings, {"readings": READINGS}, outbox, SystemClock(), lambda: None)


async def test_the_runner_hands_on_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replayed_once(monkeypatch)
    outbox = FaultyOutbox(1)
    runner = _runner(tmp_path, outbox)
    task = asyncio.create_task(runner.run())
    try:
        await wait_until(lambda: bool(outbox.gaps()))
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert runner.board.devices()[0].counts.restarts == 1
    assert [(gap.cause, gap.count) for gap in outbox.gaps()] == [("fault", 1)]


async def test_what_is_left_is_accepted_when_the_device_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replayed_once(monkeypatch)
    outbox = FaultyOutbox(1)
    runner = _runner(tmp_path, outbox)
    task = asyncio.create_task(runner.run())
    try:
        await wait_until(lambda: runner.board.devices()[0].counts.restarts == 1)
        await runner.remove("replay:x")
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert [(gap.cause, gap.count) for gap in outbox.gaps()] == [("fault", 1)]
