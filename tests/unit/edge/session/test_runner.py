"""The supervisor of all devices: what it refuses, and that one fault stays alone."""

import asyncio
from pathlib import Path

import pytest

from support.edge_settings import settings_for
from support.manual_clock import ManualClock
from support.recording_outbox import RecordingOutbox
from support.waiting import let_run, wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.quarantine import Quarantine
from wardlight_edge.sessions.radio_news import RadioNews
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_edge.transports.base import RadioState, Receiver
from wardlight_edge.transports.replay import ReplayTransport
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile, parse

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


def _replay(folder: Path, name: str) -> DeviceSettings:
    file = folder / f"{name}.jsonl"
    file.write_text(LINE)
    return DeviceSettings(identity=f"replay:{name}", profile="readings", file=file, speed=0)


def _runner(folder: Path, *devices: DeviceSettings) -> tuple[DeviceRunner, RecordingOutbox]:
    outbox = RecordingOutbox()
    settings = settings_for(folder, *devices)
    runner = DeviceRunner(settings, {"readings": READINGS}, outbox, SystemClock(), lambda: None)
    return runner, outbox


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (DeviceSettings(identity="replay:x", profile="other"), "'other' is not loaded"),
        (DeviceSettings(identity="lan:x", profile="readings"), "lan devices"),
        (DeviceSettings(identity="ble:E00000000001", profile="readings"), r"\[transport\.ble\]"),
        (
            DeviceSettings(identity="serial:x", profile="readings", port="/dev/x"),
            r"\[transport\.serial\]",
        ),
    ],
)
def test_a_device_that_cannot_run_is_refused_at_the_start(
    tmp_path: Path, device: DeviceSettings, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _runner(tmp_path, device)


@pytest.mark.parametrize("key", ["indicate", "notify"])
def test_a_profile_that_subscribes_what_has_not_settled_is_refused(
    tmp_path: Path, key: str
) -> None:
    """HTS 1.0, 3.3: Intermediate Temperature is shown while the measurement goes on."""
    early = parse(
        f"""
schema = 1
decoder = "health_thermometer"
device = {{ manufacturer = "generic", model = "thermometer" }}
transport = {{ ble = {{ {key} = ["0x2A1C", "0x2A1E"] }} }}
[[metric]]
name = "body_temperature"
""",
        source="early.toml",
    )
    device = DeviceSettings(identity="ble:E00000000001", profile="early")
    settings = settings_for(tmp_path, device)
    with pytest.raises(ConfigError, match="profile 'early' subscribes 0x2A1E, which"):
        DeviceRunner(settings, {"early": early}, RecordingOutbox(), SystemClock(), lambda: None)


def test_an_unknown_decoder_is_refused_at_the_start(tmp_path: Path) -> None:
    text = 'schema = 1\ndecoder = "nothing"\ndevice = {manufacturer = "m", model = "m"}\n'
    profile: Profile = parse(text + '[[metric]]\nname = "spo2"\n', source="x.toml")
    settings = settings_for(tmp_path, DeviceSettings(identity="replay:x", profile="x"))
    with pytest.raises(ConfigError, match="nothing"):
        DeviceRunner(settings, {"x": profile}, RecordingOutbox(), SystemClock(), lambda: None)


async def test_a_fault_of_one_device_is_shown_tried_again_and_stays_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter([RuntimeError("a bug"), RuntimeError("again")])
    play = ReplayTransport.run

    async def run(self: ReplayTransport, receiver: Receiver) -> None:
        if self._identity == "replay:bad":
            fault = next(faults, None)
            if fault is not None:
                raise fault
        await play(self, receiver)

    monkeypatch.setattr(ReplayTransport, "run", run)
    runner, outbox = _runner(tmp_path, _replay(tmp_path, "bad"), _replay(tmp_path, "good"))
    task = asyncio.create_task(runner.run())
    try:
        await wait_until(lambda: runner.board.devices()[1].state == "ended")
        await wait_until(lambda: runner.board.devices()[0].counts.restarts >= 1)
        await wait_until(lambda: runner.board.devices()[0].state == "ended")
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert runner.board.devices()[0].counts.restarts == 2
    assert runner.board.devices()[1].counts.restarts == 0
    assert len(outbox.events()) == 2


async def test_a_gateway_without_devices_runs_until_it_is_stopped(tmp_path: Path) -> None:
    runner, _ = _runner(tmp_path)
    task = asyncio.create_task(runner.run())
    await let_run()
    assert not task.done()
    assert runner.board.devices() == ()
    assert runner.board.radios() == ()
    task.cancel()
    await asyncio.wait({task})


async def test_only_bluetooth_devices_have_a_bond_to_repair(tmp_path: Path) -> None:
    runner, _ = _runner(tmp_path, _replay(tmp_path, "x"))
    for identity in ("replay:x", "ble:E00000000001"):
        with pytest.raises(ConfigError, match="not a Bluetooth device"):
            await runner.repair(identity)


async def test_news_of_adapters_survive_a_full_outbox(tmp_path: Path) -> None:
    outbox, clock = RecordingOutbox(), ManualClock()
    gateway = Gateway(
        outbox=outbox,
        clock=clock,
        quarantine=Quarantine(tmp_path, None),
        open_streams=OpenStreams(tmp_path / "streams.json", clock.boot_id),
        live_until=lambda: None,
        is_clock_trusted=lambda: True,
        retry_s=0.01,
    )
    news = RadioNews(gateway)
    task = asyncio.create_task(news.run())
    outbox.is_full = True
    state = RadioState("hci0", "adapter hci0 not found", False, 0, None, 0, 0)
    news.put(state)
    await wait_until(lambda: outbox.refused >= 2)
    news.put(RadioState("hci0", None, True, 0, None, 0, 0))
    news.put(RadioState("hci0", None, True, 1, 5, 3, 0))
    outbox.is_full = False
    await wait_until(lambda: outbox.statuses("radio"))
    task.cancel()
    await asyncio.wait({task})
    (said,) = outbox.statuses("radio")
    assert said.data == {"adapter": "hci0", "reason": None, "power_cycles": 0}
