"""From the radio to the outbox: the device runner against the fake BlueZ."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from support.ble_visits import CUFF, WatchedCuff, changed
from support.block_reader import samples
from support.edge_settings import settings_for
from support.recording_outbox import RecordingOutbox
from support.running_gateway import running_gateway
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_lab.bluez import FakeBluez, Pairing
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.pulse_oximeter import PulseOximeter
from wardlight_lab.serialport.pty_port import PtyPort
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.model import Flag
from wardlight_shared.profile import parse
from wardlight_shared.records import BlockBody, Lane, TimeMethod

pytestmark = pytest.mark.dbus

NO_BUS = "no system D-Bus: apt install dbus bluez, or start dbus"
OXIMETER = parse(
    """
schema = 1
decoder = "pulse_oximeter"
device = { manufacturer = "generic", model = "oximeter" }
stream = { block_s = 2 }
[transport.ble]
notify = ["0x2A5F"]
read_once = ["0x2A19"]
stay_connected = true
bond = false
idle_timeout_s = 30
[[metric]]
name = "spo2"
alarm_low = 80
""",
    source="oximeter.toml",
)
SERIAL = parse(
    """
schema = 1
decoder = "serial_nonin"
device = { manufacturer = "Nonin", model = "Xpod" }
transport = { serial = { baud = 9600 } }
stream = {}
[[metric]]
name = "spo2"
""",
    source="serial.toml",
)


async def test_a_stored_reading_is_dated_by_the_clock_of_its_device(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    """The cuff is an hour behind: what it measured five minutes ago is five minutes old."""
    del bluez
    cuff.clock.skew = timedelta(hours=-1)
    measured = cuff.clock.now() - timedelta(minutes=6)
    cuff.habit.linger = 5  # long enough for all that is read
    device = DeviceSettings(identity=cuff.identity_text, profile="cuff")
    async with running_gateway(tmp_path, {"cuff": CUFF}, device) as run:
        record = cuff.take_record(measured)
        cuff.store(record)
        await wait_until(lambda: run.outbox.events())
        await wait_until(lambda: run.outbox.statuses("info"))
        (event,) = run.outbox.events()
        assert event.method is TimeMethod.DEVICE_CLOCK
        assert abs(event.age_ms - 6 * 60_000) <= 3000
        assert event.error_ms is not None
        assert abs((event.skew_s or 0) - 3600) <= 2
        assert all(flags & Flag.LATE for flags in event.flags or [])
        names = [BY_WIRE[run.outbox.key(number).metric].name for number in event.series]
        assert names == ["systolic_bp", "diastolic_bp", "mean_bp", "pulse_rate_nibp"]
        sent = [
            str(Decimal(m).scaleb(s)) for m, s in zip(event.mantissas, event.scales, strict=True)
        ]
        assert sent == list(record.values.values())
        (row,) = [each for each in run.outbox.records if each.event_id is not None]
        assert row.lane is Lane.BACKFILL
        status = run.runner.board.devices()[0]
        assert status.battery_percent == 87
        assert status.info.model == "UA-651BLE"
        assert abs((status.clock_skew_s or 0) - 3600) <= 2
        assert run.outbox.statuses("battery")[0].data == {"percent": 87}
        assert run.outbox.statuses("info")[0].data["serial_number"] == cuff.identity.serial


async def test_what_a_device_sends_twice_is_stored_once(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    cuff.faults.drop_after.append(1)
    cuff.faults.acknowledge_last = False
    device = DeviceSettings(identity=cuff.identity_text, profile="cuff")
    async with running_gateway(tmp_path, {"cuff": CUFF}, device) as run:
        cuff.record(3)
        await wait_until(lambda: not cuff.pending)
        await wait_until(lambda: len(run.outbox.events()) == 3)
        await wait_until(lambda: run.state() == "waiting")
    assert len(run.outbox.events()) == 3


async def test_another_device_under_the_same_address_is_quarantined(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    device = DeviceSettings(
        identity=cuff.identity_text, profile="cuff", serial_number="SOMEONE-ELSE"
    )
    async with running_gateway(tmp_path, {"cuff": CUFF}, device) as run:
        cuff.record()
        await wait_until(lambda: run.runner.board.devices()[0].counts.decode_errors == 1)
        await wait_until(lambda: run.outbox.statuses("quarantine"))
        assert not run.outbox.events()
        assert run.outbox.statuses("link")[-1].data["state"] == "wrong-device"
    kept = list((tmp_path / "quarantine").iterdir())
    assert len(kept) == 1
    assert cuff.sent()[0] not in kept[0].read_bytes(), "what is kept is sealed"


async def test_the_enrolled_serial_number_is_accepted(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    device = DeviceSettings(
        identity=cuff.identity_text, profile="cuff", serial_number=cuff.identity.serial
    )
    async with running_gateway(tmp_path, {"cuff": CUFF}, device) as run:
        cuff.record(2)
        await wait_until(lambda: len(run.outbox.events()) == 2)


async def test_a_full_outbox_is_waited_for_and_nothing_is_lost(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    del bluez
    device = DeviceSettings(identity=cuff.identity_text, profile="cuff")
    async with running_gateway(tmp_path, {"cuff": CUFF}, device) as run:
        run.outbox.is_full = True
        cuff.record(2)
        board = run.runner.board
        await wait_until(lambda: any(radio.last_advertisement_mono_ms for radio in board.radios()))
        assert cuff.link is None
        run.outbox.is_full = False
        await wait_until(lambda: len(run.outbox.events()) == 2)


async def test_a_stream_is_folded_and_its_loss_is_named(bluez: FakeBluez, tmp_path: Path) -> None:
    equipment = Equipment(pairing=Pairing.NONE, advertising_interval_s=0.05)
    oximeter = PulseOximeter("p", PatientVitals("p"), equipment=equipment, speed=5)
    bluez.add(oximeter)
    identity = oximeter.identity_text
    device = DeviceSettings(identity=identity, profile="oximeter")
    async with running_gateway(tmp_path, {"oximeter": OXIMETER}, device) as run:
        await wait_until(lambda: len(run.outbox.blocks()) >= 1)
        assert oximeter.link is not None
        await oximeter.link.hang_up()
        await wait_until(lambda: run.outbox.gaps())
        await wait_until(lambda: len(run.outbox.blocks()) >= 3)
    assert run.outbox.gaps()[0].cause == "link-lost"
    states = [each.data["state"] for each in run.outbox.statuses("link")]
    assert states[:3] == ["connected", "lost", "connected"]

    sent = [entry.values["spo2"] for entry in oximeter.ledger if entry.delivered]
    stored: list[str] = []
    for record, body in zip(run.outbox.records, run.outbox.bodies(), strict=True):
        if isinstance(body, BlockBody):
            stored += [
                str(sample.value)
                for sample in samples(body, record.mono_ms, {})
                if BY_WIRE[run.outbox.key(sample.series).metric].name == "spo2"
            ]
    assert stored == sent, "graceful stop: what was received is in the outbox"


async def test_without_bluetooth_serial_devices_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")
    with PtyPort(tmp_path / "port") as port:
        devices = (
            DeviceSettings(identity="ble:D00000000001", profile="cuff"),
            DeviceSettings(identity="serial:bed", profile="serial", port=str(port.path)),
        )
        profiles = {"cuff": CUFF, "serial": SERIAL}
        async with running_gateway(tmp_path, profiles, *devices) as run:
            await wait_until(lambda: run.state(0) == "absent" and run.state(1) == "connected")
            absent, _ = run.runner.board.devices()
            assert absent.reason == NO_BUS
            assert run.outbox.statuses("link")[0].data["reason"] == NO_BUS


async def test_bluetooth_switched_off_is_said(tmp_path: Path, peer: Callable[[str], Path]) -> None:
    del peer
    device = DeviceSettings(identity="ble:D00000000001", profile="cuff")
    settings = settings_for(tmp_path, device)
    settings = msgspec.structs.replace(
        settings, ble=msgspec.structs.replace(settings.ble, enabled=False)
    )
    outbox = RecordingOutbox()
    runner = DeviceRunner(settings, {"cuff": CUFF}, outbox, SystemClock(), lambda: None)
    task = asyncio.create_task(runner.run())
    await wait_until(lambda: runner.board.devices()[0].state == "absent")
    task.cancel()
    await asyncio.wait({task})
    assert "switched off" in (runner.board.devices()[0].reason or "")


async def test_an_operator_repairs_by_identity(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    device = DeviceSettings(identity=cuff.identity_text, profile="cuff")
    profiles = {"cuff": changed(CUFF, idle_timeout_s=5)}
    async with running_gateway(tmp_path, profiles, device) as run:
        cuff.record()
        await wait_until(lambda: len(run.outbox.events()) == 1)
        await wait_until(lambda: run.state() == "waiting")
        bluez.reset(cuff)
        cuff.record()
        await wait_until(lambda: run.state() == "bond-lost")
        await wait_until(lambda: run.outbox.statuses("link")[-1].data["state"] == "bond-lost")
        await run.runner.repair(cuff.identity_text)
        await wait_until(lambda: len(run.outbox.events()) == 2)
        await wait_until(lambda: run.outbox.statuses("link")[-1].data["state"] == "ok")
