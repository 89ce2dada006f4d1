"""The peripheral side: what an emulated device is to the radio.

An emulated device is a `Peripheral` with its services; it overrides the `on_...` methods and sends
through the Link it is given. It knows nothing of D-Bus. UUIDs are full, lower-case 128-bit strings
(`uuid16` makes them).
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from wardlight_lab.bluez.errors import READ_NOT_PERMITTED, WRITE_NOT_PERMITTED, AttError
from wardlight_lab.bluez.faults import DeviceFaults

CCCD: Final = "00002902-0000-1000-8000-00805f9b34fb"


def uuid16(number: int) -> str:
    """The full UUID of a 16-bit number (Bluetooth Core 5.4, Vol 3, Part B, 2.5.1)."""
    return f"{number:08x}-0000-1000-8000-00805f9b34fb"


class Security(StrEnum):
    """What a characteristic asks of the link before it answers."""

    OPEN = "open"
    ENCRYPTED = "encrypted"


class Pairing(StrEnum):
    """How a device pairs (Core, Vol 3, Part H, 2.3.5.1), named by what the agent is asked."""

    NONE = "none"  # the device does not pair at all
    JUST_WORKS = "just_works"  # RequestAuthorization
    NUMERIC_COMPARISON = (
        "numeric_comparison"  # RequestConfirmation with the passkey on both displays
    )
    PASSKEY_ENTRY = "passkey_entry"  # RequestPasskey: the device shows it, the operator types it


@dataclass(frozen=True, slots=True)
class Characteristic:
    """A characteristic; `flags` as BlueZ spells them: read, write, notify, indicate, ..."""

    uuid: str
    flags: tuple[str, ...]
    security: Security = Security.OPEN
    value: bytes = b""
    descriptors: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A primary service."""

    uuid: str
    characteristics: tuple[Characteristic, ...]


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What the device broadcasts besides its name, every `interval_s`."""

    service_uuids: tuple[str, ...] = ()
    manufacturer_data: dict[int, bytes] = field(default_factory=dict)
    service_data: dict[str, bytes] = field(default_factory=dict)
    appearance: int | None = None
    tx_power: int | None = None
    flags: int = (
        0x06  # LE general discoverable, no BR/EDR (Core Specification Supplement, Part A, 1.3)
    )
    interval_s: float = 1.0


@dataclass(slots=True)
class Transmission:
    """What became of one value: confirmed by the stack, seen by the client (not the same)."""

    acknowledged: bool = False
    delivered: bool = False


class Link(Protocol):
    """One connection, as the device sees it."""

    @property
    def is_encrypted(self) -> bool:
        """Whether the link is encrypted (after pairing, or with the key of a bond)."""

    @property
    def is_up(self) -> bool:
        """Whether the link still stands."""

    def is_subscribed(self, uuid: str) -> bool:
        """Whether the CCCD is on: written on this link, or remembered with a bond."""

    async def notify(self, uuid: str, value: bytes) -> Transmission:
        """Send a notification. Errors: LinkLostError."""

    async def indicate(self, uuid: str, value: bytes) -> Transmission:
        """Send an indication and wait for its confirmation. Errors: LinkLostError."""

    async def hang_up(self) -> None:
        """End the link from the device's side."""


class Peripheral:
    """A device in radio range.

    address  public or random device address, upper case with colons
    name     complete local name; empty for none
    rssi     received power in dBm per adapter name; an adapter that is not named hears -60 dBm
    """

    def __init__(
        self,
        address: str,
        name: str,
        services: Iterable[Service],
        *,
        advertisement: Advertisement | None = None,
        pairing: Pairing = Pairing.NONE,
        passkey: int = 0,
        address_type: str = "public",
        rssi: dict[str, int] | None = None,
        faults: DeviceFaults | None = None,
    ) -> None:
        self.address = address.upper()
        self.name = name
        self.services = tuple(services)
        self.advertisement = advertisement or Advertisement()
        self.pairing = pairing
        self.passkey = passkey
        self.address_type = address_type
        self.rssi = dict(rssi or {})
        self.faults = faults or DeviceFaults()
        self._in_range = True
        self.link: Link | None = None
        self._advertising_until: float | None = 0.0
        self._listeners: list[Callable[[], None]] = []

    @property
    def identity_text(self) -> str:
        """Its identity as the gateway's settings name it."""
        return "ble:" + self.address.replace(":", "")

    @property
    def is_connectable(self) -> bool:
        """Whether the device advertises now and has no link yet."""
        if not self._in_range or self.link is not None:
            return False
        return self._advertising_until is None or self._advertising_until > time.monotonic()

    @property
    def in_range(self) -> bool:
        """Whether any adapter can hear the device; a link that stands is kept."""
        return self._in_range

    @in_range.setter
    def in_range(self, value: bool) -> None:
        self._in_range = value
        self._changed()

    def start_advertising(self, for_s: float | None = None) -> None:
        """Advertise for some seconds, or until `stop_advertising`; not while connected."""
        self._advertising_until = None if for_s is None else time.monotonic() + for_s
        self._changed()

    def stop_advertising(self) -> None:
        """Fall silent; a link that stands is kept."""
        self._advertising_until = 0.0
        self._changed()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Be told when the device may have begun to advertise; returns the way to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def link_changed(self, link: Link | None) -> None:
        """The radio has made or ended the link."""
        self.link = link
        self._changed()

    def characteristic(self, uuid: str) -> Characteristic:
        """One of the device's characteristics. Errors: KeyError."""
        for service in self.services:
            for each in service.characteristics:
                if each.uuid == uuid:
                    return each
        raise KeyError(uuid)

    async def run(self) -> None:
        """The device's own life, such as a schedule; cancelled when it is removed."""

    async def on_connected(self, link: Link) -> None:
        """The link is up (and encrypted, when there is a bond). Cancelled when the link ends."""

    async def on_subscribed(self, link: Link, uuid: str) -> None:
        """The central has written the CCCD on this link. Cancelled when the link ends."""

    async def on_unsubscribed(self, link: Link, uuid: str) -> None:
        """The central has switched notifications or indications off."""

    def on_disconnected(self, link: Link) -> None:
        """The link has ended."""

    async def on_read(self, uuid: str) -> bytes:
        """The value to answer a read with. Errors: AttError."""
        characteristic = self.characteristic(uuid)
        if "read" not in characteristic.flags:
            raise AttError(READ_NOT_PERMITTED)
        return characteristic.value

    async def on_write(self, uuid: str, value: bytes) -> None:
        """Take a written value. Errors: AttError."""
        del uuid, value
        raise AttError(WRITE_NOT_PERMITTED)

    def _changed(self) -> None:
        for listener in tuple(self._listeners):
            listener()
