"""A device whose own key or code file cannot be used: it alone does not run, and says why."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.running_gateway import Running, running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import BleSettings, DeviceSettings, UserSettings
from wardlight_edge.profiles import load_file
from wardlight_edge.sessions import supervision
from wardlight_edge.sessions.supervision import NOT_RUNNING
from wardlight_shared.errors import ConfigError

PROFILES = {
    name: load_file(ROOT / "firmware-configs" / f"{name}.toml")
    for name in ("generic-bthome", "beurer-bf720", "generic-replay")
}
KEY, CODE = "231d39c1d7cc1ab1aee224cd096db932", "1234"
NO_RADIO = BleSettings(enabled=False)
SCALE = "ble:5448E68F80A5"
LINE = '{"t": 0, "reading": {"metric": "spo2", "value": "97", "unit": "%"}}\n'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again after tenths of a second."""
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE_S", 0.1)


@pytest.fixture
def other(tmp_path: Path) -> DeviceSettings:
    """A device that has nothing to do with it."""
    file = tmp_path / "capture.jsonl"
    file.write_text(LINE)
    return DeviceSettings(identity="replay:other", profile="generic-replay", file=file, speed=0)


def scale(kind: str, file: Path) -> DeviceSettings:
    """A device with a private file of this kind."""
    if kind == "key":
        return DeviceSettings(identity=SCALE, profile="generic-bthome", bind_key_file=file)
    users = (UserSettings(index=1, consent_code_file=file),)
    return DeviceSettings(identity=SCALE, profile="beurer-bf720", users=users)


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text, encoding="ascii")
    file.chmod(mode)


def link_of_scale(run: Running) -> Iterator[tuple[object, object]]:
    """What the records say of its link."""
    for each in run.outbox.statuses("link"):
        if each.device == SCALE:
            yield each.data["state"], each.data["reason"]


@pytest.mark.parametrize("kind", ["key", "code"])
@pytest.mark.parametrize("fault", ["none", "mode", "content"])
async def test_it_alone_does_not_run_says_why_and_recovers(
    kind: str,
    fault: str,
    other: DeviceSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = KEY if kind == "key" else CODE
    file = tmp_path / "scale.secret"
    if fault != "none":
        write(file, right if fault == "mode" else "wrong", 0o644 if fault == "mode" else 0o600)
    word = {"none": "No such file", "mode": f"chmod 600 {file}", "content": "digits"}[fault]
    devices = (scale(kind, file), other)
    async with running_gateway(tmp_path, PROFILES, *devices, ble=NO_RADIO) as run:
        await wait_until(lambda: run.state() == NOT_RUNNING)
        await wait_until(lambda: run.state(1) == "ended")
        status, _ = run.runner.board.devices()
        assert status.reason is not None
        assert str(file) in status.reason
        assert word in status.reason
        assert right not in status.reason
        [said] = await wait_until(lambda: list(link_of_scale(run)))
        assert said == (NOT_RUNNING, status.reason)
        write(file, right)
        await wait_until(lambda: run.state() == "absent", what="Bluetooth is off in this test")
        await wait_until(lambda: ("ok", None) in link_of_scale(run))
    assert run.runner.board.devices()[0].counts.restarts == 0
    assert len(run.outbox.events()) == 1
    told = [each for each in caplog.records if each.name == supervision.__name__]
    assert [each.levelno for each in told] == [logging.WARNING]


async def test_with_the_right_file_nothing_is_said(tmp_path: Path) -> None:
    file = tmp_path / "scale.secret"
    write(file, KEY)
    async with running_gateway(tmp_path, PROFILES, scale("key", file), ble=NO_RADIO) as run:
        await wait_until(lambda: run.state() == "absent")
    assert not [each for each in link_of_scale(run) if each[0] in {"ok", NOT_RUNNING}]


async def test_who_wants_to_repair_it_hears_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "scale.secret"
    async with running_gateway(tmp_path, PROFILES, scale("key", file), ble=NO_RADIO) as run:
        await wait_until(lambda: run.state() == NOT_RUNNING)
        with pytest.raises(ConfigError, match=str(file)):
            await run.runner.repair(SCALE)


async def test_removed_it_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "scale.secret"
    async with running_gateway(tmp_path, PROFILES, scale("key", file), ble=NO_RADIO) as run:
        await wait_until(lambda: run.state() == NOT_RUNNING)
        await run.runner.remove(SCALE)
        await wait_until(lambda: ("removed", None) in link_of_scale(run))
        assert run.runner.board.devices() == ()
