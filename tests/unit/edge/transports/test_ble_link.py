"""One link on bleak's own objects: what it offers, whatever the device's table looks like."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection

from wardlight_edge.transports.ble import Link
from wardlight_edge.transports.ble_errors import BleError, Trouble

BATTERY = "00002a19-0000-1000-8000-00805f9b34fb"
SERVICE = "0000180f-0000-1000-8000-00805f9b34fb"


class Client:
    """As much of BleakClient as a link reads; reads answer with the handle."""

    def __init__(self, *handles: int) -> None:
        self.services = BleakGATTServiceCollection()
        for handle in handles:
            service = BleakGATTService(None, handle - 1, SERVICE)
            self.services.add_service(service)
            self.services.add_characteristic(
                BleakGATTCharacteristic(None, handle, BATTERY, ["read"], lambda: 20, service)
            )

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic) -> bytearray:
        return bytearray([characteristic.handle])


def link(client: Any) -> Link:
    return Link(client, asyncio.Event())


@pytest.mark.parametrize("handles", [(0x20, 0x30), (0x30, 0x20)])
async def test_of_two_alike_the_first_on_the_device_counts(handles: tuple[int, ...]) -> None:
    """Services come in arbitrary order, and a device may have two batteries."""
    made = link(Client(*handles))
    assert made.offers("0x2A19")
    assert await made.read("0x2A19") == b"\x20"


async def test_what_is_not_there_is_said() -> None:
    made = link(Client())
    assert not made.offers("0x2A19")
    with pytest.raises(BleError) as raised:
        await made.read("0x2A19")
    assert raised.value.trouble is Trouble.UNUSABLE


async def test_a_table_that_is_gone_is_a_lost_link() -> None:
    with pytest.raises(BleError) as raised:
        link(SimpleNamespace(services=None)).offers("0x2A19")
    assert raised.value.trouble is Trouble.LOST
