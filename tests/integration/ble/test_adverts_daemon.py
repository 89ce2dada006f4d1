"""An advertising scale from enrolment to repair: the daemon and its commands as processes."""

from decimal import Decimal
from pathlib import Path

import pytest

from support.edge_process import Command, gateway_process, write_settings
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.status import client
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.advertisers import BTHOME, BTHomeSensor

pytestmark = pytest.mark.dbus

KEY = "231d39c1d7cc1ab1aee224cd096db932"
ADDRESS = "54:48:E6:8F:80:A5"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    name = "generic-bthome"
    text = (ROOT / "firmware-configs" / f"{name}.toml").read_text(encoding="utf-8")
    return write_settings(tmp_path, {name: text})


@pytest.fixture
async def scale(bluez: FakeBluez) -> BTHomeSensor:
    made = BTHomeSensor(ADDRESS, key=bytes.fromhex(KEY), counter=500, interval_s=0.05)
    bluez.add(made)
    return made


def now(config: Path) -> tuple[str, int]:
    """State of the gateway's only device, and how many readings of it were accepted."""
    port = int((config.parent / "data" / "status.port").read_text(encoding="ascii"))
    (device,) = client.parse(client.fetch(port, "127.0.0.1")).devices
    return device.state, device.readings


async def becomes(config: Path, state: str, readings: int) -> None:
    await wait_until(lambda: now(config) == (state, readings))


async def weighed(scale: BTHomeSensor, config: Path, times: int) -> bytes:
    """Weigh so often; returns the first advertisement when all are in the outbox."""
    _, before = now(config)
    first = scale.weigh(Decimal("120.00"))
    for count in range(1, times + 1):
        await becomes(config, "waiting", before + count)
        if count < times:
            scale.weigh(Decimal(80))
    return first


async def test_enrolled_killed_replayed_and_repaired(
    scale: BTHomeSensor, config: Path, tmp_path: Path
) -> None:
    identity = scale.identity_text
    key = tmp_path / "scale.key"
    key.write_text(KEY + "\n", encoding="ascii")
    add = ("devices", "add", ADDRESS, "--profile", "generic-bthome", "--bind-key-file", str(key))
    async with gateway_process(config) as gateway:
        key.chmod(0o644)
        code, text = await gateway.run(*add)
        assert code != 0
        assert f"chmod 600 {key}" in text
        key.chmod(0o600)
        code, text = await gateway.run(*add)
        assert code == 0, text
        assert "pair" not in text, "there is nothing to pair"
        recorded = await weighed(scale, config, 1)
    killed = await Command.start(config, "run")
    port = config.parent / "data" / "status.port"
    await wait_until(port.exists)
    await weighed(scale, config, 18)
    killed.process.kill()
    await killed.ends()
    port.unlink()

    scale.advertise({BTHOME: recorded})
    async with gateway_process(config) as gateway:
        await becomes(config, "replayed", 0)
        code, text = await gateway.run("status")
        assert code == 1
        assert "its counter has gone back" in text
        scale.counter = 0
        scale.weigh(Decimal("80.50"))
        code, text = await gateway.run("repair", identity)
        assert code == 0, text
        assert "no bond" in text
        await becomes(config, "waiting", 1)
        assert KEY not in gateway.daemon.text
    assert scale.visits == 0


async def test_a_plain_scale_is_enrolled_by_its_address(bluez: FakeBluez, config: Path) -> None:
    scale = BTHomeSensor(ADDRESS, interval_s=0.05)
    bluez.add(scale)
    async with gateway_process(config) as gateway:
        code, text = await gateway.run("devices", "add", ADDRESS, "--profile", "generic-bthome")
        assert code == 0, text
        scale.weigh(Decimal("80.30"))
        await becomes(config, "waiting", 1)


async def test_without_its_key_it_is_shown_with_what_to_do_until_the_key_is_right(
    scale: BTHomeSensor, config: Path, tmp_path: Path
) -> None:
    key = tmp_path / "scale.key"
    key.write_text(KEY + "\n", encoding="ascii")
    key.chmod(0o600)
    add = ("devices", "add", ADDRESS, "--profile", "generic-bthome", "--bind-key-file", str(key))
    async with gateway_process(config) as gateway:
        code, text = await gateway.run(*add)
        assert code == 0, text
    key.chmod(0o644)
    async with gateway_process(config) as gateway:
        await becomes(config, "not-running", 0)
        code, text = await gateway.run("status")
        assert code == 1
        assert f"{scale.identity_text}: not-running: {key}: others may use the bind key" in text
        assert f"chmod 600 {key}" in text
        key.chmod(0o600)
        await becomes(config, "waiting", 0)
        await weighed(scale, config, 1)
        assert KEY not in gateway.daemon.text
