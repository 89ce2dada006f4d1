"""Unmodified bleak scans on the fake."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from bleak import BleakScanner
from bleak.args.bluez import BlueZDiscoveryFilters
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakError

from support.waiting import wait_until
from wardlight_lab.bluez import (
    Advertisement,
    FakeBluez,
    Peripheral,
    ReplyError,
    Timing,
    uuid16,
)

pytestmark = pytest.mark.dbus

Condition = Callable[[], bool | Awaitable[bool]]

CUFF = "C0:00:00:00:00:01"
SCALE = "C0:00:00:00:00:02"


class Heard:
    """Counts what a scanner hears."""

    def __init__(self) -> None:
        self.seen: dict[str, list[AdvertisementData]] = {}

    def __call__(self, device: BLEDevice, data: AdvertisementData) -> None:
        self.seen.setdefault(device.address, []).append(data)

    def count(self, address: str) -> int:
        return len(self.seen.get(address, ()))


def peripheral(address: str, service: int = 0x1810, *, interval_s: float = 0.02) -> Peripheral:
    advertisement = Advertisement(
        (uuid16(service),),
        manufacturer_data={0x0069: b"\x01\x02"},
        service_data={uuid16(0xFCD2): b"\x40\x01\x61"},
        tx_power=4,
        interval_s=interval_s,
    )
    made = Peripheral(address, f"WL {address[-2:]}", [], advertisement=advertisement)
    made.start_advertising()
    return made


async def test_an_advertisement_arrives_with_all_it_says(bluez: FakeBluez) -> None:
    bluez.add(peripheral(CUFF))
    heard = Heard()
    async with BleakScanner(heard, bluez={"adapter": "hci0"}):
        await wait_until(lambda: heard.count(CUFF) >= 3)
    data = heard.seen[CUFF][-1]
    assert data.local_name == "WL 01"
    assert data.service_uuids == [uuid16(0x1810)]
    assert data.manufacturer_data == {0x0069: b"\x01\x02"}
    assert data.service_data == {uuid16(0xFCD2): b"\x40\x01\x61"}
    assert data.tx_power == 4
    assert -70 < data.rssi < -50


async def test_a_device_is_heard_from_when_it_starts_to_advertise_until_it_stops(
    bluez: FakeBluez,
) -> None:
    cuff = peripheral(CUFF)
    cuff.stop_advertising()
    bluez.add(cuff)
    bluez.add(peripheral(SCALE))
    heard = Heard()
    async with BleakScanner(heard, bluez={"adapter": "hci0"}):
        await wait_until(lambda: heard.count(SCALE) > 2)
        assert heard.count(CUFF) == 0
        cuff.start_advertising(for_s=0.1)
        await wait_until(lambda: heard.count(CUFF) > 0)
        await wait_until(lambda: not cuff.is_connectable)
        known, scale = heard.count(CUFF), heard.count(SCALE)
        await wait_until(lambda: heard.count(SCALE) > scale + 5)
        assert heard.count(CUFF) <= known + 1


async def test_each_adapter_hears_with_its_own_power(bluez: FakeBluez) -> None:
    near_second = peripheral(CUFF)
    near_second.rssi = {"hci0": -90, "hci1": -40}
    bluez.add(near_second)
    first, second = Heard(), Heard()
    async with (
        BleakScanner(first, bluez={"adapter": "hci0"}),
        BleakScanner(second, bluez={"adapter": "hci1"}),
    ):
        await wait_until(lambda: first.count(CUFF) and second.count(CUFF))
    assert first.seen[CUFF][0].rssi < -80
    assert second.seen[CUFF][0].rssi > -50


async def test_an_unbonded_device_is_dropped_after_the_temporary_timeout(
    peer: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer("dbus-daemon")
    async with FakeBluez(timing=Timing(temporary_timeout=0.1)) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        cuff = peripheral(CUFF)
        fake.add(cuff)
        heard = Heard()
        async with BleakScanner(heard, bluez={"adapter": "hci0"}):
            await wait_until(lambda: heard.count(CUFF))
            cuff.in_range = False
            await wait_until(lambda: fake.device(CUFF) is None)
            known = heard.count(CUFF)
            cuff.in_range = True
            await wait_until(lambda: heard.count(CUFF) > known)


async def test_a_silent_adapter_delivers_nothing_and_says_nothing(bluez: FakeBluez) -> None:
    bluez.add(peripheral(CUFF))
    heard = Heard()
    adapter = bluez.adapter("hci0")
    async with BleakScanner(heard, bluez={"adapter": "hci0"}):
        await wait_until(lambda: heard.count(CUFF))
        adapter.faults.silent = True
        await asyncio.sleep(0)
        other = Heard()
        async with BleakScanner(other, bluez={"adapter": "hci1"}):
            await wait_until(lambda: other.count(CUFF) > 3)  # time passes on the other adapter
        known = heard.count(CUFF)
        async with BleakScanner(other, bluez={"adapter": "hci1"}):
            await wait_until(lambda: other.count(CUFF) > 8)
        assert heard.count(CUFF) == known
        assert adapter.is_discovering
        adapter.faults.silent = False
        await wait_until(lambda: heard.count(CUFF) > known)


async def test_discovery_can_be_refused_and_started_again(bluez: FakeBluez) -> None:
    bluez.add(peripheral(CUFF))
    bluez.adapter("hci0").faults.start_discovery.append(
        ReplyError("InProgress", "Operation already in progress")
    )
    with pytest.raises(BleakDBusError, match="InProgress"):
        await BleakScanner(bluez={"adapter": "hci0"}).start()
    heard = Heard()
    async with BleakScanner(heard, bluez={"adapter": "hci0"}):
        await wait_until(lambda: heard.count(CUFF))


async def test_a_rejected_stop_is_survived(bluez: FakeBluez) -> None:
    adapter = bluez.adapter("hci0")
    scanner = BleakScanner(bluez={"adapter": "hci0"})
    await scanner.start()
    adapter.faults.stop_discovery.append(ReplyError("InProgress", "Operation already in progress"))
    adapter.faults.start_discovery.append(ReplyError("InProgress", "Operation already in progress"))
    await scanner.stop()


async def test_only_what_a_service_filter_names_is_reported(bluez: FakeBluez) -> None:
    bluez.add(peripheral(CUFF, 0x1810))
    bluez.add(peripheral(SCALE, 0x181D))
    heard = Heard()
    async with BleakScanner(heard, service_uuids=[uuid16(0x181D)], bluez={"adapter": "hci0"}):
        await wait_until(lambda: heard.count(SCALE) > 3)
    assert set(heard.seen) == {SCALE}


@pytest.mark.parametrize(("filters", "repeated"), [({}, False), ({"RSSI": -127}, True)])
async def test_later_bluez_reports_a_still_device_once_unless_power_is_filtered(
    peer: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    filters: BlueZDiscoveryFilters,
    repeated: bool,
) -> None:
    """BlueZ from 5.88 on (commit e004414a1) drops RSSI changes below 8 dB without such a filter."""
    peer("dbus-daemon")
    async with FakeBluez(threshold_db=8) as fake:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", fake.address)
        fake.add(peripheral(CUFF))
        moving = peripheral(SCALE)
        fake.add(moving)
        heard = Heard()
        async with BleakScanner(heard, bluez={"adapter": "hci0", "filters": filters}):
            for power in (-40, -80, -40, -80, -40):
                moving.rssi = {"hci0": power}
                await wait_until(partial(_more_than, heard, SCALE, heard.count(SCALE)))
        assert (heard.count(CUFF) > 1) is repeated


async def test_without_power_there_is_no_scan(bluez: FakeBluez) -> None:
    await bluez.adapter("hci0").set_powered(False)
    with pytest.raises(BleakDBusError, match="NotReady"):
        await BleakScanner(bluez={"adapter": "hci0"}).start()
    await bluez.adapter("hci1").set_powered(False)
    no_power: Condition = _no_adapter_has_power
    await wait_until(no_power)


async def test_an_unplugged_adapter_is_gone_and_comes_back(bluez: FakeBluez) -> None:
    bluez.add(peripheral(CUFF))
    heard = Heard()
    async with BleakScanner(heard, bluez={"adapter": "hci1"}):
        await wait_until(lambda: heard.count(CUFF))
    await bluez.unplug("hci1")
    with pytest.raises(BleakError, match="hci1"):
        await BleakScanner(bluez={"adapter": "hci1"}).start()
    bluez.plug_in("hci1")
    heard = Heard()
    can_scan: Condition = partial(_can_scan, heard, "hci1")
    await wait_until(can_scan)


def _more_than(heard: Heard, address: str, known: int) -> bool:
    return heard.count(address) > known


async def _can_scan(heard: Heard, adapter: str) -> bool:
    """Scan once; False while bleak has not yet seen the adapter appear."""
    try:
        async with BleakScanner(heard, bluez={"adapter": adapter}):
            await wait_until(lambda: heard.count(CUFF))
    except BleakError:
        return False
    return True


async def _no_adapter_has_power() -> bool:
    """Whether bleak has seen the last adapter go off."""
    try:
        await BleakScanner().start()
    except BleakBluetoothNotAvailableError:
        return True
    except BleakDBusError:  # NotReady: the signal is still under way
        return False
    return False
