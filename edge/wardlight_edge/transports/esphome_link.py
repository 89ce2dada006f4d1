"""A device connected through an ESPHome proxy: the client of bleak-esphome as a BleLink.

Nothing of that library is imported here: what is used of it is handed in.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, Protocol

import msgspec

from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.gatt_link import REQUEST_TIMEOUT_S, GattLink

PENDING_VALUES: Final = 64
_CCCD: Final = "00002902-0000-1000-8000-00805f9b34fb"
_NOTIFY, _INDICATE = b"\x01\x00", b"\x02\x00"

Register = Callable[[str, int, Callable[[int, bytearray], None]], Awaitable[None]]
"""Has the proxy forward the values of a handle of the device with this address."""


class Guard(Protocol):
    """Turns what the library raises into BleError."""

    def __call__(self, what: str, otherwise: Trouble) -> AbstractContextManager[None]:
        """``otherwise`` is the trouble of an error that says no more."""


class Packet(msgspec.Struct, frozen=True):
    """One advertisement as the proxy forwards it: the AD structures, scan response included."""

    address: str
    address_type: int
    rssi: int
    octets: bytes


class OpenProxy(Protocol):
    """An open connection to a proxy."""

    @property
    def makes_links(self) -> bool:
        """Whether it connects at all."""

    async def wait_lost(self) -> None:
        """Return when the proxy is away."""

    def peer(self, packet: Packet) -> Any:
        """The BLEDevice to connect to."""

    def listen(self, heard: Callable[[Packet], None]) -> None:
        """Ask for every advertisement; may be repeated. BleError: it cannot forward them."""

    def count_links(self, reported: Callable[[int, int], None]) -> None:
        """Ask to be told (free, limit) of its links whenever that changes."""

    async def forget(self, address: str) -> None:
        """Drop the proxy's key of a device."""

    def connected(
        self,
        peer: Any,
        *,
        encrypt: bool,
        timeout_s: float,
        measures: tuple[str, ...],
    ) -> AbstractAsyncContextManager["ProxyLink"]:
        """Connect to a device just heard; the link always ends with the context."""


Opener = Callable[[], AbstractAsyncContextManager[OpenProxy]]
"""Connects to one proxy. BleError: it is away, or refuses us; the text says which."""


class ProxyLink(GattLink):
    """A device connected through a proxy. Operations raise BleError."""

    def __init__(self, client: Any, register: Register, lost: asyncio.Event, guard: Guard) -> None:
        super().__init__(client, lost, self._guard)
        self._forward = register
        self._as_ble_error = guard
        self._takers: dict[int, Callable[[bytes], None]] = {}
        self._pending: dict[int, list[bytes]] = {}

    async def register(self, channels: tuple[str, ...]) -> None:
        """Have the proxy forward these; values wait for ``subscribe``."""
        for channel in channels:
            found = self._find(channel)
            if found is not None and found.handle not in self._pending:
                await self._register(channel, found.handle)

    async def subscribe(self, channel: str, notified: Callable[[bytes], None]) -> None:
        """Switch notifications or indications on; values go to ``notified``."""
        found = self._characteristic(channel)
        await self.register((channel,))
        self._takers[found.handle] = notified
        for octets in self._pending[found.handle]:
            notified(octets)
        self._pending[found.handle].clear()
        cccd = found.get_descriptor(_CCCD)
        if cccd is None:
            raise BleError(Trouble.UNUSABLE, f"{channel} cannot be subscribed to")
        with self._guarded(f"{channel}: subscribing"):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                mode = _NOTIFY if "notify" in found.properties else _INDICATE
                await self._client.write_gatt_descriptor(cccd, mode)

    async def _register(self, channel: str, handle: int) -> None:
        pending = self._pending[handle] = []

        def on_value(_: int, value: bytearray) -> None:
            taker = self._takers.get(handle)
            if taker is not None:
                taker(bytes(value))
            elif len(pending) < PENDING_VALUES:
                pending.append(bytes(value))

        with self._guarded(f"{channel}: registering"):
            await self._forward(self._client.address, handle, on_value)

    def _guard(self, what: str) -> AbstractContextManager[None]:
        return self._as_ble_error(what, Trouble.LOST if self.is_lost else Trouble.GATT)
