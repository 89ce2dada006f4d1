"""``wardlight-edge scan`` as a process, against the fake BlueZ."""

import asyncio
import json
import os
import pty
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from support.ble_visits import WatchedCuff
from support.running_gateway import running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.profiles import load
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.bluez.private_bus import PrivateBus
from wardlight_lab.devices.advertisers import Advertiser, BTHomeSensor, MiBodyCompositionScale

pytestmark = pytest.mark.dbus

STRANGER = "Jane's \x1b[31mphone"
SETTINGS = """
gateway = "gw-test"
data_dir = "data"
profiles_dir = "{profiles}"
uplink = {{ host = "127.0.0.1", ca_file = "x", cert_file = "x", key_file = "x" }}
device = [{{ identity = "{identity}", profile = "generic-bthome" }}]
"""


@pytest.fixture
async def ward(bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path) -> Path:
    """Four devices of which one is enrolled; the settings file that says so."""
    scale = BTHomeSensor("54:48:E6:8F:80:A5", "scale", interval_s=0.05, rssi={"hci0": -48})
    scale.weigh(Decimal("80.30"))
    mi_scale = MiBodyCompositionScale("C8:0F:10:00:00:01", "MIBFS", interval_s=0.05)
    mi_scale.weigh(Decimal(72), datetime.now(UTC))
    phone = Advertiser("7A:00:00:00:00:01", STRANGER, address_type="random", interval_s=0.05)
    phone.advertise({}, {0x004C: b"\x02\x15"})
    for each in (scale, mi_scale, phone):
        bluez.add(each)
    cuff.start_advertising()
    file = tmp_path / "edge.toml"
    profiles = ROOT / "firmware-configs"
    text = SETTINGS.format(profiles=profiles, identity=scale.identity_text)
    file.write_text(text, encoding="utf-8")
    return file


async def scan(*arguments: str) -> tuple[int, str, str]:
    """Run the command; its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wardlight_edge", "scan", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(180):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_document_says_who_is_there(ward: Path) -> None:
    code, out, err = await scan("--config", str(ward), "--seconds", "2", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["adapters"] == ["hci0"]
    by_address = {each["address"]: each for each in document["devices"]}
    assert len(by_address) == 4
    scale = by_address["54:48:E6:8F:80:A5"]
    assert scale["is_enrolled"]
    assert scale["profiles"] == ["generic-bthome"]
    assert scale["services"] == [{"uuid": "0xFCD2", "name": "BTHome"}]
    assert scale["adverts"] == ["service-data:0xFCD2"]
    assert -52 <= scale["signal_dbm"] <= -44
    assert scale["heard"] > 3
    assert by_address["C8:0F:10:00:00:01"]["profiles"][0] == "xiaomi-mi-body-composition-scale"
    assert by_address["7A:00:00:00:00:01"]["address_kind"] == "private"
    assert by_address["7A:00:00:00:00:01"]["profiles"] == []
    (cuff,) = (each for each in document["devices"] if {"0x1810"} & _uuids(each))
    assert "generic-blood-pressure" in cuff["profiles"]
    assert cuff["address_kind"] == "static"


def _uuids(device: dict[str, list[dict[str, str]]]) -> set[str]:
    return {each["uuid"] for each in device["services"]}


async def test_without_a_terminal_there_are_plain_lines(ward: Path) -> None:
    code, out, err = await scan("--config", str(ward), "--seconds", "1.5", "--adapter", "hci1")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 5
    assert lines[1].endswith("enrolled")
    assert "\x1b" not in out
    assert "Jane's ?[31mphone" in out


async def test_in_a_terminal_the_table_lives_until_it_is_stopped(
    ward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("LINES", "40")
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wardlight_edge", "scan", "--config", str(ward), "--seconds", "0",
        stdout=theirs, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = bytearray()

    def is_redrawn() -> bool:
        try:
            seen.extend(os.read(ours, 65536))
        except BlockingIOError:
            pass
        except OSError:
            return True  # the other end is closed
        return seen.count(b"\x1b[J") >= 2 and b"generic-bthome" in seen

    await wait_until(is_redrawn)
    process.terminate()
    async with asyncio.timeout(180):
        await process.wait()
    os.close(ours)
    assert process.returncode == 0
    assert b"\x1b[31m" not in seen, "a stranger's name changes no colours"


async def test_beside_a_running_gateway_both_hear(
    ward: Path, bluez: FakeBluez, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profiles = load(ROOT / "firmware-configs", ("generic-bthome",))
    device = DeviceSettings(identity="ble:5448E68F80A5", profile="generic-bthome")
    scale = next(each for each in bluez.peripherals if isinstance(each, BTHomeSensor))
    async with running_gateway(tmp_path / "run", profiles, device) as run:
        await wait_until(lambda: len(run.outbox.events()) == 1)
        code, out, _ = await scan("--config", str(ward), "--seconds", "1.5", "--json")
        assert code == 0
        assert len(json.loads(out)["devices"]) == 4
        scale.weigh(Decimal("80.40"))
        await wait_until(lambda: len(run.outbox.events()) == 2)
        assert bluez.adapter("hci0").is_discovering
    assert "Jane" not in caplog.text


async def test_what_is_missing_is_said(
    bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = await scan("--adapter", "hci7", "--seconds", "1")
    assert (code, "adapter hci7 not found" in err) == (1, True)
    code, out, err = await scan("--adapter", "hci0", "--adapter", "hci7", "--seconds", "1")
    assert (code, "hci7 not found" in err, "nobody is heard" in out) == (0, True, True)
    await bluez.adapter("hci0").set_powered(False)
    code, _, err = await scan("--seconds", "1")
    assert (code, "hci0 has no power" in err) == (1, True)
    async with PrivateBus(None) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        code, _, err = await scan("--seconds", "1")
        assert (code, "bluetoothd is not running" in err) == (1, True)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")
    code, _, err = await scan("--seconds", "1")
    assert (code, "no system D-Bus" in err) == (1, True)
    code, _, err = await scan("--seconds", "soon")
    assert (code, "from 0 to 86400" in err) == (2, True)
