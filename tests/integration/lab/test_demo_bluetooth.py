"""The demo's devices that only advertise, from their process into the outbox."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.running_gateway import Running, running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge import profiles
from wardlight_edge.config import DeviceSettings
from wardlight_lab.demo.advertising import BROADCAST, SPECS
from wardlight_lab.demo.ward import bluetooth
from wardlight_lab.devices import read_ledger
from wardlight_shared.codes import BY_WIRE

pytestmark = pytest.mark.dbus

WANTED = {"body_temperature", "body_weight"}


@asynccontextmanager
async def demo_bluetooth(folder: Path, key: Path) -> AsyncIterator[dict[str, object]]:
    """The process; its ready line."""
    with TemporaryDirectory(prefix="wardlight-") as bus_dir:  # paths of sockets must be short
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wardlight_lab.demo.bluetooth",
            "--state-dir", str(folder / "bonds"), "--bus-dir", bus_dir,
            "--ledger", str(folder / "ledger.jsonl"), "--bind-key-file", str(key),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            yield json.loads(await asyncio.wait_for(process.stdout.readline(), 180))
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 180) == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_what_they_broadcast_is_read_also_after_a_second_start(
    peer: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer("dbus-daemon")
    key = tmp_path / "thermometer.key"
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(16))
    for _ in range(2):
        async with demo_bluetooth(tmp_path, key) as ready:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", str(ready["address"]))
            ours = {"ble:" + each.address.replace(":", "") for each in SPECS}
            devices = [
                DeviceSettings(
                    identity=each.identity, profile=each.profile, bind_key_file=each.bind_key_file
                )
                for each in bluetooth(ready, key)
                if each.identity in ours
            ]
            assert {each.identity for each in devices} == ours
            loaded = profiles.load(ROOT / "firmware-configs", {each.profile for each in devices})
            async with running_gateway(tmp_path, loaded, *devices) as gateway:
                await wait_until(lambda: _told(gateway).keys() >= WANTED)
    broadcast = [each for each in read_ledger(tmp_path / "ledger.jsonl") if each.kind == BROADCAST]
    assert not any(each.delivered for each in broadcast)
    said = {(name, Decimal(text)) for each in broadcast for name, text in each.values.items()}
    assert {(name, value) for name, value in _told(gateway).items() if name in WANTED} <= said


def _told(gateway: Running) -> dict[str, Decimal]:
    """Metric -> its last value in the outbox."""
    return {
        BY_WIRE[gateway.outbox.key(number).metric].name: Decimal(mantissa).scaleb(scale)
        for event in gateway.outbox.events()
        for number, mantissa, scale in zip(event.series, event.mantissas, event.scales, strict=True)
        if mantissa is not None
    }
