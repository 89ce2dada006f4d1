"""Devices that are asked for their records: bonded links through the fake BlueZ."""

from pathlib import Path

import pytest

from support.running_gateway import running_gateway
from support.stored_devices import (
    CONTOUR,
    GLUCOSE,
    fill,
    meter,
    numbers,
    sent,
    values,
)
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions import dialogue
from wardlight_lab.bluez import FakeBluez, Operation, Pairing
from wardlight_lab.devices.glucose_meter import GlucoseMeter
from wardlight_lab.devices.record_access import ALL, FROM, RACP, Access
from wardlight_shared.model import Flag
from wardlight_shared.profile import Profile
from wardlight_shared.records import Lane, TimeMethod

pytestmark = pytest.mark.dbus

COUNT_ALL, REPORT_ALL = bytes([4, ALL]), bytes([1, ALL])


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once to a device that is still there."""
    monkeypatch.setattr(dialogue, "REST_S", 0.1)


def report_from(number: int) -> bytes:
    return bytes([1, FROM, 1]) + number.to_bytes(2, "little")


def count_from(number: int) -> bytes:
    return bytes([4, FROM, 1]) + number.to_bytes(2, "little")


def settings_of(device: GlucoseMeter, profile: str = "glucose") -> DeviceSettings:
    return DeviceSettings(identity=device.identity_text, profile=profile)


async def test_thirty_records_over_a_link_that_ends_after_twelve(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    """Bonded; the records before the cut are not asked for again, and none is there twice."""
    device = meter()
    bluez.add(device)
    device.faults.drop_after.append(1 + 12)  # the count's indication, then notifications
    fill(device, 30)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 30)
        await wait_until(lambda: run.outbox.statuses("memory"))
    assert sorted(numbers(run.outbox)) == list(range(1, 31))
    assert sorted(value for _, value in values(run.outbox)) == sorted(sent(device))
    cut = device.requests.index(REPORT_ALL)
    assert device.requests[:2] == [COUNT_ALL, REPORT_ALL]
    resumed = device.requests[cut + 2]
    assert resumed[:3] == bytes([1, FROM, 1])
    assert 7 <= int.from_bytes(resumed[3:], "little") <= 12
    assert run.outbox.statuses("memory")[-1].data == {"state": "ok", "reason": None}
    assert device.link is None, "it hangs up when it is done"
    bonded = bluez.device(device.address)
    assert bonded is not None


async def test_the_last_records_before_a_cut_vanish_and_come_again(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    """What the radio has sent last the gateway never sees: it was not told "received"."""
    device = meter()
    bluez.add(device)
    device.faults.drop_after.append(1 + 14)
    device.faults.lose_last = 4
    fill(device, 30)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 30)
    assert sorted(numbers(run.outbox)) == list(range(1, 31))


async def test_a_lost_record_is_found_by_the_count(bluez: FakeBluez, tmp_path: Path) -> None:
    device = meter(Access(lost={4, 9}))
    bluez.add(device)
    fill(device, 12)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 12)
    assert device.requests.count(REPORT_ALL) == 2


async def test_a_restarted_gateway_asks_from_its_bookmark(bluez: FakeBluez, tmp_path: Path) -> None:
    device = meter()
    bluez.add(device)
    fill(device, 5)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"))
        await wait_until(lambda: device.link is None)
    kept = list((tmp_path / "bookmarks").iterdir())
    assert [file.stat().st_mode & 0o777 for file in kept] == [0o600]
    device.requests.clear()
    fill(device, 2)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as again:
        await wait_until(lambda: len(again.outbox.events()) == 2)
    assert numbers(again.outbox) == [6, 7]
    assert device.requests[:2] == [count_from(5), report_from(5)]


async def test_a_cleared_memory_loses_nothing(bluez: FakeBluez, tmp_path: Path) -> None:
    """Its numbers begin at 1 again, below the bookmark."""
    device = meter()
    bluez.add(device)
    fill(device, 5)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"))
        device.clear()
        fill(device, 2)
        await wait_until(lambda: len(run.outbox.events()) == 7)
    assert numbers(run.outbox) == [1, 2, 3, 4, 5, 1, 2]


async def test_meals_control_solution_and_time(bluez: FakeBluez, tmp_path: Path) -> None:
    """Contexts are joined, a control solution is marked, time is base time and offset."""
    device = meter()
    bluez.add(device)
    now = device.clock.now().replace(microsecond=0)
    device.measure(now, meal="fasting", offset_min=-90)
    device.measure(now, meal="after-meal")
    device.measure(now, is_control=True)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 3)
    metrics = [metric for metric, _ in values(run.outbox)]
    assert metrics[:2] == ["glucose_fasting_capillary", "glucose_capillary_whole_blood"]
    first, second, third = run.outbox.events()
    assert first.context == [("meal", "fasting")]
    assert second.context == [("meal", "after-meal")]
    assert third.flags is not None
    assert third.flags[0] & Flag.TEST
    assert first.method is TimeMethod.DEVICE_CLOCK
    assert abs(first.age_ms) < 60_000


async def test_old_records_do_not_delay_new_ones(bluez: FakeBluez, tmp_path: Path) -> None:
    device = meter()
    bluez.add(device)
    fill(device, 3)
    device.measure()
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 4)
    lanes = [record.lane for record in run.outbox.records if record.event_id is not None]
    assert lanes == [Lane.BACKFILL] * 3 + [Lane.LIVE]


@pytest.mark.parametrize(
    ("profile", "access"),
    [
        (CONTOUR, Access(operators=frozenset({FROM}))),
        (GLUCOSE, Access(operators=frozenset({FROM}))),
        (GLUCOSE, Access(operators=frozenset({ALL}))),
        (GLUCOSE, Access(counts=False)),
        (GLUCOSE, Access(busy=2)),
    ],
    ids=["from only, by profile", "from only", "all only", "no count", "busy"],
)
async def test_what_a_control_point_does_not_know(
    bluez: FakeBluez, tmp_path: Path, profile: Profile, access: Access
) -> None:
    device = meter(access)
    bluez.add(device)
    fill(device, 6)
    async with running_gateway(tmp_path, {"glucose": profile}, settings_of(device)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"))
        fill(device, 1)
        await wait_until(lambda: len(run.outbox.events()) == 7)
    assert numbers(run.outbox) == [1, 2, 3, 4, 5, 6, 7]
    assert run.outbox.statuses("memory")[-1].data["state"] == "ok"


async def test_a_full_gateway_leaves_the_records_on_the_device(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    """Nothing is bookmarked that was refused; when there is room, everything comes."""
    device = meter(Access(every=0.02))
    bluez.add(device)
    fill(device, 20)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: len(run.outbox.events()) >= 3)
        run.outbox.is_full = True
        await wait_until(lambda: run.state() == "outbox-full")
        taken = len(run.outbox.events())
        assert taken < 20
        assert not (tmp_path / "bookmarks").exists()
        run.outbox.is_full = False
        await wait_until(lambda: len(run.outbox.events()) == 20)
    assert sorted(numbers(run.outbox)) == list(range(1, 21))


async def test_not_paired_and_repair(bluez: FakeBluez, tmp_path: Path) -> None:
    """The meter loses its key; nobody but an operator makes a new bond; nothing is missed."""
    device = meter()
    bluez.add(device)
    fill(device, 2)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"))
        await wait_until(lambda: run.state() == "waiting")
        bluez.reset(device)
        fill(device, 2)
        await wait_until(lambda: run.state() == "bond-lost")
        assert len(run.outbox.events()) == 2
        await run.runner.repair(device.identity_text)
        await wait_until(lambda: len(run.outbox.events()) == 4)
    assert numbers(run.outbox) == [1, 2, 3, 4]


async def test_a_meter_that_wants_a_passkey_without_anybody_to_ask(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    device = meter(pairing=Pairing.PASSKEY_ENTRY, passkey=123456)
    bluez.add(device)
    fill(device, 1)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: run.state() == "not-paired")
    assert device.requests == []
    assert not run.outbox.events()


async def test_a_refused_control_point_is_told(bluez: FakeBluez, tmp_path: Path) -> None:
    device = meter()
    bluez.add(device)
    device.faults.fail_gatt(RACP, Operation.WRITE, 0xFD)
    fill(device, 1)
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, settings_of(device)) as run:
        await wait_until(lambda: run.outbox.statuses("memory"))
        first = run.outbox.statuses("memory")[0].data
        assert first["state"] == "incomplete"
        assert "switched on" in str(first["reason"])
        await wait_until(
            lambda: "switched on" in str(run.runner.board.devices()[0].last_error),
            what="it is shown beside the state",
        )
        await wait_until(lambda: len(run.outbox.events()) == 1)
        await wait_until(lambda: run.outbox.statuses("memory")[-1].data["state"] == "ok")


async def test_another_device_is_not_asked(bluez: FakeBluez, tmp_path: Path) -> None:
    """Its serial number is not the one of the settings: its records stay where they are."""
    device = meter()
    bluez.add(device)
    fill(device, 1)
    bound = DeviceSettings(identity=device.identity_text, profile="glucose", serial_number="other")
    async with running_gateway(tmp_path, {"glucose": GLUCOSE}, bound) as run:
        await wait_until(lambda: run.state() == "wrong-device")
    assert device.requests == []
    assert not run.outbox.events()
