"""Unmodified bleak and bleak-retry-connector connect through the fake, and lose links."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError
from bleak_retry_connector import BleakNotFoundError, establish_connection

from support.waiting import wait_until
from wardlight_lab.bluez import (
    Characteristic,
    FakeBluez,
    Link,
    Operation,
    Pairing,
    Peripheral,
    ReplyError,
    Service,
    Timing,
    uuid16,
)
from wardlight_lab.devices import Equipment, PatientVitals, PulseOximeter

pytestmark = pytest.mark.dbus

MODEL = uuid16(0x2A24)
BATTERY = uuid16(0x2A19)
CURRENT_TIME = uuid16(0x2A2B)
CONTINUOUS = uuid16(0x2A5F)

Find = Callable[..., Awaitable[BLEDevice]]


def oximeter(*, pairing: Pairing = Pairing.NONE) -> PulseOximeter:
    return PulseOximeter("p", PatientVitals("p"), equipment=Equipment(pairing=pairing))


class HangsUp(Peripheral):
    """Sends one value to whoever subscribes, then ends the link, as a cuff does."""

    def __init__(self) -> None:
        characteristic = Characteristic(CONTINUOUS, ("notify",))
        services = [Service(uuid16(0x1822), (characteristic,))]
        super().__init__("C0:00:00:00:00:09", "hangs up", services)
        self.start_advertising()

    async def on_subscribed(self, link: Link, uuid: str) -> None:
        await link.notify(uuid, b"\x01")
        await link.hang_up()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 # Path.iterdir opens one itself, later


def _set(event: asyncio.Event, _: BleakClient) -> None:
    event.set()


async def test_services_are_found_and_read(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    bluez.add(device)
    async with BleakClient(await find(device.address), bluez={"adapter": "hci0"}) as client:
        found = {service.uuid for service in client.services}
        assert found == {uuid16(each) for each in (0x1822, 0x180A, 0x180F, 0x1805)}
        assert bytes(await client.read_gatt_char(MODEL)) == b"3230"
        assert bytes(await client.read_gatt_char(BATTERY)) == bytes([device.battery])
        characteristic = client.services.get_characteristic(CONTINUOUS)
        assert characteristic is not None
        assert characteristic.properties == ["notify"]
        assert [each.uuid[4:8] for each in characteristic.descriptors] == ["2902"]
        assert device.link is not None
    assert device.link is None
    assert client.is_connected is False


async def test_the_clock_is_read_and_set(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    bluez.add(device)
    async with BleakClient(await find(device.address)) as client:
        await client.write_gatt_char(
            CURRENT_TIME, bytes.fromhex("cf070c1f173b3a05" + "0001"), response=True
        )
        assert bytes(await client.read_gatt_char(CURRENT_TIME))[:4] == bytes.fromhex("cf070c1f")
        with pytest.raises(BleakError, match="0x80"):
            await client.write_gatt_char(CURRENT_TIME, bytes(10), response=True)


async def test_a_link_that_fails_to_come_up_is_tried_again_by_bleak(
    bluez: FakeBluez, find: Find
) -> None:
    device = oximeter()
    device.faults.fail_connects = 3
    bluez.add(device)
    async with BleakClient(await find(device.address)) as client:
        assert client.is_connected
    assert device.faults.fail_connects == 0


async def test_other_connect_errors_reach_the_caller(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    device.faults.fail_connects = 1
    device.faults.connect_error = ReplyError("InProgress", "In Progress")
    bluez.add(device)
    found = await find(device.address)
    with pytest.raises(BleakDBusError, match="InProgress"):
        await BleakClient(found).connect()
    async with BleakClient(found) as client:
        assert client.is_connected


async def test_establish_connection_gets_through(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    device.faults.fail_connects = 2
    device.faults.connect_error = ReplyError("Failed", "le-connection-concurrent-connection-limit")
    bluez.add(device)
    client = await establish_connection(
        BleakClient, await find(device.address), device.name, max_attempts=3
    )
    try:
        assert bytes(await client.read_gatt_char(MODEL)) == b"3230"
    finally:
        await client.disconnect()


async def test_establish_connection_gives_up_on_a_device_that_was_removed(
    bluez: FakeBluez, find: Find
) -> None:
    device = oximeter()
    bluez.add(device)
    found = await find(device.address)
    await bluez.remove(device)
    await wait_until(lambda: bluez.device(device.address) is None)
    with pytest.raises((BleakNotFoundError, BleakError)):
        await establish_connection(BleakClient, found, device.name, max_attempts=1)
    with pytest.raises((BleakDeviceNotFoundError, BleakError)):
        await BleakClient(found).connect()


@pytest.mark.parametrize("operation", [Operation.CONNECT, Operation.RESOLVE])
async def test_a_connect_that_hangs_ends_with_the_callers_timeout(
    bluez: FakeBluez, find: Find, operation: Operation
) -> None:
    device = oximeter()
    device.faults.hang.add(operation)
    bluez.add(device)
    found = await find(device.address)
    with pytest.raises(TimeoutError):
        await BleakClient(found, timeout=0.3).connect()
    device.faults.hang.clear()
    async with BleakClient(found) as client:
        assert client.is_connected


async def test_a_single_radio_cannot_connect_while_it_scans(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    bluez.add(device)
    found = await find(device.address)
    bluez.adapter("hci0").faults.connect_while_scanning = ReplyError("InProgress", "In Progress")
    async with BleakScanner(bluez={"adapter": "hci0"}):
        with pytest.raises(BleakDBusError, match="InProgress"):
            await BleakClient(found).connect()
    async with BleakClient(found) as client:
        assert client.is_connected


async def test_a_device_out_of_range_is_connected_when_it_returns(
    bluez: FakeBluez, find: Find
) -> None:
    device = oximeter()
    bluez.add(device)
    found = await find(device.address)
    device.in_range = False
    client = BleakClient(found)
    connecting = asyncio.create_task(client.connect())
    await asyncio.sleep(0.05)
    assert not connecting.done()
    device.in_range = True
    await connecting
    await client.disconnect()


async def test_disconnecting_takes_as_long_as_in_bluetoothd(
    peer: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, find: Find
) -> None:
    peer("dbus-daemon")
    async with FakeBluez(timing=Timing(disconnect=0.4)) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        device = oximeter()
        fake.add(device)
        client = BleakClient(await find(device.address))
        await client.connect()
        before = asyncio.get_running_loop().time()
        await client.disconnect()
        assert asyncio.get_running_loop().time() - before >= 0.4


async def test_the_peer_hangs_up_200_times_and_no_descriptor_is_left_open(
    bluez: FakeBluez, find: Find
) -> None:
    device = HangsUp()
    bluez.add(device)
    found = await find(device.address)
    received: list[bytes] = []
    after_first = 0
    for _ in range(200):
        gone = asyncio.Event()
        async with BleakClient(found, partial(_set, gone)) as client:
            await client.start_notify(CONTINUOUS, lambda _, value: received.append(bytes(value)))
            await asyncio.wait_for(gone.wait(), 180)
        after_first = after_first or open_files()
    assert received == [b"\x01"] * 200
    assert open_files() <= after_first


async def test_a_drop_without_disconnect_leaks_as_it_does_in_bleak(
    bluez: FakeBluez, find: Find
) -> None:
    """The trap of hbldh/bleak that the gateway must not fall into; the fake has to show it."""
    device = oximeter()
    bluez.add(device)
    found = await find(device.address)
    clients = []
    before = open_files()
    for _ in range(5):
        gone = asyncio.Event()
        client = BleakClient(found, partial(_set, gone))
        await client.connect()
        assert device.link is not None
        await device.link.hang_up()
        await gone.wait()
        clients.append(client)
    assert open_files() >= before + 5
    for client in clients:
        await client.disconnect()
    assert open_files() <= before + 1


async def test_one_device_has_one_link_whatever_the_adapter(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    bluez.add(device)
    first, second = await find(device.address, "hci0"), await find(device.address, "hci1")
    async with BleakClient(first, bluez={"adapter": "hci0"}):
        with pytest.raises(TimeoutError):
            await BleakClient(second, timeout=0.3, bluez={"adapter": "hci1"}).connect()
    async with BleakClient(second, bluez={"adapter": "hci1"}) as client:
        assert client.is_connected


async def test_losing_power_ends_the_links(bluez: FakeBluez, find: Find) -> None:
    device = oximeter()
    bluez.add(device)
    gone = asyncio.Event()
    async with BleakClient(await find(device.address), lambda _: gone.set()) as client:
        await bluez.adapter("hci0").set_powered(False)
        await asyncio.wait_for(gone.wait(), 180)
        assert not client.is_connected
    await bluez.adapter("hci0").set_powered(True)
