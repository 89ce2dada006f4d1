"""A ring through the fake BlueZ: its live values as a stream, its files as records of their own."""

from datetime import timedelta
from pathlib import Path

import pytest

from support.ring import values_of
from support.running_gateway import running_gateway
from support.stored_devices import values
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import viatom_o2
from wardlight_edge.profiles import load_file
from wardlight_lab.bluez import FakeBluez, Pairing
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.o2_ring import O2Ring
from wardlight_shared.model import Flag
from wardlight_shared.records import Lane, TimeMethod

pytestmark = pytest.mark.dbus

PROFILES = {"ring": load_file(ROOT / "firmware-configs" / "viatom-o2ring.toml")}
SKEW = timedelta(minutes=42)


@pytest.fixture(autouse=True)
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for live values five times a second."""
    monkeypatch.setattr(viatom_o2, "_ASK_EVERY_MS", 200)


@pytest.fixture
async def ring(bluez: FakeBluez) -> O2Ring:
    """A ring that lies on the table."""
    equipment = Equipment(pairing=Pairing.NONE, advertising_interval_s=0.05)
    made = O2Ring("patient", equipment=equipment)
    bluez.add(made)
    return made


def settings(ring: O2Ring) -> DeviceSettings:
    return DeviceSettings(identity=ring.identity_text, profile="ring")


async def test_a_file_over_a_link_that_ends(ring: O2Ring, tmp_path: Path) -> None:
    """Cut in the second block; each record once, dated by the ring's own clock, which is fast."""
    ring.clock.skew = SKEW
    stored = values_of(300)
    begun = (ring.clock.now() - timedelta(hours=8)).replace(microsecond=0)
    ring.memory.record(begun, stored)
    ring.faults.drop_after.append(60)
    async with running_gateway(tmp_path, PROFILES, settings(ring)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 300, deadline_s=60)
        await wait_until(lambda: run.outbox.statuses("memory"))
    assert not ring.faults.drop_after, "the link was cut"
    found = values(run.outbox)
    spo2 = [int(number) for metric, number in found if metric == "spo2"]
    pulse = [int(number) for metric, number in found if metric == "pulse_rate_oximeter"]
    assert list(zip(spo2, pulse, strict=True)) == stored
    first = run.outbox.events()[0]
    assert first.flags is not None
    assert first.flags[0] & Flag.FROM_STORAGE
    assert first.method is TimeMethod.DEVICE_CLOCK
    assert abs(first.age_ms - 8 * 3_600_000) < 60_000
    lanes = {record.lane for record in run.outbox.records if record.event_id is not None}
    assert lanes == {Lane.BACKFILL, Lane.ALARM}, "old ones wait; a pulse over 130 does not"
    assert len(ring.memory.files) == 1


async def test_while_it_is_worn_its_live_values_are_a_stream(ring: O2Ring, tmp_path: Path) -> None:
    ring.memory.worn = (97, 61)
    ring.memory.record(ring.clock.now() - timedelta(days=1), values_of(20))
    async with running_gateway(tmp_path, PROFILES, settings(ring)) as run:
        await wait_until(lambda: run.outbox.blocks())
        assert not run.outbox.events()
        ring.memory.worn = None
        await wait_until(lambda: len(run.outbox.events()) == 20)
