"""Measurements on their way from an emulated device to a bleak client, and what gets lost."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.exc import BleakError, BleakGATTProtocolError

from support.waiting import wait_until
from wardlight_lab.bluez import FakeBluez, Operation, Pairing, uuid16
from wardlight_lab.devices import (
    Beats,
    BloodPressureCuff,
    DeviceClock,
    Equipment,
    Habit,
    HeartRateStrap,
    PatientVitals,
    PulseOximeter,
    SpotPulseOximeter,
    Thermometer,
    WeightScale,
)
from wardlight_lab.devices.stored_records import StoredRecordDevice

pytestmark = pytest.mark.dbus

BATTERY = uuid16(0x2A19)
CURRENT_TIME = uuid16(0x2A2B)
AT = datetime(2026, 3, 9, 7, 5, tzinfo=UTC)

Find = Callable[..., Awaitable[BLEDevice]]
RegisterAgent = Callable[..., Awaitable[Any]]


def cuff(*, pairing: Pairing = Pairing.NONE, waits_for_cccd: bool = True) -> BloodPressureCuff:
    habit = Habit(advertise=60, linger=0.02, waits_for_cccd=waits_for_cccd)
    return BloodPressureCuff(
        "p", PatientVitals("p"), equipment=Equipment(pairing=pairing), habit=habit
    )


class Session:
    """One link as a gateway makes it: subscribe at once, take what comes, until the end."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.ended = asyncio.Event()

    @asynccontextmanager
    async def open(self, found: BLEDevice, uuid: str) -> AsyncIterator[BleakClient]:
        async with BleakClient(found, lambda _: self.ended.set()) as client:
            await client.start_notify(uuid, lambda _, value: self.received.append(value.hex()))
            yield client

    async def run(self, found: BLEDevice, uuid: str) -> list[str]:
        async with self.open(found, uuid):
            await asyncio.wait_for(self.ended.wait(), 180)
        return self.received


def payloads(device: StoredRecordDevice) -> list[str]:
    return [entry.payload for entry in device.ledger]


@pytest.mark.parametrize("kind", [BloodPressureCuff, Thermometer, WeightScale, SpotPulseOximeter])
async def test_stored_records_arrive_in_order_and_the_device_hangs_up(
    bluez: FakeBluez, find: Find, kind: type[BloodPressureCuff]
) -> None:
    equipment = Equipment(pairing=Pairing.NONE)
    device = kind("p", PatientVitals("p"), equipment=equipment, habit=Habit(linger=0.02))
    bluez.add(device)
    records = [device.measure(AT + timedelta(minutes=each)) for each in range(3)]
    got = await Session().run(await find(device.address), device.measurement)
    assert got == [each.payload.hex() for each in records] == payloads(device)
    assert len(device.ledger.accepted()) == 3
    assert [entry.values for entry in device.ledger] == [each.values for each in records]
    assert not device.pending
    assert not device.is_connectable


async def test_a_schedule_measures_by_itself(bluez: FakeBluez, find: Find) -> None:
    equipment = Equipment(pairing=Pairing.NONE)
    device = Thermometer(
        "p", PatientVitals("p"), equipment=equipment, habit=Habit(every=0.05, linger=0.5)
    )
    bluez.add(device)
    session = Session()
    async with session.open(await find(device.address), device.measurement):
        await wait_until(lambda: len(session.received) >= 3)


async def test_a_link_lost_after_two_of_three_brings_the_rest_on_the_next(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    await register_agent()
    device = cuff(pairing=Pairing.JUST_WORKS)
    device.faults.drop_after = deque([2])
    bluez.add(device)
    for each in range(3):
        device.measure(AT + timedelta(minutes=each))
    first = await Session().run(await find(device.address), device.measurement)
    second = await Session().run(await find(device.address), device.measurement)
    assert (len(first), len(second)) == (2, 1)
    assert first + second == payloads(device)


async def test_a_value_that_was_not_confirmed_is_sent_again(bluez: FakeBluez, find: Find) -> None:
    device = cuff()
    device.faults.drop_after = deque([1])
    device.faults.acknowledge_last = False
    bluez.add(device)
    record = device.measure(AT)
    first = await Session().run(await find(device.address), device.measurement)
    second = await Session().run(await find(device.address), device.measurement)
    assert first == second == [record.payload.hex()]
    assert [(entry.acknowledged, entry.delivered) for entry in device.ledger] == [
        (False, True),
        (True, True),
    ]


async def test_what_is_indicated_before_start_notify_is_confirmed_and_never_seen(
    bluez: FakeBluez, find: Find, register_agent: RegisterAgent
) -> None:
    """A bonded device that remembers its CCCD sends as soon as the link is encrypted."""
    await register_agent()
    device = cuff(pairing=Pairing.JUST_WORKS, waits_for_cccd=False)
    bluez.add(device)
    device.measure(AT)
    assert len(await Session().run(await find(device.address), device.measurement)) == 1
    device.measure(AT + timedelta(minutes=1))
    session = Session()
    async with BleakClient(await find(device.address), lambda _: session.ended.set()):
        await asyncio.wait_for(session.ended.wait(), 180)
    last = list(device.ledger)[-1]
    assert (last.acknowledged, last.delivered) == (True, False)
    assert not device.pending


async def test_early_values_can_be_lost_on_any_device(bluez: FakeBluez, find: Find) -> None:
    device = cuff()
    device.faults.lose_first = 2
    bluez.add(device)
    for each in range(5):
        device.measure(AT + timedelta(minutes=each))
    got = await Session().run(await find(device.address), device.measurement)
    assert got == payloads(device)[2:]
    assert len(device.ledger.accepted()) == 5


async def test_the_last_values_before_the_end_of_a_link_can_vanish(
    bluez: FakeBluez, find: Find
) -> None:
    device = cuff()
    device.habit.linger = 0.0
    device.faults.lose_last = 3
    bluez.add(device)
    for each in range(5):
        device.measure(AT + timedelta(minutes=each))
    got = await Session().run(await find(device.address), device.measurement)
    assert got == payloads(device)[:2]
    assert len(device.ledger.accepted()) == 5


async def test_held_back_values_arrive_when_the_link_stays(bluez: FakeBluez, find: Find) -> None:
    device = cuff()
    device.habit.linger = 20.0
    device.faults.lose_last = 3
    bluez.add(device)
    device.measure(AT)
    session = Session()
    async with session.open(await find(device.address), device.measurement):
        await wait_until(lambda: session.received)


async def test_a_mute_device_stays_connected_and_is_not_heard(bluez: FakeBluez, find: Find) -> None:
    device = cuff()
    device.faults.mute = True
    bluez.add(device)
    device.measure(AT)
    session = Session()
    async with session.open(await find(device.address), device.measurement) as client:
        assert bytes(await client.read_gatt_char(BATTERY)) == bytes([device.battery])
        assert session.received == []
        assert client.is_connected
    assert device.pending


@pytest.mark.parametrize("code", [0x80, 0x81, 0xFD, 0x0E])
async def test_att_errors_arrive_with_their_code(bluez: FakeBluez, find: Find, code: int) -> None:
    device = cuff()
    bluez.add(device)
    device.start_advertising()
    device.faults.fail_gatt(CURRENT_TIME, Operation.WRITE, code)
    device.faults.fail_gatt(device.measurement, Operation.START_NOTIFY, code)
    async with BleakClient(await find(device.address)) as client:
        with pytest.raises(BleakGATTProtocolError) as refused:
            await client.write_gatt_char(CURRENT_TIME, bytes(10), response=True)
        assert refused.value.args[0] == code
        with pytest.raises(BleakGATTProtocolError) as refused:
            await client.start_notify(device.measurement, lambda _, __: None)
        assert refused.value.args[0] == code
        await client.start_notify(device.measurement, lambda _, __: None)


async def test_what_cannot_be_read_or_written_is_refused(bluez: FakeBluez, find: Find) -> None:
    device = cuff()
    bluez.add(device)
    device.start_advertising()
    async with BleakClient(await find(device.address)) as client:
        with pytest.raises(BleakGATTProtocolError):
            await client.read_gatt_char(device.measurement)
        with pytest.raises(BleakError):
            await client.write_gatt_char(BATTERY, b"\x01", response=True)


async def test_a_read_of_a_notifying_characteristic_arrives_twice(
    bluez: FakeBluez, find: Find
) -> None:
    device = cuff()
    bluez.add(device)
    device.start_advertising()
    session = Session()
    async with session.open(await find(device.address), BATTERY) as client:
        value = await client.read_gatt_char(BATTERY)
        await wait_until(lambda: session.received == [value.hex()])


async def test_an_oximeter_streams_until_nobody_listens(bluez: FakeBluez, find: Find) -> None:
    device = PulseOximeter(
        "p", PatientVitals("p"), equipment=Equipment(pairing=Pairing.NONE), speed=50
    )
    bluez.add(device)
    session = Session()
    async with session.open(await find(device.address), device.measurement) as client:
        await wait_until(lambda: len(session.received) >= 5)
        device.finger_out = True
        await wait_until(lambda: session.received[-1][2:10] == "ff07ff07")
        await client.stop_notify(device.measurement)
        await wait_until(lambda: device.link and not device.link.is_subscribed(device.measurement))
        sent = len(device.ledger)
        await client.read_gatt_char(BATTERY)
        assert len(device.ledger) <= sent + 1
    assert session.received == [e.payload for e in device.ledger if e.delivered]


async def test_two_devices_stream_at_once_on_two_adapters(bluez: FakeBluez, find: Find) -> None:
    def oximeter(patient: str) -> PulseOximeter:
        equipment = Equipment(pairing=Pairing.NONE)
        return PulseOximeter(patient, PatientVitals(patient), equipment=equipment, speed=50)

    one, two = oximeter("a"), oximeter("b")
    bluez.add(one)
    bluez.add(two)
    first, second = Session(), Session()
    async with (
        first.open(await find(one.address, "hci0"), one.measurement),
        second.open(await find(two.address, "hci1"), two.measurement),
    ):
        await wait_until(lambda: len(first.received) > 5 and len(second.received) > 5)


async def test_a_strap_sends_every_beat_once_over_two_links(bluez: FakeBluez, find: Find) -> None:
    rr = tuple(700 + each for each in range(60))
    device = HeartRateStrap("p", Beats(rr, "made up"), speed=200)
    device.faults.drop_after = deque([15])
    bluez.add(device)
    first, second = Session(), Session()
    await first.run(await find(device.address), device.measurement)
    async with second.open(await find(device.address), device.measurement):
        await wait_until(lambda: _beats(first.received + second.received) == rr)


async def test_a_notify_session_ends_with_its_client(bluez: FakeBluez, find: Find) -> None:
    device = PulseOximeter(
        "p", PatientVitals("p"), equipment=Equipment(pairing=Pairing.NONE), speed=50
    )
    bluez.add(device)
    found = await find(device.address)
    first, second = Session(), Session()
    async with first.open(found, device.measurement):
        async with second.open(found, device.measurement):
            await wait_until(lambda: first.received and second.received)
        # bleak disconnects the device, not only its own session
        await asyncio.wait_for(first.ended.wait(), 180)
    assert device.link is None


def _beats(received: list[str]) -> tuple[int, ...]:
    """The RR intervals of Heart Rate Measurements with an 8-bit rate, read by hand."""
    beats: list[int] = []
    for each in received:
        raw = bytes.fromhex(each)
        beats += [int.from_bytes(raw[at : at + 2], "little") for at in range(2, len(raw), 2)]
    return tuple(beats)


async def test_a_device_hangs_up_when_nobody_wants_its_records(
    bluez: FakeBluez, find: Find
) -> None:
    device = cuff()
    device.habit.patience = 1.0  # longer than connecting takes on a busy machine
    bluez.add(device)
    device.measure(AT)
    ended = asyncio.Event()
    async with BleakClient(await find(device.address), lambda _: ended.set()):
        await asyncio.wait_for(ended.wait(), 180)
    assert device.pending
    assert device.is_connectable


async def test_a_clock_in_the_vendors_way_stands_in_the_measurement_service(
    bluez: FakeBluez, find: Find
) -> None:
    equipment = Equipment(
        clock=DeviceClock(UTC, timedelta(days=-400)),
        pairing=Pairing.NONE,
        is_clock_vendor_style=True,
    )
    device = WeightScale("p", PatientVitals("p"), equipment=equipment)
    bluez.add(device)
    device.start_advertising()
    date_time = uuid16(0x2A08)
    async with BleakClient(await find(device.address)) as client:
        assert client.services.get_service(uuid16(0x1805)) is None
        clock = client.services.get_characteristic(date_time)
        assert clock is not None
        assert clock.service_uuid == uuid16(0x181D)
        now = datetime.now(UTC)
        wall = now.year.to_bytes(2, "little") + bytes((now.month, now.day, now.hour, now.minute, 0))
        assert bytes(await client.read_gatt_char(date_time))[:4] != wall[:4]
        await client.write_gatt_char(date_time, wall, response=True)
        assert bytes(await client.read_gatt_char(date_time))[:6] == wall[:6]


async def test_local_time_information_is_the_offset_of_the_clock(
    bluez: FakeBluez, find: Find
) -> None:
    clock = DeviceClock(timezone(timedelta(hours=-3, minutes=-30)))
    device = Thermometer(
        "p", PatientVitals("p"), equipment=Equipment(clock=clock, pairing=Pairing.NONE)
    )
    bluez.add(device)
    device.start_advertising()
    async with BleakClient(await find(device.address)) as client:
        # -14 quarters of an hour, two's complement; no daylight saving
        assert bytes(await client.read_gatt_char(uuid16(0x2A0F))) == b"\xf2\x00"
