"""Captures played into the outbox: times of the past, pace, restart in the middle, bad lines."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from support.block_reader import samples
from support.edge_settings import settings_for
from support.keeping_receiver import KeepingReceiver
from support.recording_outbox import RecordingOutbox
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_edge.transports.base import LinkState, Octets, Unreadable
from wardlight_edge.transports.replay import ReplayTransport
from wardlight_shared.model import Flag
from wardlight_shared.profile import Profile, parse
from wardlight_shared.records import BlockBody, EventBody, Lane, TimeMethod
from wardlight_shared.timestamps import device_isoformat

READINGS = parse(
    """
schema = 1
decoder = "replayed_readings"
device = { manufacturer = "generic", model = "replayed readings" }
[[metric]]
name = "glucose_cgm"
alarm_low = 54
""",
    source="readings.toml",
)
STRAP = parse(
    """
schema = 1
decoder = "heart_rate"
device = { manufacturer = "generic", model = "strap" }
transport = { ble = { notify = ["0x2A37"], stay_connected = true } }
stream = {}
[[metric]]
name = "heart_rate"
""",
    source="strap.toml",
)
START = datetime(2015, 6, 6, 16, 50, 27)  # noqa: DTZ001 - a device's wall clock has no zone


def _glucose(count: int) -> list[dict[str, object]]:
    """A trace with a real gap in it."""
    return [
        {
            "t": place * 300,
            "reading": {
                "metric": "glucose_cgm",
                "value": str(100 + place % 50),
                "unit": "mg/dL",
                "time": (START + timedelta(minutes=5 * place + 60 * (place > 20))).isoformat(),
            },
        }
        for place in range(count)
    ]


def _write(file: Path, lines: Iterable[object]) -> Path:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    file.write_text(text, encoding="utf-8")
    return file


@asynccontextmanager
async def _playing(
    folder: Path, file: Path, profile: Profile, outbox: RecordingOutbox, speed: float = 0
) -> AsyncIterator[DeviceRunner]:
    device = DeviceSettings(identity="replay:trace", profile="it", file=file, speed=speed)
    settings = settings_for(folder, device)
    runner = DeviceRunner(settings, {"it": profile}, outbox, SystemClock(), lambda: None)
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        await asyncio.wait({task})


def _state(runner: DeviceRunner) -> str:
    return runner.board.devices()[0].state


async def test_a_trace_of_the_past_keeps_its_times(tmp_path: Path) -> None:
    lines = _glucose(600)
    file, outbox = _write(tmp_path / "trace.jsonl", lines), RecordingOutbox()
    async with _playing(tmp_path, file, READINGS, outbox) as runner:
        await wait_until(lambda: _state(runner) == "ended")
        await wait_until(lambda: len(outbox.events()) == 600)
    offset_ms = SystemClock().offset_min() * 60_000
    for line, record, event in zip(
        lines, [each for each in outbox.records if each.event_id], outbox.events(), strict=True
    ):
        reading = line["reading"]
        assert isinstance(reading, dict)
        assert event.method is TimeMethod.DEVICE_ASSUMED
        assert isinstance(event.device_time, int)
        assert device_isoformat(event.device_time) == reading["time"]
        measured_ms = record.wall_ms - event.age_ms + offset_ms
        expected = datetime.fromisoformat(f"{reading['time']}+00:00").timestamp() * 1000
        assert measured_ms == expected, "receipt minus age is the device's wall clock, exactly"
        assert event.mantissas == [int(reading["value"])]
        assert event.error_ms is None
        assert (event.flags or [0])[0] & Flag.TIME_UNCERTAIN
        assert record.lane is Lane.BACKFILL


async def test_a_low_value_takes_the_alarm_lane(tmp_path: Path) -> None:
    low = {"t": 0, "reading": {"metric": "glucose_cgm", "value": "54", "unit": "mg/dL"}}
    file, outbox = _write(tmp_path / "trace.jsonl", [low]), RecordingOutbox()
    async with _playing(tmp_path, file, READINGS, outbox):
        await wait_until(outbox.events)
    (lane,) = [
        record.lane
        for record, body in zip(outbox.records, outbox.bodies(), strict=True)
        if isinstance(body, EventBody)
    ]
    assert lane is Lane.ALARM


async def test_a_killed_replay_goes_on_where_it_was_accepted(tmp_path: Path) -> None:
    """The first run stops in the middle; together both store every reading once."""
    file = _write(tmp_path / "trace.jsonl", _glucose(40))
    first, second = RecordingOutbox(), RecordingOutbox()
    async with _playing(tmp_path, file, READINGS, first, speed=1500):  # 5 a second
        await wait_until(lambda: len(first.events()) >= 3)
    assert len(first.events()) < 40
    async with _playing(tmp_path, file, READINGS, second) as runner:
        await wait_until(lambda: _state(runner) == "ended")
        await wait_until(lambda: len(first.events()) + len(second.events()) >= 40)
    ids = [
        record.event_id for each in (first, second) for record in each.records if record.event_id
    ]
    assert len(ids) == len(set(ids)) == 40


async def test_a_finished_capture_stays_finished(tmp_path: Path) -> None:
    file = _write(tmp_path / "trace.jsonl", _glucose(5))
    first, second = RecordingOutbox(), RecordingOutbox()
    async with _playing(tmp_path, file, READINGS, first):
        await wait_until(lambda: len(first.events()) == 5)
    async with _playing(tmp_path, file, READINGS, second) as runner:
        await wait_until(lambda: _state(runner) == "ended")
    assert not second.events()


async def test_a_lost_position_repeats_only_what_is_known_again(tmp_path: Path) -> None:
    file, outbox = _write(tmp_path / "trace.jsonl", _glucose(5)), RecordingOutbox()
    async with _playing(tmp_path, file, READINGS, outbox):
        await wait_until(lambda: len(outbox.events()) == 5)
    (tmp_path / "replay" / "trace.json").write_bytes(b"{")
    async with _playing(tmp_path, file, READINGS, outbox) as runner:
        await wait_until(lambda: _state(runner) == "ended")
    assert len(outbox.events()) == 5, "event ids"


async def test_bad_lines_are_quarantined_and_the_rest_is_played(tmp_path: Path) -> None:
    good = _glucose(3)
    unit = {"t": 1, "reading": {"metric": "glucose_cgm", "value": "1", "unit": "furlong"}}
    bad = ["{", json.dumps({"t": 1, "hex": "00"}), "[" * 5000, "x" * 70_000, json.dumps(unit)]
    file, outbox = _write(tmp_path / "trace.jsonl", [*good, *bad, ""]), RecordingOutbox()
    async with _playing(tmp_path, file, READINGS, outbox) as runner:
        await wait_until(lambda: _state(runner) == "ended")
        await wait_until(lambda: runner.board.devices()[0].counts.decode_errors == len(bad))
        await wait_until(lambda: len(outbox.events()) == 3)
    assert outbox.statuses("quarantine")


async def test_values_without_pace_end_where_the_replay_began(tmp_path: Path) -> None:
    """Speed 0: a stream of the past has its own seconds, not those of the playing."""
    lines = [{"t": second, "characteristic": "0x2A37", "hex": "00 48"} for second in range(90)]
    file, outbox = _write(tmp_path / "strap.jsonl", lines), RecordingOutbox()
    clock = SystemClock()
    before_ms = clock.mono_ms()
    async with _playing(tmp_path, file, STRAP, outbox) as runner:
        await wait_until(lambda: _state(runner) == "ended")
        await wait_until(lambda: outbox.blocks())
    after_ms = clock.mono_ms()
    moments = [
        sample.at_ms
        for record, body in zip(outbox.records, outbox.bodies(), strict=True)
        if isinstance(body, BlockBody)
        for sample in samples(body, record.mono_ms, {})
    ]
    assert len(moments) == 90
    steps = [later - earlier for earlier, later in pairwise(moments)]
    assert all(abs(step - 1000) <= 20 for step in steps)
    assert before_ms - 20 <= moments[-1] <= after_ms


async def test_a_paced_replay_keeps_its_pace(tmp_path: Path) -> None:
    lines = [{"t": place * 10, "characteristic": "0x2A37", "hex": "00 48"} for place in range(5)]
    file, receiver = _write(tmp_path / "strap.jsonl", lines), KeepingReceiver()
    transport = ReplayTransport("replay:strap", file, 100.0, tmp_path / "state", SystemClock())
    began_ms = SystemClock().mono_ms()
    await asyncio.wait_for(transport.run(receiver), 180)
    moments = [each.mono_ms for each in receiver.of(Octets)]
    assert len(moments) == 5
    # Never early; one that a busy machine made late does not make the next one late.
    assert all(at >= began_ms + place * 100 - 10 for place, at in enumerate(moments))
    assert receiver.states() == [LinkState.CONNECTED, LinkState.ENDED]


async def test_a_capture_of_several_devices_plays_its_own(tmp_path: Path) -> None:
    lines = [
        {"t": 0, "device": name, "characteristic": "0x2A37", "hex": f"00 {value}"}
        for name, value in (("strap", "48"), ("other", "49"), ("replay:strap", "4A"))
    ]
    file, receiver = _write(tmp_path / "many.jsonl", lines), KeepingReceiver()
    transport = ReplayTransport("replay:strap", file, 0, tmp_path / "state", SystemClock())
    await asyncio.wait_for(transport.run(receiver), 180)
    assert receiver.values() == [b"\x00\x48", b"\x00\x4a"]


async def test_a_capture_of_others_and_an_empty_one_are_named(tmp_path: Path) -> None:
    other = {"t": 0, "device": "other", "characteristic": "0x2A37", "hex": "00 48"}
    for lines, said in (([other, other], "none of the 2 lines"), ([], "is empty")):
        file, receiver = _write(tmp_path / "it.jsonl", lines), KeepingReceiver()
        for _ in range(2):  # it is said at each start
            transport = ReplayTransport("replay:x", file, 0, tmp_path / "state", SystemClock())
            await asyncio.wait_for(transport.run(receiver), 180)
            assert receiver.last().state is LinkState.ENDED
            reason = receiver.last().reason or ""
            assert said in reason
            assert "it.jsonl" in reason
        assert not receiver.values()


async def test_a_missing_capture_is_named(tmp_path: Path) -> None:
    receiver = KeepingReceiver()
    file = tmp_path / "none.jsonl"
    transport = ReplayTransport("replay:x", file, 0, tmp_path / "state", SystemClock())
    task = asyncio.create_task(transport.run(receiver))
    await wait_until(lambda: receiver.last().state is LinkState.ABSENT)
    assert "none.jsonl" in (receiver.last().reason or "")
    task.cancel()
    await asyncio.wait({task})


async def test_a_refusing_gateway_stops_the_replay(tmp_path: Path) -> None:
    file, receiver = _write(tmp_path / "trace.jsonl", _glucose(3)), KeepingReceiver()
    receiver.refuses = True
    transport = ReplayTransport("replay:x", file, 0, tmp_path / "state", SystemClock())
    task = asyncio.create_task(transport.run(receiver))
    await wait_until(lambda: receiver.states() == [LinkState.CONNECTED])
    assert not receiver.values()
    receiver.refuses = False
    await asyncio.wait_for(task, 180)
    assert len(receiver.values()) == 3
    assert not receiver.of(Unreadable)


@pytest.mark.parametrize("serial", ["01 81 10 00 92", "018110"])
async def test_a_serial_capture_brings_octets_of_a_line(tmp_path: Path, serial: str) -> None:
    file = _write(tmp_path / "line.jsonl", [{"t": 0, "serial": serial}])
    receiver = KeepingReceiver()
    transport = ReplayTransport("replay:x", file, 0, tmp_path / "state", SystemClock())
    await asyncio.wait_for(transport.run(receiver), 180)
    (arrival,) = receiver.of(Octets)
    assert (arrival.channel, arrival.octets) == ("", bytes.fromhex(serial))
