"""Serial oximeters from the wire to blocks: with their own profiles, over a pseudo-terminal."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from support.running_gateway import running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge import profiles
from wardlight_edge.config import DeviceSettings
from wardlight_lab.serialport import contec, masimo
from wardlight_lab.serialport.pty_port import PtyPort
from wardlight_shared.codes import METRICS

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SECONDS = {
    "contec-cms50d-plus": contec.first_generation(97, 140, 30) * contec.FRAMES_A_SECOND,
    "contec-cms50d-plus-v46": contec.version_4_6(97, 140, 30) * contec.FRAMES_A_SECOND,
    "masimo-rad-8": masimo.line(97, 140, Decimal("3.60"), AT),
    "nonin-4100": bytes((0x81, 12, 97, 0)),
}


@pytest.mark.parametrize("name", SECONDS)
async def test_seconds_become_a_block(name: str, tmp_path: Path) -> None:
    loaded = profiles.load(ROOT / "firmware-configs", [name])
    with PtyPort(tmp_path / "port") as port:
        device = DeviceSettings(identity="serial:bed", profile=name, port=str(port.path))
        async with running_gateway(tmp_path, loaded, device) as gateway:
            await wait_until(lambda: gateway.state() == "connected")

            def has_block() -> bool:
                port.write(SECONDS[name])
                return bool(gateway.outbox.blocks())

            await wait_until(has_block)
        block = gateway.outbox.blocks()[0]
        firsts = {
            gateway.outbox.key(column.series).metric: (column.first, column.scale)
            for group in block.groups
            for column in group.columns
        }
    assert firsts[METRICS["spo2"].wire] == (97, 0)
    assert firsts[METRICS["pulse_rate_oximeter"].wire] == (140, 0)
