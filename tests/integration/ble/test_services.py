"""Every GATT service over a bonded link: not paired, paired, cut in the middle, key lost, repaired.

One run for each row of the table in ``support.gatt_services``.
"""

import tomllib
from pathlib import Path

import pytest

from support.gatt_services import CASES, Case, stored
from support.running_gateway import running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import viatom_o2
from wardlight_edge.sessions import dialogue, session
from wardlight_edge.transports import ble_device
from wardlight_edge.transports.ble_errors import Trouble
from wardlight_lab.bluez import FakeBluez

pytestmark = pytest.mark.dbus

OMRON = "ECBE3980-C9A2-11E1-B1BD-0002A5D5C51B"
"""It has test_omron_memory.py: its memory is read behind a lock of its own."""


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back soon to a device that is still there; ask the ring for a value more often."""
    monkeypatch.setattr(dialogue, "REST_S", 0.1)
    monkeypatch.setattr(ble_device, "REST_S", 0.05)
    monkeypatch.setattr(session, "TICK_S", 0.1)
    monkeypatch.setattr(viatom_o2, "_ASK_EVERY_MS", 200)
    monkeypatch.setitem(ble_device._FIRST_S, Trouble.LOST, 0.05)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_not_paired_then_bonded_cut_and_repaired(
    case: Case, bluez: FakeBluez, tmp_path: Path
) -> None:
    bedside = case.bedside()
    device = bedside.device
    bluez.add(device)
    bedside.measure()
    settings = DeviceSettings(identity=device.identity_text, profile="device")

    async with running_gateway(tmp_path, {"device": case.load(bond=False)}, settings) as run:
        await wait_until(lambda: run.state() == "not-paired")
    assert not stored(run.outbox), "a device that wants a bond says nothing without one"
    assert not run.outbox.waveforms()

    device.faults.drop_after.append(bedside.drop_after)
    device.faults.acknowledge_last = False
    async with running_gateway(tmp_path, {"device": case.load(bond=True)}, settings) as run:
        await wait_until(lambda: bedside.is_stored(run.outbox), what="all of it is stored once")
        links = run.runner.board.devices()[0].counts.links
        assert links >= 2, "the first link broke in the middle"

        bluez.reset(device)
        bedside.measure()
        if device.link is not None:
            await device.link.hang_up()
        await wait_until(lambda: run.state() == "bond-lost")
        before = len(run.outbox.records)
        await run.runner.repair(settings.identity)
        await wait_until(lambda: bedside.is_stored(run.outbox), what="the rest is stored once")
        assert len(run.outbox.records) > before
        counts = run.runner.board.devices()[0].counts
        assert (counts.lost, counts.restarts) == (0, 0)


def test_the_table_has_every_service_of_a_profile() -> None:
    found = {}
    for file in (ROOT / "firmware-configs").glob("*.toml"):
        profile = tomllib.loads(file.read_text(encoding="utf-8"))
        ble = profile.get("transport", {}).get("ble", {})
        if ble.get("indicate") or ble.get("notify"):
            found[profile["match"]["ble"]["service"].upper().replace("0X", "0x")] = file.name
    assert set(found) - {OMRON} == {case.service for case in CASES}
