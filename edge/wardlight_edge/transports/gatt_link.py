"""A connected device through a client of bleak's shape, whoever owns the antenna.

BlueZ's client and that of a proxy find characteristics, read and write alike. What their errors
mean differs, and how a value is subscribed to.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from wardlight_edge.transports.ble_errors import BleError, Trouble

REQUEST_TIMEOUT_S: Final = 10.0
_BASE_UUID: Final = "0000{}-0000-1000-8000-00805F9B34FB"


class GattLink:
    """A link that stands until ``lost`` is set. Operations raise BleError.

    client  a BleakClient, or what has its methods
    guard   turns what the client raises into BleError; it is told what was tried
    """

    def __init__(
        self,
        client: Any,
        lost: asyncio.Event,
        guard: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._client = client
        self._lost = lost
        self._guarded = guard

    @property
    def is_lost(self) -> bool:
        """Whether the link has ended."""
        return self._lost.is_set()

    async def wait_lost(self) -> None:
        """Return when the link has ended."""
        await self._lost.wait()

    def offers(self, channel: str) -> bool:
        """Whether the device has this characteristic."""
        return self._find(channel) is not None

    async def read(self, channel: str) -> bytes:
        """Read a value."""
        characteristic = self._characteristic(channel)
        with self._guarded(f"{channel}: reading"):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return bytes(await self._client.read_gatt_char(characteristic))

    async def write(self, channel: str, octets: bytes) -> None:
        """Write a value, with response."""
        characteristic = self._characteristic(channel)
        with self._guarded(f"{channel}: writing"):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._client.write_gatt_char(characteristic, octets, response=True)

    def _find(self, channel: str) -> Any:
        # Order and handles differ from link to link: the UUID is the only name. Where a device has
        # it twice (two batteries), bleak's own search by UUID raises; the first of them counts.
        uuid = full_uuid(channel).lower()
        with self._guarded(channel):
            offered = self._client.services.characteristics.values()
            alike = [each for each in offered if each.uuid == uuid]
            return min(alike, key=lambda each: each.handle, default=None)

    def _characteristic(self, channel: str) -> Any:
        found = self._find(channel)
        if found is None:
            trouble = Trouble.LOST if self.is_lost else Trouble.UNUSABLE
            raise BleError(trouble, f"the device has no characteristic {channel}")
        return found


def full_uuid(channel: str) -> str:
    """128-bit UUID, in capitals, of "0x2A35" or of a full UUID."""
    return _BASE_UUID.format(channel[2:]) if channel.startswith("0x") else channel.upper()
