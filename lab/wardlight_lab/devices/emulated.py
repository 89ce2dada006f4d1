"""What every emulated device has besides its measurement: identity, battery, clock, ledger.

Source  Bluetooth GSS: Device Information 180A, Battery 180F, Current Time 1805
"""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Final

from wardlight_lab.bluez import (
    Advertisement,
    AttError,
    Characteristic,
    Link,
    LinkLostError,
    Pairing,
    Peripheral,
    Security,
    Service,
    Transmission,
    uuid16,
)
from wardlight_lab.devices.encoding import DeviceClock, current_time, date_time, u8
from wardlight_lab.devices.ledger import INDICATE, NOTIFY, Ledger

BATTERY_LEVEL: Final = uuid16(0x2A19)
CURRENT_TIME: Final = uuid16(0x2A2B)
LOCAL_TIME: Final = uuid16(0x2A0F)
DATE_TIME: Final = uuid16(0x2A08)
QUARTER_HOUR_S: Final = 900
VALUE_NOT_ALLOWED: Final = 0x80  # Data field ignored: Current Time Service 1.1, 1.6


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device is: what it advertises and what its Device Information says."""

    address: str
    name: str
    manufacturer: str
    model: str
    serial: str
    firmware: str = "1.0.0"
    address_type: str = "random"


def identity_of(patient: str, kind: str, name: str, manufacturer: str, model: str) -> Identity:
    """A lasting identity for a patient's device: the same names give the same address and serial.

    The address is a random static one: its two top bits are set (Core 5.4, Vol 6, Part B, 1.3.2.1).
    """
    digest = blake2b(f"{patient}|{kind}".encode(), digest_size=6).digest()
    octets = bytes([digest[0] | 0xC0]) + digest[1:]
    address = ":".join(f"{each:02X}" for each in octets)
    return Identity(address, name, manufacturer, model, f"WL{digest.hex()[:8].upper()}")


@dataclass(slots=True)
class Equipment:
    """What a device can be given besides its identity; every field has a sensible default."""

    clock: DeviceClock = field(default_factory=DeviceClock)
    ledger: Ledger = field(default_factory=Ledger)
    pairing: Pairing = Pairing.JUST_WORKS
    passkey: int = 0
    battery: int = 87
    advertising_interval_s: float = 1.0
    is_clock_vendor_style: bool = False  # Date Time 2A08 in the measurement service, no 1805


class EmulatedDevice(Peripheral):
    """A peripheral with a measurement service and the usual services around it.

    service  16-bit number, or the full UUID of a vendor's service
    """

    def __init__(
        self,
        identity: Identity,
        equipment: Equipment,
        *,
        service: int | str,
        characteristics: tuple[Characteristic, ...],
        appearance: int,
    ) -> None:
        self.identity = identity
        self.clock = equipment.clock
        self.ledger = equipment.ledger
        self.battery = equipment.battery
        named = uuid16(service) if isinstance(service, int) else service.lower()
        measurement = Service(named, characteristics)
        others = [_information(identity), _battery()]
        if equipment.is_clock_vendor_style:
            clock = Characteristic(DATE_TIME, ("read", "write"))
            measurement = Service(measurement.uuid, (*characteristics, clock))
        else:
            others.append(_clock())
        super().__init__(
            identity.address,
            identity.name,
            [measurement, *others],
            advertisement=Advertisement(
                service_uuids=(measurement.uuid,),
                appearance=appearance,
                interval_s=equipment.advertising_interval_s,
            ),
            pairing=equipment.pairing,
            passkey=equipment.passkey,
            address_type=identity.address_type,
        )

    async def on_read(self, uuid: str) -> bytes:
        """Battery and clock answer with their state, the rest with fixed values."""
        if uuid == BATTERY_LEVEL:
            return u8(self.battery)
        if uuid == CURRENT_TIME:
            return current_time(self.clock.now())
        if uuid == DATE_TIME:
            return date_time(self.clock.now())
        if uuid == LOCAL_TIME:
            return _local_time(self.clock.now())
        return await super().on_read(uuid)

    async def on_write(self, uuid: str, value: bytes) -> None:
        """The clock can be set."""
        if uuid not in {CURRENT_TIME, DATE_TIME}:
            await super().on_write(uuid, value)
        try:
            self.clock.set(value)
        except ValueError as error:
            raise AttError(VALUE_NOT_ALLOWED) from error

    async def send_indication(
        self,
        link: Link,
        uuid: str,
        payload: bytes,
        values: dict[str, str],
        measured_at: datetime | None = None,
    ) -> Transmission:
        """Indicate a value and enter it in the ledger. Errors: LinkLostError (not confirmed)."""
        try:
            sent = await link.indicate(uuid, payload)
        except LinkLostError as error:
            if error.is_delivered is not None:
                sent = Transmission(delivered=error.is_delivered)
                self._enter(uuid, payload, sent, INDICATE, values, measured_at)
            raise
        self._enter(uuid, payload, sent, INDICATE, values, measured_at)
        return sent

    async def send_notification(
        self, link: Link, uuid: str, payload: bytes, values: dict[str, str]
    ) -> Transmission:
        """Notify a value and enter it in the ledger. Errors: LinkLostError."""
        sent = await link.notify(uuid, payload)
        self._enter(uuid, payload, sent, NOTIFY, values, None)
        return sent

    def _enter(
        self,
        uuid: str,
        payload: bytes,
        sent: Transmission,
        kind: str,
        values: dict[str, str],
        measured_at: datetime | None,
    ) -> None:
        self.ledger.record(
            self.address, uuid, payload, sent, kind=kind, values=values, measured_at=measured_at
        )


def measured(uuid: int, how: str, pairing: Pairing) -> Characteristic:
    """A measurement characteristic."""
    return Characteristic(uuid16(uuid), (how,), protection(pairing))


def protection(pairing: Pairing) -> Security:
    """A device that pairs shows what it measures over an encrypted link only."""
    return Security.OPEN if pairing is Pairing.NONE else Security.ENCRYPTED


def constant(uuid: int, value: bytes) -> Characteristic:
    """A characteristic with a fixed value."""
    return Characteristic(uuid16(uuid), ("read",), value=value)


def _information(identity: Identity) -> Service:
    texts = {
        0x2A29: identity.manufacturer,
        0x2A24: identity.model,
        0x2A25: identity.serial,
        0x2A26: identity.firmware,
    }
    return Service(
        uuid16(0x180A), tuple(constant(uuid, text.encode()) for uuid, text in texts.items())
    )


def _battery() -> Service:
    return Service(uuid16(0x180F), (Characteristic(BATTERY_LEVEL, ("read", "notify")),))


def _clock() -> Service:
    now = Characteristic(CURRENT_TIME, ("read", "write", "notify"))
    return Service(uuid16(0x1805), (now, Characteristic(LOCAL_TIME, ("read",))))


def _local_time(at: datetime) -> bytes:
    """Local Time Information: offset in quarters of an hour, no daylight saving (CTS 1.1, 3.2)."""
    offset = at.utcoffset()
    quarters = int(offset.total_seconds()) // QUARTER_HOUR_S if offset else 0
    return quarters.to_bytes(1, "little", signed=True) + u8(0)
