"""The session of an advertising device: names, restarts, kills, and what its profile leaves out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.manual_clock import ManualClock
from support.recording_outbox import RecordingOutbox
from support.session_bench import Accepting
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.advert_memory import AdvertMemories, Kept
from wardlight_edge.sessions.advert_session import AdvertSession
from wardlight_edge.sessions.advertising import check_adverts
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.quarantine import Quarantine
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.transports.base import Anew, LinkChange, LinkState, Octets
from wardlight_lab.devices.advertisers import BTHomeSensor
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import Flag
from wardlight_shared.profile import parse
from wardlight_shared.records import Lane, TimeMethod

KIND = "service-data:0xFCD2"
IDENTITY = "ble:5448E68F80A5"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
TEXT = """
schema = 1
decoder = "bthome"
device = { manufacturer = "m", model = "scale" }
transport = { adverts = {} }
[[metric]]
name = "body_weight"
plausible = [2, 300]
alarm_high = 200
[[metric]]
name = "battery"
"""
SCALE = parse(TEXT, source="scale.toml")


class Forgetful(AdvertMemories):
    """Memories on a disk that can be made to take nothing, as a kill before the write does."""

    def __init__(self, folder: Path) -> None:
        sealer = Sealer(bytes(32))
        super().__init__(folder / "adverts", sealer.seal, sealer.open_sealed)
        self.is_killed = False

    def keep(self, device: str, kept: Kept) -> bool:
        return not self.is_killed and super().keep(device, kept)


class Bench:
    """One gateway's scale; ``life`` is one life of its session."""

    def __init__(self, folder: Path, key: bytes | None = None) -> None:
        self.clock = ManualClock()
        self.outbox = RecordingOutbox()
        self.memories = Forgetful(folder)
        self.gateway = Gateway(
            outbox=self.outbox,
            clock=self.clock,
            quarantine=Quarantine(folder / "quarantine", None),
            open_streams=OpenStreams(folder / "streams.json", self.clock.boot_id),
            live_until=lambda: None,
            is_clock_trusted=lambda: True,
            retry_s=0.01,
            adverts=self.memories,
        )
        file = None
        if key is not None:
            file = folder / "key"
            file.write_text(key.hex())
            file.chmod(0o600)
        self.device = DeviceSettings(identity=IDENTITY, profile="scale", bind_key_file=file)
        self.scale = BTHomeSensor("54:48:E6:8F:80:A5", key=key)
        self.entry = DeviceEntry(IDENTITY, "scale")
        self.session: AdvertSession

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        self.entry = DeviceEntry(IDENTITY, "scale")
        self.session = AdvertSession(self.device, SCALE, self.gateway, self.entry)
        self.session.inbox.offer(LinkChange(LinkState.WAITING, self.clock.mono_ms()))
        task = asyncio.create_task(self.session.run(Accepting()))
        try:
            yield
        finally:
            self.session.inbox.close()
            await asyncio.wait_for(task, 180)

    async def dies_refusing(self) -> None:
        """A life that hears something, finds no room for it, and is killed."""
        session = AdvertSession(self.device, SCALE, self.gateway, self.entry)
        self.session = session
        task = asyncio.create_task(session.run(Accepting()))
        self.hear(self.scale.weigh(Decimal("70.00")))
        refused = self.outbox.refused
        await wait_until(lambda: self.outbox.refused > refused)
        task.cancel()
        await asyncio.wait({task})

    def hear(self, payload: bytes, kind: str = KIND) -> None:
        self.clock.advance(1000)
        moments = self.clock.mono_ms(), self.clock.wall_ms()
        self.session.inbox.offer(Octets(kind, payload, *moments))

    def has(self, count: int) -> bool:
        return len(self.values()) == count

    def values(self) -> list[str]:
        return [
            str(Decimal(mantissa).scaleb(scale))
            for event in self.outbox.events()
            for mantissa, scale in zip(event.mantissas, event.scales, strict=True)
        ]


async def test_an_event_is_live_named_and_dated_by_its_receipt(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.life():
        bench.hear(bench.scale.weigh(Decimal("80.30")))
        bench.hear(bench.scale.weigh(Decimal("250.00")))
        bench.hear(bench.scale.weigh(Decimal("1.00")))
    first, alarm, low = [each for each in bench.outbox.records if each.event_id]
    assert (first.lane, alarm.lane, low.lane) == (Lane.LIVE, Lane.ALARM, Lane.LIVE)
    assert len({first.event_id, alarm.event_id, low.event_id}) == 3
    events = bench.outbox.events()
    assert events[0].method is TimeMethod.RECEIPT
    assert events[0].flags is None
    assert all(flags & Flag.IMPLAUSIBLE for flags in events[2].flags or [])
    assert bench.entry.status().counts.readings == 3


async def test_only_what_the_profile_measures_is_taken(tmp_path: Path) -> None:
    """A scale that also tells the temperature of its room tells of no fever."""
    bench = Bench(tmp_path)
    async with bench.life():
        for _ in range(2):
            bench.hear(bench.scale.say((0x01, 61), (0x02, 2150), (0x06, 8030)))
            bench.hear(bench.scale.say((0x02, 2150 + _)))
    assert bench.values() == ["80.30"]
    assert [BY_WIRE[bench.outbox.key(n).metric].name for n in bench.outbox.events()[0].series] == [
        "body_weight"
    ]
    status = bench.entry.status()
    assert status.battery_percent == 61
    assert status.counts.ignored == 1
    assert bench.outbox.statuses("battery")[0].data == {"percent": 61}


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
async def test_a_kill_between_commit_and_memory_stores_nothing_twice(
    tmp_path: Path, key: bytes | None
) -> None:
    bench = Bench(tmp_path, key)
    async with bench.life():
        bench.hear(bench.scale.weigh(Decimal("80.30")))
        await wait_until(lambda: len(bench.values()) == 1)
    bench.memories.is_killed = True
    async with bench.life():
        last = bench.scale.weigh(Decimal("80.40"))
        bench.hear(last)
        await wait_until(lambda: len(bench.values()) == 2)
    bench.memories.is_killed = False
    async with bench.life():
        bench.hear(last)
        bench.hear(bench.scale.weigh(Decimal("80.50")))
        await wait_until(lambda: len(bench.values()) == 3)
    assert bench.values() == ["80.30", "80.40", "80.50"]


async def test_a_lost_memory_never_gives_a_name_again(tmp_path: Path) -> None:
    """Its numbers begin anew: the same weight on another day must not pass for the first one."""
    bench = Bench(tmp_path)
    payload = bench.scale.weigh(Decimal("80.30"))
    for count in (1, 2):
        async with bench.life():
            bench.hear(payload)
            await wait_until(partial(bench.has, count))
        (file,) = (tmp_path / "adverts").iterdir()
        file.unlink()
    assert bench.values() == ["80.30", "80.30"]


async def test_without_its_memory_a_recorded_packet_is_known_by_its_bytes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, KEY)
    recorded = bench.scale.weigh(Decimal("80.30"))
    async with bench.life():
        bench.hear(recorded)
        await wait_until(lambda: bench.values())
    (file,) = (tmp_path / "adverts").iterdir()
    file.unlink()
    async with bench.life():
        bench.hear(recorded)
        bench.hear(bench.scale.weigh(Decimal("80.40")))
        await wait_until(lambda: len(bench.values()) == 2)
    assert bench.values() == ["80.30", "80.40"]


async def test_a_silence_and_an_operator_make_it_new(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    payload = bench.scale.weigh(Decimal("80.30"))
    async with bench.life():
        bench.hear(payload)
        bench.hear(payload)
        bench.session.inbox.offer(Anew(bench.clock.mono_ms()))
        bench.hear(payload)
        bench.session.inbox.offer(Anew(bench.clock.mono_ms(), is_renewed=True))
        bench.hear(payload)
    assert bench.values() == ["80.30"] * 3
    names = [each.event_id for each in bench.outbox.records if each.event_id]
    assert len(set(names)) == 3


async def test_a_gap_of_an_earlier_life_is_told_however_long_the_outbox_refuses(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    bench.outbox.is_full = True
    began_ms = bench.clock.wall_ms()
    for _ in range(2):
        await bench.dies_refusing()
        bench.clock.advance(60_000)
    bench.outbox.is_full = False
    async with bench.life():
        await wait_until(bench.outbox.gaps)
    (gap,) = bench.outbox.gaps()
    assert (gap.cause, gap.count) == ("outbox-full", 0)
    assert abs(gap.age_ms - (bench.clock.wall_ms() - began_ms)) <= 5000
    async with bench.life():
        bench.hear(bench.scale.weigh(Decimal("80.30")))
    assert len(bench.outbox.gaps()) == 1


async def test_malformed_adverts_go_to_quarantine_and_make_no_trouble(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.life():
        for payload in (b"", b"\x40\x06\x5e", b"\x20\x06", bytes([0x60])):
            bench.hear(payload)
        bench.hear(b"x", "service-data:0xFFFF")
        bench.hear(bench.scale.weigh(Decimal("80.30")))
    status = bench.entry.status()
    assert status.counts.decode_errors == 5
    assert status.state == "waiting"
    assert bench.values() == ["80.30"]


def test_what_does_not_fit_is_refused_at_the_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, KEY)
    stream = parse(TEXT.replace("[[metric]]", "[stream]\n[[metric]]", 1), source="x.toml")
    with pytest.raises(ConfigError, match="no \\[stream\\]"):
        check_adverts(bench.device, stream)
    options = parse(TEXT + "[options]\nturbo = true\n", source="x.toml")
    with pytest.raises(ConfigError, match="turbo: no option of bthome"):
        check_adverts(bench.device, options)
    cuff = parse(TEXT.replace("adverts = {}", 'ble = {notify = ["0x2A35"]}'), source="x.toml")
    with pytest.raises(ConfigError, match="leave out bind_key_file"):
        check_adverts(bench.device, cuff)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("weigh"), st.integers(0, 3)),
        st.tuples(st.just("replay"), st.integers(0, 20)),
        st.tuples(st.just("silence"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("kill"), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=_STEPS)
def test_each_weighing_is_stored_once_whatever_is_played_and_killed(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(_play(steps, tmp_path_factory.mktemp("gateway")))


async def _play(steps: list[tuple[str, int]], folder: Path) -> None:
    """Encrypted: every weighing that reached a session, once and in order; no replay ever."""
    bench = Bench(folder, KEY)
    sent: list[bytes] = []
    lives: list[list[tuple[str, int]]] = [[]]
    for step in steps:
        lives[-1].append(step)
        if step[0] in {"restart", "kill"}:
            lives.append([])
    weighed = 0
    for life in lives:
        async with bench.life():
            for what, number in life:
                if what == "weigh":
                    weighed += 1
                    sent.append(bench.scale.weigh(Decimal(60 + number)))
                    bench.hear(sent[-1])
                elif what == "replay" and sent:
                    bench.hear(sent[number % len(sent)])
                elif what == "silence":
                    bench.session.inbox.offer(Anew(bench.clock.mono_ms()))
            await wait_until(lambda: not bench.session.inbox._arrivals)
            # The last of a life may be committed and not be remembered.
            bench.memories.is_killed = ("kill", 0) in life
        bench.memories.is_killed = False
    names = [each.event_id for each in bench.outbox.records if each.event_id]
    assert len(names) == len(set(names)) == weighed
