"""``wardlight-edge scan`` through a proxy, as a process."""

import asyncio
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import edge_process
from support.proxied_cuff import ProxiedCuff
from support.running_gateway import running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import BleSettings, DeviceSettings, ProxySettings
from wardlight_edge.profiles import load
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.advertisers import Advertiser, BTHomeSensor

if TYPE_CHECKING:
    from wardlight_lab.esphome.proxy import FakeProxy

Settings = Callable[["FakeProxy"], ProxySettings]
SETTINGS = """
gateway = "gw-test"
data_dir = "data"
profiles_dir = "{profiles}"
uplink = {{ host = "127.0.0.1", ca_file = "x", cert_file = "x", key_file = "x" }}
[ble]
adapters = {adapters}
"""
PROXY = """
[[ble.proxy]]
name = "{name}"
host = "127.0.0.1"
port = {port}
noise_key_file = "{key}"
"""


def write(folder: Path, adapters: list[str], *proxies: ProxySettings) -> str:
    text = SETTINGS.format(profiles=ROOT / "firmware-configs", adapters=json.dumps(adapters))
    for each in proxies:
        text += PROXY.format(name=each.name, port=each.port, key=each.noise_key_file)
    file = folder / "edge.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


async def scan(*arguments: str) -> tuple[int, str, str]:
    """Run the command; its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wardlight_edge", "scan", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(180):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def sensor() -> BTHomeSensor:
    made = BTHomeSensor("54:48:E6:8F:80:A5", "scale", interval_s=0.05)
    made.rssi = {"livingroom": -48, "hci0": -77}
    made.weigh(Decimal("80.30"))
    return made


async def test_what_a_proxy_hears_is_in_the_document(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    cuff = ProxiedCuff()
    cuff.record()
    phone = Advertiser("7A:00:00:00:00:01", "phone", address_type="random", interval_s=0.05)
    phone.advertise({}, {0x004C: b"\x02\x15"})
    proxy.peripherals = [cuff, phone, sensor()]
    config = write(tmp_path, [], settings_for(proxy))
    code, out, err = await scan("--config", config, "--seconds", "4", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["adapters"] == ["proxy livingroom"]
    by_address = {each["address"]: each for each in document["devices"]}
    scale = by_address["54:48:E6:8F:80:A5"]
    assert scale["radios"] == [{"radio": "proxy livingroom", "signal_dbm": -48}]
    assert (scale["name"], scale["profiles"]) == ("scale", ["generic-bthome"])
    assert by_address["7A:00:00:00:00:01"]["address_kind"] == "private"
    assert by_address[cuff.address]["profiles"]
    assert {"uuid": "0x1810", "name": "Blood Pressure"} in by_address[cuff.address]["services"]


@pytest.mark.dbus
async def test_adapter_and_proxy_hear_one_device(
    proxy: "FakeProxy",
    settings_for: Settings,
    tmp_path: Path,
    peer: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer("dbus-daemon")
    near = sensor()
    proxy.peripherals = [near]
    config = write(tmp_path, ["hci0"], settings_for(proxy))
    async with FakeBluez(adapters=("hci0",)) as bluez:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
        bluez.add(near)
        code, out, err = await scan("--config", config, "--seconds", "4")
        assert (code, err) == (0, "")
        heading, line = out.splitlines()
        assert "radio" in heading
        assert "proxy livingroom +1" in line
        code, out, _ = await scan("--config", config, "--seconds", "2", "--adapter", "hci0")
        assert (code, "proxy" in out, "hci0" in out) == (0, False, True)
    code, out, err = await scan("--config", config, "--seconds", "3")
    assert (code, "proxy livingroom" in out) == (0, True), "without a bus the proxy still hears"
    assert "no system D-Bus" in err


async def test_a_proxy_that_does_not_hear_says_why(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    good = settings_for(proxy)
    config = write(tmp_path, [], good)
    code, out, err = await scan("--config", config, "--seconds", "3")
    assert (code, "nobody is heard" in out) == (0, True)
    assert "proxy livingroom has forwarded nothing: it has one listener" in err
    await proxy.stop()
    code, out, err = await scan("--config", config, "--seconds", "30")
    assert (code, out) == (1, "")
    assert err == f"wardlight-edge: proxy livingroom cannot be reached at 127.0.0.1:{good.port}\n"
    good.noise_key_file.chmod(0o644)
    code, out, err = await scan("--config", config, "--seconds", "30")
    assert (code, "chmod 600" in err) == (1, True)
    code, _, err = await scan("--config", config, "--seconds", "1", "--proxy", "hall")
    assert (code, "--proxy hall: not a proxy of the settings, which name livingroom" in err) == (
        2, True,
    )  # fmt: skip


async def test_a_gateway_of_other_settings_keeps_its_proxy(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path
) -> None:
    scale = sensor()
    proxy.peripherals = [scale]
    settings = settings_for(proxy)
    profiles = load(ROOT / "firmware-configs", ["generic-bthome"])
    device = DeviceSettings(identity=scale.identity_text, profile="generic-bthome")
    ble = BleSettings(adapters=(), proxies=(settings,))
    async with running_gateway(tmp_path, profiles, device, ble=ble) as run:
        await wait_until(lambda: run.outbox.events())
        listener = proxy.listener
        code, out, err = await scan("--config", write(tmp_path, [], settings), "--seconds", "3")
        assert (code, "nobody is heard" in out) == (0, True)
        assert "a gateway with other settings" in err
        assert proxy.listener is listener
        count = len(run.outbox.events())
        scale.weigh(Decimal("80.40"))
        await wait_until(lambda: len(run.outbox.events()) > count)


@pytest.fixture
def gateway_file(tmp_path: Path) -> Callable[..., Path]:
    """Settings that a gateway runs with, and the scan beside it."""

    def made(sensor: BTHomeSensor, *proxies: ProxySettings) -> Path:
        name = "generic-bthome"
        profile = (ROOT / "firmware-configs" / f"{name}.toml").read_text(encoding="utf-8")
        device = f'[[device]]\nidentity = "{sensor.identity_text}"\nprofile = "{name}"\n'
        file = edge_process.write_settings(tmp_path, {name: profile}, device)
        text = file.read_text().replace("[ble]", "[ble]\nadapters = []")
        for each in proxies:
            text += PROXY.format(name=each.name, port=each.port, key=each.noise_key_file)
        file.write_text(text)
        return file

    return made


async def test_the_running_gateway_tells_what_its_proxy_hears(
    proxy: "FakeProxy", settings_for: Settings, tmp_path: Path, gateway_file: Callable[..., Path]
) -> None:
    scale = sensor()
    phone = Advertiser("7A:00:00:00:00:01", "phone", address_type="random", interval_s=0.05)
    phone.advertise({}, {0x004C: b"\x02\x15"})
    proxy.peripherals = [scale, phone]
    config = gateway_file(scale, settings_for(proxy))
    gateway = await edge_process.Command.start(config, "run")
    try:
        await wait_until(lambda: (tmp_path / "data" / "status.token").exists())
        await wait_until(lambda: proxy.listener is not None)
        listener = proxy.listener
        code, out, err = await scan("--config", str(config), "--seconds", "5", "--json")
        assert (code, err) == (0, "")
        document = json.loads(out)
        assert document["adapters"] == ["proxy livingroom"]
        found = {each["address"]: each for each in document["devices"]}
        assert set(found) == {"54:48:E6:8F:80:A5", "7A:00:00:00:00:01"}
        assert found["54:48:E6:8F:80:A5"]["is_enrolled"] is True
        assert found["54:48:E6:8F:80:A5"]["profiles"] == ["generic-bthome"]
        assert found["54:48:E6:8F:80:A5"]["radios"] == [
            {"radio": "proxy livingroom", "signal_dbm": -48}
        ]
        assert found["7A:00:00:00:00:01"]["address_kind"] == "private"
        assert proxy.listener is listener, "nothing was taken from the gateway"

        (tmp_path / "data" / "status.token").write_text("another\n")
        code, out, err = await scan("--config", str(config), "--seconds", "3")
        assert (code, out) == (1, "")
        assert "proxy livingroom: the gateway that runs listens, not the scan" in err
        assert proxy.listener is listener
    finally:
        gateway.process.terminate()
        assert await gateway.ends() == 0
    # Its port is no more: the scan opens the proxy itself.
    code, out, err = await scan("--config", str(config), "--seconds", "4", "--json")
    assert (code, err) == (0, "")
    assert {each["address"] for each in json.loads(out)["devices"]} == set(found)
