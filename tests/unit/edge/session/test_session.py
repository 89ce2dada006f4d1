"""A session from arrivals to records, with an outbox in memory and a clock moved by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.manual_clock import ManualClock
from support.recording_outbox import RecordingOutbox
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.quarantine import Quarantine
from wardlight_edge.sessions.session import Session
from wardlight_edge.transports.base import (
    Arrival,
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
    Receiver,
)
from wardlight_shared.model import Flag
from wardlight_shared.profile import Profile, parse
from wardlight_shared.records import BlockBody, EventBody, GapBody, Lane, TimeMethod

CUFF = parse(
    """
schema = 1
decoder = "blood_pressure"
device = { manufacturer = "m", model = "cuff" }
[transport.ble]
indicate = ["0x2A35"]
read_once = ["0x2A25", "0x2A19", "0x2A2B"]
[[metric]]
name = "systolic_bp"
plausible = [60, 250]
alarm_high = 180
""",
    source="cuff.toml",
)
STRAP = parse(
    """
schema = 1
decoder = "heart_rate"
device = { manufacturer = "m", model = "strap" }
stream = {}
transport = { ble = { notify = ["0x2A37"], stay_connected = true } }
[[metric]]
name = "heart_rate"
alarm_high = 130
""",
    source="strap.toml",
)
IDENTITY = "ble:E00000000001"
# 120/80 mmHg, mean 93, 2026-08-01 07:30:00 (hand made from BLS 3.1.1)
BP = bytes.fromhex("02 7800 5000 5D00 EA07 08 01 07 1E 00")
BP_HIGH = bytes.fromhex("00 B400 5000 5D00")  # 180 mmHg, no time
BP_IMPLAUSIBLE = bytes.fromhex("00 2C01 5000 5D00")  # 300 mmHg
CLOCK = bytes.fromhex("EA07 08 01 07 28 00 06 00 00")  # 07:40:00


class Accepting:
    """A transport that only remembers what was accepted."""

    def __init__(self) -> None:
        self.tokens: list[int] = []

    async def run(self, receiver: Receiver) -> None:
        del receiver

    def accepted(self, token: int) -> None:
        self.tokens.append(token)


class Bench:
    """A session under test."""

    def __init__(self, folder: Path, profile: Profile, serial_number: str | None = None) -> None:
        self.clock = ManualClock()
        self.outbox = RecordingOutbox()
        self.live_until_ms: int | None = None
        self.entry = DeviceEntry(IDENTITY, "profile")
        self.gateway = Gateway(
            outbox=self.outbox,
            clock=self.clock,
            quarantine=Quarantine(folder / "quarantine", None),
            open_streams=OpenStreams(folder / "streams.json", self.clock.boot_id),
            live_until=lambda: self.live_until_ms,
            is_clock_trusted=lambda: True,
            retry_s=0.01,
        )
        device = DeviceSettings(identity=IDENTITY, profile="profile", serial_number=serial_number)
        self.session = Session(device, profile, self.gateway, self.entry)
        self.transport = Accepting()

    def octets(
        self, octets: bytes, channel: str = "0x2A35", *, is_read: bool = False, token: int = 0
    ) -> None:
        """Something arrives now."""
        mono_ms, wall_ms = self.clock.mono_ms(), self.clock.wall_ms()
        self.put(Octets(channel, octets, mono_ms, wall_ms, is_read, token=token or None))

    def link(self, state: LinkState, reason: str | None = None) -> None:
        """The link changes now."""
        self.put(LinkChange(state, self.clock.mono_ms(), reason))

    def put(self, arrival: Arrival) -> None:
        self.session.inbox.offer(arrival)

    def connect(self) -> None:
        """The link comes up and there is nothing to read on it."""
        self.link(LinkState.CONNECTED)
        self.put(ReadsDone(self.clock.mono_ms()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The session consumes; at the end its inbox is closed and it finishes."""
        task = asyncio.create_task(self.session.run(self.transport))
        try:
            yield
        finally:
            self.session.inbox.close()
            await asyncio.wait_for(task, 30)


async def test_a_reading_waits_for_the_clock_of_its_device(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.clock.advance(100)
        bench.octets(CLOCK, "0x2A2B", is_read=True)
    (event,) = bench.outbox.events()
    assert event.method is TimeMethod.DEVICE_CLOCK
    assert event.age_ms == 10 * 60_000 - 100
    assert bench.outbox.statuses("clock")


async def test_a_clock_that_never_comes_is_not_waited_for_long(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        await asyncio.sleep(0.05)
        assert not bench.outbox.events()
        bench.clock.advance(5000)
        bench.octets(b"\x57", "0x2A19", is_read=True)
        await wait_until(bench.outbox.events)
    (event,) = bench.outbox.events()
    assert event.method is TimeMethod.RECEIPT
    assert (event.flags or [0])[0] & Flag.TIME_UNCERTAIN


async def test_a_link_that_ends_first_releases_what_waited(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.link(LinkState.WAITING)
    assert len(bench.outbox.events()) == 1


async def test_lanes_and_flags(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    async with bench.running():
        bench.connect()
        bench.octets(BP_HIGH)
        bench.octets(BP_IMPLAUSIBLE)
    lanes = [
        record.lane
        for record, body in zip(bench.outbox.records, bench.outbox.bodies(), strict=True)
        if isinstance(body, EventBody)
    ]
    assert lanes == [Lane.ALARM, Lane.ALARM]
    assert (bench.outbox.events()[1].flags or [0])[0] == Flag.IMPLAUSIBLE
    assert bench.outbox.events()[0].flags is None


async def test_undecodable_octets_are_quarantined_and_said_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    async with bench.running():
        bench.connect()
        for length in range(1, 6):
            bench.octets(bytes(length))
        bench.octets(BP)
        bench.octets(b"", "0x2A99")
    assert len(bench.outbox.events()) == 1
    assert bench.entry.status().counts.decode_errors == 6
    (said,) = bench.outbox.statuses("quarantine")
    assert said.data["octets"] == 1
    assert "0x2A35" in str(said.data["reason"])


async def test_statuses_are_said_on_change_only(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    async with bench.running():
        for percent in (90, 90, 89):
            bench.connect()
            bench.octets(bytes([percent]), "0x2A19", is_read=True)
            bench.octets(b"SN-1", "0x2A25", is_read=True)
            bench.put(ReadsDone(bench.clock.mono_ms()))
            bench.link(LinkState.WAITING)
    assert [each.data["percent"] for each in bench.outbox.statuses("battery")] == [90, 89]
    assert [each.data for each in bench.outbox.statuses("info")] == [{"serial_number": "SN-1"}]
    assert [each.data["state"] for each in bench.outbox.statuses("link")] == ["ok"]


async def test_trouble_with_the_link_is_said_and_its_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    async with bench.running():
        bench.link(LinkState.ABSENT, "adapter hci0 not found")
        bench.link(LinkState.WAITING)
        bench.link(LinkState.CONNECTING)
        bench.link(LinkState.BOND_LOST, "repair it")
        await wait_until(lambda: bench.entry.state == "bond-lost")
    states = [each.data["state"] for each in bench.outbox.statuses("link")]
    assert states == ["absent", "ok", "bond-lost"]
    assert bench.entry.last_error == "repair it"


async def test_a_wrong_device_is_not_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF, serial_number="SN-2")
    async with bench.running():
        bench.link(LinkState.CONNECTED)
        bench.octets(BP)
        bench.octets(b"SN-1", "0x2A25", is_read=True)
        bench.octets(BP_HIGH)
        await wait_until(lambda: bench.entry.state == "wrong-device")
    assert not bench.outbox.events()
    assert bench.entry.status().counts.decode_errors == 2


async def test_a_full_outbox_delays_and_shows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CUFF)
    bench.outbox.is_full = True
    async with bench.running():
        bench.connect()
        bench.octets(BP)
        await wait_until(lambda: bench.entry.state == "outbox-full")
        assert bench.session.inbox.is_refusing
        assert not bench.outbox.records
        bench.outbox.is_full = False
        await wait_until(bench.outbox.events)
        await wait_until(lambda: bench.entry.state == "connected")
    assert bench.entry.status().counts.refused >= 1


async def test_what_a_stream_loses_meanwhile_is_a_named_gap(tmp_path: Path) -> None:
    bench = Bench(tmp_path, STRAP)
    bench.live_until_ms = bench.clock.wall_ms() + 10_000_000
    async with bench.running():
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37")
        await wait_until(bench.outbox.blocks)
        bench.outbox.is_full = True
        bench.clock.advance(1000)
        bench.octets(b"\x00\x49", "0x2A37")
        await wait_until(lambda: bench.entry.state == "outbox-full")
        for _ in range(1030):
            bench.clock.advance(1000)
            bench.octets(b"\x00\x48", "0x2A37")
        bench.outbox.is_full = False
        await wait_until(bench.outbox.gaps)
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count, gap.device) == ("outbox-full", 6, IDENTITY)
    assert gap.age_ms == 5000
    samples = sum(group.count for block in bench.outbox.blocks() for group in block.groups)
    assert samples == 1 + 1 + 1030 - 6


async def test_a_stream_becomes_a_block_and_its_interruption_a_gap(tmp_path: Path) -> None:
    bench = Bench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        for _ in range(30):
            bench.octets(b"\x10\x3c\x00\x04", "0x2A37")
            bench.clock.advance(1000)
        bench.link(LinkState.LOST)
        bench.clock.advance(20_000)
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37")
    kinds = [type(body) for body in bench.outbox.bodies()]
    assert kinds.count(BlockBody) == 2
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count) == ("link-lost", 0)
    assert gap.age_ms == 21_000
    assert kinds.index(GapBody) < len(kinds) - 1 - kinds[::-1].index(BlockBody)
    assert [group.count for group in bench.outbox.blocks()[0].groups] == [30, 30]


async def test_a_killed_gateway_names_what_it_lost(tmp_path: Path) -> None:
    before = Bench(tmp_path, STRAP)
    before.live_until_ms = before.clock.wall_ms() + 1000
    async with before.running():
        before.connect()
        before.octets(b"\x00\x48", "0x2A37")
        await wait_until(before.outbox.blocks)
    after = Bench(tmp_path, STRAP)
    after.clock.advance(45_000)
    async with after.running():
        after.connect()
        after.octets(b"\x00\x48", "0x2A37")
    (gap,) = after.outbox.gaps()
    assert (gap.cause, gap.age_ms) == ("restart", 45_000)


async def test_who_watches_sees_each_second(tmp_path: Path) -> None:
    bench = Bench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        for _ in range(10):
            bench.octets(b"\x00\x48", "0x2A37")
            bench.clock.advance(1000)
        await asyncio.sleep(0.05)
        assert not bench.outbox.blocks()
        bench.live_until_ms = bench.clock.wall_ms() + 5000
        bench.octets(b"\x00\x48", "0x2A37")
        await wait_until(bench.outbox.blocks, what="the running block goes at once")
        bench.clock.advance(1000)
        bench.octets(b"\x00\x49", "0x2A37")
        await wait_until(lambda: len(bench.outbox.blocks()) == 2)
        bench.clock.advance(10_000)
        bench.octets(b"\x00\x49", "0x2A37")
        await asyncio.sleep(0.05)
        assert len(bench.outbox.blocks()) == 2, "nobody watches any more"


async def test_near_an_alarm_blocks_are_short_for_a_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path, STRAP)

    def blocks() -> list[tuple[Lane, int]]:
        return [
            (record.lane, body.groups[0].count)
            for record, body in zip(bench.outbox.records, bench.outbox.bodies(), strict=True)
            if isinstance(body, BlockBody)
        ]

    async with bench.running():
        bench.connect()
        for rate in (100, 125, 130, 100):
            bench.octets(bytes([0, rate]), "0x2A37")
            bench.clock.advance(1000)
        await wait_until(lambda: len(blocks()) == 3)
        assert blocks() == [(Lane.LIVE, 2), (Lane.ALARM, 1), (Lane.LIVE, 1)]
        bench.clock.advance(60_000)
        bench.octets(bytes([0, 100]), "0x2A37")
        await asyncio.sleep(0.05)
        assert len(blocks()) == 3


async def test_a_block_ends_after_its_time_without_another_sample(tmp_path: Path) -> None:
    bench = Bench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37")
        await asyncio.sleep(0.05)
        bench.clock.advance(60_000)
        await wait_until(bench.outbox.blocks)


async def test_tokens_are_given_back_after_the_commit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, STRAP)
    async with bench.running():
        bench.connect()
        bench.octets(b"\x00\x48", "0x2A37", token=1)
        await asyncio.sleep(0.05)
        assert bench.transport.tokens == [], "it is in a block that is still open"
        bench.clock.advance(61_000)
        await wait_until(lambda: bench.transport.tokens == [1])


arrivals = st.one_of(
    st.sampled_from(LinkState).map(lambda state: LinkChange(state, 0)),
    st.builds(
        Octets,
        channel=st.sampled_from(["0x2A37", "0x2A19", "0x2A25", "0x2A2B", "0x2A35", "readings", ""]),
        octets=st.binary(max_size=24),
        mono_ms=st.just(0),
        wall_ms=st.just(0),
        is_read=st.booleans(),
    ),
    st.just(ReadsDone(0)),
)


@given(st.lists(st.tuples(arrivals, st.integers(0, 30_000)), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_sequence_of_arrivals_ends_a_session(
    tmp_path: Path, sequence: list[tuple[Arrival, int]]
) -> None:
    async def play() -> None:
        bench = Bench(tmp_path, STRAP)
        async with bench.running():
            for arrival, pause_ms in sequence:
                bench.clock.advance(pause_ms)
                match arrival:
                    case LinkChange():
                        bench.link(arrival.state)
                    case Octets():
                        bench.octets(arrival.octets, arrival.channel, is_read=arrival.is_read)
                    case _:
                        bench.put(ReadsDone(bench.clock.mono_ms()))
        assert bench.session.inbox.is_done
        readings = bench.entry.status().counts.readings
        stored = sum(
            group.count * len(group.columns)
            for block in bench.outbox.blocks()
            for group in block.groups
        )
        assert stored + sum(len(event.series) for event in bench.outbox.events()) == readings

    asyncio.run(play())


async def test_a_spot_check_of_a_streaming_oximeter_is_an_event(tmp_path: Path) -> None:
    profile = parse(
        """
schema = 1
decoder = "pulse_oximeter"
device = { manufacturer = "m", model = "oximeter" }
stream = {}
transport = { ble = { indicate = ["0x2A5E"], notify = ["0x2A5F"] } }
[[metric]]
name = "spo2"
""",
        source="oximeter.toml",
    )
    bench = Bench(tmp_path, profile)
    async with bench.running():
        bench.connect()
        bench.octets(bytes.fromhex("00 6100 3D00"), "0x2A5E")
        bench.octets(bytes.fromhex("00 6100 3D00"), "0x2A5F")
    assert len(bench.outbox.events()) == 1
    assert len(bench.outbox.blocks()) == 1
