"""One device as a proxy sees it: handles, link, bond, and what the proxy was asked to forward.

Source  ESPHome components/bluetooth_proxy/bluetooth_connection.cpp and
        esp32_ble_client/ble_client_base.cpp: a value that is not registered for is confirmed and
        dropped; a bond is used, or made, when the client asks to pair
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wardlight_lab.bluez import AttError, Characteristic, Pairing, Peripheral, Security
from wardlight_lab.bluez.errors import INSUFFICIENT_AUTHENTICATION
from wardlight_lab.bluez.faults import Operation
from wardlight_lab.bluez.radio_link import RadioLink, Reason

PAIRING_NOT_SUPPORTED: Final = 0x55  # ESP-IDF: 0x50 (SMP) and 0x05, pairing not supported
UNSPECIFIED: Final = 0x58
NOT_FOUND: Final = 0x0A  # ATT: attribute not found
_FLAGS: Final = {"read": 0x02, "write-without-response": 0x04, "write": 0x08}
_PROPERTIES: Final = {**_FLAGS, "notify": 0x10, "indicate": 0x20}


@dataclass(frozen=True, slots=True)
class Attribute:
    """A characteristic with its handles; ``cccd`` None: nothing to switch on."""

    characteristic: Characteristic
    handle: int
    cccd: int | None

    @property
    def properties(self) -> int:
        """Its flags as the bits of a characteristic declaration."""
        return sum(bit for flag, bit in _PROPERTIES.items() if flag in self.characteristic.flags)


class ProxiedDevice:
    """One device in range; ``bonds`` are the keys in the proxy, each with the CCCDs remembered.

    forward  sends a value (handle, octets) to the client
    ended    told when the link has ended
    """

    def __init__(
        self,
        peripheral: Peripheral,
        bonds: dict[str, set[str]],
        forward: Callable[[int, bytes], None],
        ended: Callable[[], None],
    ) -> None:
        self.peripheral = peripheral
        self.services: list[tuple[str, int, list[Attribute]]] = []
        self.link: RadioLink | None = None
        self._bonds = bonds
        self._forward = forward
        self._ended = ended
        self._registered: set[int] = set()
        self._number()

    def connect(self) -> bool:
        """Connect; False: it does not advertise, or refuses."""
        error = self.peripheral.faults.next_connect_error()
        if error is not None or not self.peripheral.is_connectable:
            return False
        self._registered.clear()
        self.link = RadioLink(
            self.peripheral,
            deliver=self._deliver,
            ended=self._on_ended,
            remembered=set(),
            is_encrypted=False,
            indication_s=0.0,
        )
        self.peripheral.link_changed(self.link)
        return True

    def begin(self) -> None:
        """The client knows that the link stands: let the device act."""
        if self.link is not None:
            self.link.start()

    def pair(self) -> int | None:
        """Encrypt, with the bond's key or a new one; the reason of a failure, or None."""
        link, faults, address = self.link, self.peripheral.faults, self.peripheral.address
        if link is None:
            return UNSPECIFIED
        if faults.refuse_pairing or self.peripheral.pairing is not Pairing.JUST_WORKS:
            return PAIRING_NOT_SUPPORTED
        if address in self._bonds and faults.refuse_bond:
            return UNSPECIFIED
        link.is_encrypted = True
        # The device remembers what was switched on, and sends as soon as it is encrypted.
        for uuid in self._bonds.setdefault(address, set()):
            link.subscribe(uuid)
        return None

    def register(self, handle: int, *, enable: bool) -> None:
        """Forward the values of a handle from now on, or no more."""
        (self._registered.add if enable else self._registered.discard)(handle)

    async def read(self, handle: int) -> bytes:
        """Read a value. Errors: AttError."""
        attribute = self._attribute(handle)
        self._check(attribute, Operation.READ)
        return await self.peripheral.on_read(attribute.characteristic.uuid)

    async def write(self, handle: int, octets: bytes) -> None:
        """Write a value. Errors: AttError."""
        attribute = self._attribute(handle)
        self._check(attribute, Operation.WRITE)
        await self.peripheral.on_write(attribute.characteristic.uuid, octets)

    def write_descriptor(self, handle: int, octets: bytes) -> None:
        """Switch a characteristic on or off. Errors: AttError."""
        attribute = next((each for each in self._attributes() if each.cccd == handle), None)
        if attribute is None or self.link is None:
            raise AttError(NOT_FOUND)
        self._check(attribute, Operation.START_NOTIFY)
        uuid, remembered = attribute.characteristic.uuid, self._remembered()
        if octets == b"\x00\x00":
            remembered.discard(uuid)
            self.link.unsubscribe(uuid)
        else:
            remembered.add(uuid)
            self.link.subscribe(uuid)

    def _remembered(self) -> set[str]:
        return self._bonds.get(self.peripheral.address, set())

    def _check(self, attribute: Attribute, operation: Operation) -> None:
        code = self.peripheral.faults.next_att_error(attribute.characteristic.uuid, operation)
        if code is not None:
            raise AttError(code)
        is_open = attribute.characteristic.security is Security.OPEN
        if not is_open and (self.link is None or not self.link.is_encrypted):
            raise AttError(INSUFFICIENT_AUTHENTICATION)

    def _attribute(self, handle: int) -> Attribute:
        for attribute in self._attributes():
            if attribute.handle == handle:
                return attribute
        raise AttError(NOT_FOUND)

    def _attributes(self) -> list[Attribute]:
        return [each for _, _, attributes in self.services for each in attributes]

    def _deliver(self, uuid: str, value: bytes) -> bool:
        handle = next(
            each.handle for each in self._attributes() if each.characteristic.uuid == uuid
        )
        if handle not in self._registered:
            return False
        self._forward(handle, value)
        return True

    def _on_ended(self, reason: Reason) -> None:
        del reason
        self.link = None
        self._ended()

    def _number(self) -> None:
        handle = 0
        for service in self.peripheral.services:
            handle += 1
            start, attributes = handle, []
            for characteristic in service.characteristics:
                handle += 2  # declaration and value
                value, sends = handle, {"notify", "indicate"} & set(characteristic.flags)
                handle += bool(sends)
                attributes.append(Attribute(characteristic, value, handle if sends else None))
            self.services.append((service.uuid, start, attributes))
