"""An Omron cuff through the fake BlueZ: bonded, unlocked, read, left as it was."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.running_gateway import running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import _omron_memory
from wardlight_edge.profiles import load_file
from wardlight_edge.sessions import dialogue
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.omron_cuff import OmronCuff
from wardlight_lab.devices.omron_memory import HEM_7322T, CuffMemory
from wardlight_shared.records import TimeMethod

pytestmark = pytest.mark.dbus

PROFILES = {"omron": load_file(ROOT / "firmware-configs" / "omron-hem-7322t.toml")}
SKEW = timedelta(hours=2, minutes=7)


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Come back at once to a device that is still there."""
    monkeypatch.setattr(dialogue, "REST_S", 0.1)
    yield


@pytest.fixture
async def cuff(bluez: FakeBluez) -> OmronCuff:
    """A cuff whose display blinks -P-, with two users."""
    memory = CuffMemory(HEM_7322T, is_pairing=True)
    made = OmronCuff("patient", memory, equipment=Equipment(advertising_interval_s=0.05))
    bluez.add(made)
    return made


def fill(cuff: OmronCuff, count: int, since: datetime) -> None:
    for place in range(count):
        cuff.measure(place % 2, since + timedelta(minutes=7 * place), 100 + place)


def settings(cuff: OmronCuff) -> DeviceSettings:
    return DeviceSettings(identity=cuff.identity_text, profile="omron")


async def test_the_memory_of_two_users_over_a_link_that_ends(
    cuff: OmronCuff, tmp_path: Path
) -> None:
    """Cut after nine replies of up to four pieces; every record once, the rest not read again."""
    fill(cuff, 40, cuff.clock.now() - timedelta(days=3))
    cuff.faults.drop_after.append(2 + 2 + 1 + 2 + 9 * 4)
    async with running_gateway(tmp_path, PROFILES, settings(cuff)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 40)
        await wait_until(lambda: run.outbox.statuses("memory"))
    assert not cuff.faults.drop_after, "the link was cut"
    events = run.outbox.events()
    pressures = sorted(event.mantissas[0] for event in events)
    assert pressures == list(range(100, 140))
    users = [run.outbox.key(event.series[0]).user for event in events]
    assert (users.count(1), users.count(2)) == (20, 20)
    assert run.outbox.statuses("memory")[-1].data == {"state": "ok", "reason": None}
    assert not cuff.memory.written
    slots = [read for read in cuff.memory.reads if read[0] >= HEM_7322T.users[0]]
    assert len(slots) <= 50 + 2, "the slots before the cut are not read again"


async def test_records_are_dated_by_the_clock_in_the_memory(
    cuff: OmronCuff, tmp_path: Path
) -> None:
    """Its clock is two hours fast; the record is as old as its own clock says."""
    cuff.clock.skew = SKEW
    cuff.measure(0, cuff.clock.now() - timedelta(hours=5))
    async with running_gateway(tmp_path, PROFILES, settings(cuff)) as run:
        await wait_until(lambda: run.outbox.events())
    event = run.outbox.events()[0]
    assert event.method is TimeMethod.DEVICE_CLOCK
    assert abs(event.age_ms - 5 * 3_600_000) < 60_000


async def test_a_restarted_gateway_unlocks_it_with_the_key_it_kept(
    cuff: OmronCuff, tmp_path: Path
) -> None:
    fill(cuff, 3, cuff.clock.now() - timedelta(days=1))
    async with running_gateway(tmp_path, PROFILES, settings(cuff)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"))
        await wait_until(lambda: cuff.link is None)
    assert not cuff.memory.is_pairing
    cuff.measure(1, cuff.clock.now(), 177)
    async with running_gateway(tmp_path, PROFILES, settings(cuff)) as again:
        await wait_until(lambda: again.outbox.events())
        await wait_until(lambda: again.outbox.statuses("memory"))
    assert [event.mantissas[0] for event in again.outbox.events()] == [177]


async def test_a_cuff_that_was_not_let_in_says_what_to_do(
    cuff: OmronCuff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read until a person holds the button of the cuff."""
    monkeypatch.setattr(_omron_memory, "MOST_ASKS_FOR_KEY", 2)
    cuff.memory.is_pairing = False
    fill(cuff, 2, cuff.clock.now())
    async with running_gateway(tmp_path, PROFILES, settings(cuff)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"), deadline_s=60)
        assert "-P-" in str(run.outbox.statuses("memory")[0].data)
        assert not run.outbox.events()
        assert not cuff.memory.reads
        cuff.memory.is_pairing = True
        await wait_until(lambda: len(run.outbox.events()) == 2, deadline_s=60)
