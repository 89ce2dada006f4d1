"""Devices that come and go while the others run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import msgspec
import pytest

from support.edge_settings import settings_for
from support.recording_outbox import RecordingOutbox
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings, DeviceSettings
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.sessions.waiting_room import Vault, Waiting
from wardlight_shared.errors import ConfigError, StorageError
from wardlight_shared.profile import parse

PROFILE = parse(
    """
schema = 1
decoder = "replayed_readings"
device = { manufacturer = "generic", model = "replayed" }
metric = [{ name = "spo2" }]
""",
    source="readings.toml",
)
LINE = '{"t": 0, "reading": {"metric": "spo2", "value": "97", "unit": "%"}}\n'
KEY = bytes(32)


def replay(folder: Path, name: str) -> DeviceSettings:
    file = folder / f"{name}.jsonl"
    file.write_text(LINE)
    return DeviceSettings(identity=f"replay:{name}", profile="readings", file=file, speed=0)


@asynccontextmanager
async def running(
    folder: Path, *devices: DeviceSettings
) -> AsyncIterator[tuple[DeviceRunner, RecordingOutbox]]:
    outbox = RecordingOutbox()
    settings = settings_for(folder, *devices)
    runner = DeviceRunner(
        settings, {"readings": PROFILE}, outbox, SystemClock(), lambda: None, key=KEY
    )
    task = asyncio.create_task(runner.run())
    try:
        yield runner, outbox
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_device_is_added_and_removed_and_nobody_else_notices(tmp_path: Path) -> None:
    async with running(tmp_path, replay(tmp_path, "a")) as (runner, outbox):
        await wait_until(lambda: runner.board.devices()[0].state == "ended")
        task = runner._supervision._tasks["replay:a"]
        runner.add(replay(tmp_path, "b"), PROFILE)
        await wait_until(lambda: len(outbox.events()) == 2)
        assert await runner.remove("replay:b") == 0
        assert [each.identity for each in runner.board.devices()] == ["replay:a"]
        assert "replay:b" not in runner.devices
        assert runner._supervision._tasks["replay:a"] is task
        assert not task.done()
        await wait_until(lambda: outbox.statuses("link")[-1].data["state"] == "removed")
        runner.add(replay(tmp_path, "b"), PROFILE)
        await wait_until(lambda: runner.board.devices()[1].state == "ended")


async def test_what_cannot_run_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as (runner, _):
        device = DeviceSettings(identity="serial:x", profile="readings", port="/dev/none")
        with pytest.raises(ConfigError, match=r"no \[transport\.serial\]"):
            runner.add(device, PROFILE)
        assert runner.board.devices() == ()
        assert not runner.devices


async def test_a_day_of_calibration_is_told_when_it_changes(tmp_path: Path) -> None:
    device = msgspec.structs.replace(replay(tmp_path, "a"), calibration_due=date(2027, 3, 1))
    async with running(tmp_path, device) as (runner, outbox):
        await wait_until(lambda: len(outbox.statuses("calibration")) == 1)
        runner.change(msgspec.structs.replace(device, calibration_due=date(2028, 3, 1)))
        await wait_until(lambda: len(outbox.statuses("calibration")) == 2)
        runner.change(msgspec.structs.replace(device, calibration_due=None))
        await wait_until(lambda: len(outbox.statuses("calibration")) == 3)
        assert runner.board.devices()[0].calibration_due is None
    said = [each.data["due"] for each in outbox.statuses("calibration")]
    assert said == ["2027-03-01", "2028-03-01", None]


async def test_readings_in_doubt_are_given_up_with_their_device_and_told(tmp_path: Path) -> None:
    device, clock, sealer = replay(tmp_path, "a"), SystemClock(), Sealer(KEY)
    vault = Vault(tmp_path / "waiting", sealer.seal, sealer.open_sealed)
    value = Waiting("0x2A35", b"\x00", clock.mono_ms(), clock.wall_ms(), clock.boot_id())
    vault.write(device.identity, [value, value])
    async with running(tmp_path, device) as (runner, outbox):
        await wait_until(lambda: runner.board.devices()[0].state == "ended")
        outbox.is_full = True
        with pytest.raises(StorageError):
            await runner.remove(device.identity)
        assert len(vault.read(device.identity) or []) == 2, "nothing goes without being told"
        outbox.is_full = False
        assert await runner.remove(device.identity) == 2
        (gap,) = outbox.gaps()
        assert (gap.cause, gap.count, gap.device) == ("unverified", 2, device.identity)
        assert vault.read(device.identity) == []


def test_a_stream_that_was_removed_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    streams = OpenStreams(file, lambda: "boot")
    streams.account("serial:a", 1, 2)
    streams.account("serial:b", 3, 4)
    streams.forget("serial:a")
    streams.forget("serial:never")
    for again in (streams, OpenStreams(file, lambda: "boot")):
        assert again.lost_since_ms("serial:a", 10, 10) is None
        assert again.lost_since_ms("serial:b", 10, 10) == 3
        again.account("serial:a", 5, 6)
        assert OpenStreams(file, lambda: "boot").lost_since_ms("serial:a", 10, 10) == 5
        again.forget("serial:a")


async def test_bluetooth_that_is_switched_off_is_said_to_who_pairs(tmp_path: Path) -> None:
    cuff = parse(
        """
schema = 1
decoder = "blood_pressure"
device = { manufacturer = "generic", model = "cuff" }
transport = { ble = { indicate = ["0x2A35"] } }
metric = [{ name = "systolic_bp" }]
""",
        source="cuff.toml",
    )
    device = DeviceSettings(identity="ble:AABBCCDDEEFF", profile="cuff")
    settings = settings_for(tmp_path, device, ble=BleSettings(enabled=False))
    runner = DeviceRunner(
        settings, {"cuff": cuff}, RecordingOutbox(), SystemClock(), lambda: None, key=KEY
    )
    with pytest.raises(ConfigError, match="switched off in the settings"):
        await runner.repair(device.identity)
