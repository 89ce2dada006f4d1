"""A glucose sensor and an oximeter with a memory: bonded links through the fake BlueZ."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.running_gateway import running_gateway
from support.stored_devices import (
    CGM,
    OXIMETER,
    numbers,
    oximeter,
    sensor,
    values,
)
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions import dialogue
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.record_access import ALL, FROM, Access
from wardlight_shared.model import Flag
from wardlight_shared.records import Lane, TimeMethod

pytestmark = pytest.mark.dbus


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once to a device that is still there."""
    monkeypatch.setattr(dialogue, "REST_S", 0.1)


def settings_of(identity: str, profile: str) -> DeviceSettings:
    return DeviceSettings(identity=identity, profile=profile)


def minutes(count: int) -> list[int]:
    return [5 * place for place in range(1, count + 1)]


@pytest.mark.parametrize("is_checked", [True, False], ids=["with CRC", "without"])
async def test_forty_records_with_a_link_that_ends_in_the_middle_and_live_ones(
    bluez: FakeBluez, tmp_path: Path, is_checked: bool
) -> None:
    started = datetime.now(UTC) - timedelta(minutes=5 * 42)
    device = sensor(started, is_checked=is_checked)
    for _ in range(40):
        device.measure()
    # the interval, the count, and 5 notifications of 3 records
    device.faults.drop_after.append(2 + 5)
    bluez.add(device)
    profiles = {"cgm": CGM}
    async with running_gateway(tmp_path, profiles, settings_of(device.identity_text, "cgm")) as run:
        device.start_advertising()
        await wait_until(lambda: len(run.outbox.events()) == 40)
        await wait_until(lambda: run.outbox.statuses("memory"))
        assert device.link is not None, "it stays for what comes"
        device.measure(warning=0x04)
        await wait_until(lambda: len(run.outbox.events()) == 41)
    assert sorted(numbers(run.outbox)) == minutes(41)
    sent = {str(entry) for entry in (80 + minute * 7 % 160 for minute in minutes(41))}
    assert {str(value) for _, value in values(run.outbox)} == sent
    live = run.outbox.events()[-1]
    assert live.flags is not None
    assert live.flags[0] & Flag.DEVICE_ALARM
    assert run.outbox.records[-1].lane is Lane.ALARM
    assert live.method is TimeMethod.DEVICE_ASSUMED
    assert live.offset_min == 0
    assert abs(live.age_ms - 5 * 60_000) < 60_000
    assert {operation[0] for operation in device.operations} == {0x02}


async def test_a_gateway_that_was_away_asks_for_what_it_missed(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    device = sensor(datetime.now(UTC) - timedelta(hours=2))
    for _ in range(4):
        device.measure()
    bluez.add(device)
    profiles, settings = {"cgm": CGM}, settings_of(device.identity_text, "cgm")
    async with running_gateway(tmp_path, profiles, settings) as run:
        device.start_advertising()
        await wait_until(lambda: run.outbox.statuses("memory"))
        device.measure()
        await wait_until(lambda: len(run.outbox.events()) == 5)
    await wait_until(lambda: device.link is None)
    device.requests.clear()
    for _ in range(3):
        device.measure()
    async with running_gateway(tmp_path, profiles, settings) as again:
        await wait_until(lambda: len(again.outbox.events()) == 3)
    assert numbers(again.outbox) == [30, 35, 40]
    assert device.requests[0] == bytes([4, FROM, 1, 25, 0])


async def test_a_new_sensor_begins_anew(bluez: FakeBluez, tmp_path: Path) -> None:
    """Its minutes are those of another session: nothing of it is taken for known."""
    device = sensor(datetime.now(UTC) - timedelta(days=14))
    for _ in range(6):
        device.measure()
    bluez.add(device)
    settings = settings_of(device.identity_text, "cgm")
    async with running_gateway(tmp_path, {"cgm": CGM}, settings) as run:
        device.start_advertising()
        await wait_until(lambda: run.outbox.statuses("memory"))
        assert device.link is not None
        device.new_session(datetime.now(UTC) - timedelta(hours=1))
        await device.link.hang_up()
        for _ in range(3):
            device.measure()
        await wait_until(lambda: len(run.outbox.events()) == 9)
    assert numbers(run.outbox) == [*minutes(6), *minutes(3)]


async def test_a_session_that_nobody_has_dated(bluez: FakeBluez, tmp_path: Path) -> None:
    """The device's own minutes say how old a record is; no honest bound is claimed."""
    device = sensor(None)
    for _ in range(3):
        device.measure()
    bluez.add(device)
    settings = settings_of(device.identity_text, "cgm")
    async with running_gateway(tmp_path, {"cgm": CGM}, settings) as run:
        device.start_advertising()
        await wait_until(lambda: len(run.outbox.events()) == 3)
    assert [event.age_ms // 60_000 for event in run.outbox.events()] == [10, 5, 0]
    assert all(event.error_ms is None for event in run.outbox.events())


async def test_thirty_spot_checks_without_numbers(bluez: FakeBluez, tmp_path: Path) -> None:
    """All are asked for each time; what is known is known by its fingerprint."""
    device = oximeter(Access(operators=frozenset({ALL}), lost={7}))
    for place in range(30):
        device.measure(datetime(2026, 11, 1, 8, tzinfo=UTC) + timedelta(hours=6 * place))
    device.faults.drop_after.append(1 + 11)
    bluez.add(device)
    settings = settings_of(device.identity_text, "plx")
    async with running_gateway(tmp_path, {"plx": OXIMETER}, settings) as run:
        device.start_advertising()
        await wait_until(lambda: len(run.outbox.events()) == 30)
        await wait_until(lambda: run.outbox.statuses("memory"))
        await wait_until(lambda: device.link is None)
    device.measure(datetime(2026, 11, 20, 8, tzinfo=UTC))
    async with running_gateway(tmp_path, {"plx": OXIMETER}, settings) as again:
        await wait_until(lambda: again.outbox.statuses("memory"))
    assert len(again.outbox.events()) == 1


async def test_a_spot_check_shown_at_once_is_not_stored_twice(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    device = oximeter()
    record = device.measure()
    bluez.add(device)
    settings = settings_of(device.identity_text, "plx")
    async with running_gateway(tmp_path, {"plx": OXIMETER}, settings) as run:
        device.start_advertising()
        await wait_until(lambda: device.link is not None and device.requests)
        assert device.link is not None
        await device.show(device.link, record)
        await wait_until(lambda: run.outbox.statuses("memory"))
    assert len(run.outbox.events()) == 1
