"""A fake `org.bluez` on a private bus: the product's bleak code runs unchanged, with no radio."""

from wardlight_lab.bluez.errors import (
    AttError,
    BusStartError,
    DBusDaemonMissingError,
    EmulationError,
    LinkLostError,
    ReplyError,
)
from wardlight_lab.bluez.fake import FakeBluez
from wardlight_lab.bluez.faults import AdapterFaults, DeviceFaults, Operation
from wardlight_lab.bluez.peripheral import (
    Advertisement,
    Characteristic,
    Link,
    Pairing,
    Peripheral,
    Security,
    Service,
    Transmission,
    uuid16,
)
from wardlight_lab.bluez.timing import INSTANT, LIFELIKE, Timing

__all__ = [
    "INSTANT",
    "LIFELIKE",
    "AdapterFaults",
    "Advertisement",
    "AttError",
    "BusStartError",
    "Characteristic",
    "DBusDaemonMissingError",
    "DeviceFaults",
    "EmulationError",
    "FakeBluez",
    "Link",
    "LinkLostError",
    "Operation",
    "Pairing",
    "Peripheral",
    "ReplyError",
    "Security",
    "Service",
    "Timing",
    "Transmission",
    "uuid16",
]
