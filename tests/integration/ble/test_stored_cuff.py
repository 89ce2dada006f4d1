"""A cuff that keeps the measurements of two users: record access over bonded links."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from support.running_gateway import running_gateway
from support.stored_devices import values
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.profiles import load_file
from wardlight_edge.sessions import dialogue
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.record_access import ALL
from wardlight_lab.devices.stored_cuff import StoredCuff

pytestmark = pytest.mark.dbus

PROFILES = {"cuff": load_file(ROOT / "firmware-configs" / "generic-blood-pressure-stored.toml")}
START = datetime(2026, 10, 1, 7, tzinfo=UTC)
REPORT_ALL = bytes([1, ALL])


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "REST_S", 0.1)


def filled(bluez: FakeBluez, count: int, segment: int | None = None) -> StoredCuff:
    """In range, with the measurements of two users in turn."""
    cuff = StoredCuff("patient", equipment=Equipment(advertising_interval_s=0.05), segment=segment)
    bluez.add(cuff)
    for place in range(count):
        cuff.measure(START + timedelta(hours=8 * place), user=1 + place % 2)
    return cuff


def settings_of(cuff: StoredCuff) -> DeviceSettings:
    return DeviceSettings(identity=cuff.identity_text, profile="cuff")


@pytest.mark.parametrize("segment", [None, 15], ids=["whole", "in segments"])
async def test_thirty_records_over_a_link_that_ends_after_twelve(
    segment: int | None, bluez: FakeBluez, tmp_path: Path
) -> None:
    """Bonded; nothing is missing, nothing is there twice, each is its user's."""
    cuff = filled(bluez, 30, segment)
    cuff.faults.drop_after.append(1 + 12)
    cuff.faults.lose_last = 2
    async with running_gateway(tmp_path, PROFILES, settings_of(cuff)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 30)
        await wait_until(lambda: run.outbox.statuses("memory"))
    systolic = [value for metric, value in values(run.outbox) if metric == "systolic_bp"]
    assert sorted(systolic) == [Decimal(110 + place) for place in range(30)]
    users = [run.outbox.key(event.series[0]).user for event in run.outbox.events()]
    assert sorted(users, key=str) == [1] * 15 + [2] * 15
    assert cuff.requests.count(REPORT_ALL) >= 2
    assert run.outbox.statuses("memory")[-1].data == {"state": "ok", "reason": None}


async def test_a_restarted_gateway_takes_only_what_is_new(bluez: FakeBluez, tmp_path: Path) -> None:
    cuff = filled(bluez, 6)
    async with running_gateway(tmp_path, PROFILES, settings_of(cuff)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"))
        await wait_until(lambda: cuff.link is None)
    cuff.measure(START + timedelta(days=30), user=2)
    async with running_gateway(tmp_path, PROFILES, settings_of(cuff)) as again:
        await wait_until(lambda: again.outbox.statuses("memory"))
    assert len(run.outbox.events()) == 6
    assert len(again.outbox.events()) == 1
