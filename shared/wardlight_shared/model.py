"""What a device said: Reading, Absent, Flag, DeviceTime, Device.

All values are frozen. Numbers are Decimal exactly as sent; a missing number is a reason
(Absent), never 0, None or NaN. Sources: IEEE 11073-20601 annex F (special values), the
Bluetooth services named at each flag.
"""

from decimal import Decimal
from enum import IntFlag, StrEnum

import msgspec


class Absent(StrEnum):
    """Why a number is missing. The member order is the wire code: append only."""

    NAN = "not-a-number"
    NRES = "not-at-this-resolution"
    POSITIVE_INFINITY = "positive-infinity"
    NEGATIVE_INFINITY = "negative-infinity"
    RESERVED = "reserved-value"
    NOT_MEASURED = "not-measured"  # the device's own "no value" (Nonin 511/127, 0xFFFF, `--`)
    UNSUCCESSFUL = "measurement-unsuccessful"
    SENSOR_OFF = "sensor-off"
    SENSOR_FAULT = "sensor-fault"
    OVER_RANGE = "over-range"  # HI
    UNDER_RANGE = "under-range"  # LO
    INVALID = "invalid"  # the device itself calls the value invalid


ABSENT_BY_CODE: tuple[Absent | None, ...] = (None, *Absent)
"""Wire code to reason; code 0 means a number is present."""

CODE_BY_ABSENT: dict[Absent, int] = {absent: code for code, absent in enumerate(Absent, 1)}
"""Reason to wire code (1..255)."""


class Flag(IntFlag):
    """Measurement status, one vocabulary for all devices. Bits are wire format: append only."""

    QUESTIONABLE = 1 << 0
    INVALID = 1 << 1
    EARLY = 1 << 2  # PLXS early estimated data
    ONGOING = 1 << 3
    VALIDATED = 1 << 4
    FULLY_QUALIFIED = 1 << 5
    FROM_STORAGE = 1 << 6
    DEMO = 1 << 7
    TEST = 1 << 8
    CALIBRATING = 1 << 9
    UNAVAILABLE = 1 << 10
    BODY_MOVEMENT = 1 << 11  # BLS measurement status b0
    CUFF_LOOSE = 1 << 12
    IRREGULAR_PULSE = 1 << 13
    PULSE_ABOVE_RANGE = 1 << 14
    PULSE_BELOW_RANGE = 1 << 15
    IMPROPER_POSITION = 1 << 16
    SENSOR_OFF = 1 << 17
    SENSOR_FAULT = 1 << 18
    SIGNAL_POOR = 1 << 19  # inadequate, irregular or low signal
    LOW_PERFUSION = 1 << 20
    ARTIFACT = 1 << 21
    OUT_OF_TRACK = 1 << 22
    CONTACT_LOST = 1 << 23  # HRS sensor contact supported, not detected
    DEVICE_CLOCK_UNSET = 1 << 24
    DEVICE_CLOCK_FAR = 1 << 25  # a live reading whose device time is over 24 h away
    IMPLAUSIBLE = 1 << 26  # outside the profile's plausible range: flagged, never dropped
    LATE = 1 << 27  # stored on the device before it reached the gateway
    DEVICE_ALARM = 1 << 28
    BATTERY_LOW = 1 << 29
    USER_UNKNOWN = 1 << 30  # the device says user 255
    TIME_UNCERTAIN = 1 << 31  # no honest error bound could be given
    RELEASED = 1 << 32  # a person let it out of quarantine; only the cloud sets it
    CORRECTED = 1 << 33  # its sender says: instead of what was told before; only the cloud sets it
    WITHDRAWN = 1 << 34  # its sender took it back, there is no value; only the cloud sets it


NOT_CLINICAL = Flag.DEMO | Flag.TEST | Flag.CALIBRATING
"""A reading with one of these flags is kept and shown to operators, never as a vital sign."""

NO_NUMBER = Flag.INVALID | Flag.WITHDRAWN
"""A reading with one of these flags counts as one without a number: no curve, average or statistic
is made of what the device itself, or its sender, says does not hold."""

CLOUD_ONLY = (1 << 62) - int(Flag.RELEASED)
"""What no gateway may set: all bits from RELEASED on, those without a name too."""


class DeviceTime(msgspec.Struct, frozen=True, order=False):
    """A device's own wall clock as sent: no zone; 0 = not known (GATT Date Time, GSS 3.71).

    ``offset_min`` is the zone in minutes where the device states one.
    """

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    offset_min: int | None = None

    def isoformat(self) -> str:
        """Return ``YYYY-MM-DDTHH:MM:SS`` with zeros where the device did not know."""
        text = f"{self.year:04}-{self.month:02}-{self.day:02}"
        return f"{text}T{self.hour:02}:{self.minute:02}:{self.second:02}"


class Reading(msgspec.Struct, frozen=True):
    """One measured quantity of one device event.

    metric      a ``metric`` of codes.METRICS
    value       Decimal in ``unit`` at the device's precision, or the reason it is missing
    unit        UCUM code
    raw_value   the number as sent, in ``raw_unit``, where ``value`` is not that number: converted
                to another unit, or withheld (the device calls it invalid); else None
    time        device time as sent, or None
    flags       OR of Flag
    user        the device's user index (255 never appears: it is Flag.USER_UNKNOWN and None)
    site        body site where the device states one ("finger", "armpit", ...)
    record      the device's own record number, or None
    context     further statements, (name, value) pairs, names from docs/glossary.md
    """

    metric: str
    value: Decimal | Absent
    unit: str
    raw_value: Decimal | None = None
    raw_unit: str | None = None
    time: DeviceTime | None = None
    flags: int = 0
    user: int | None = None
    site: str | None = None
    record: int | None = None
    context: tuple[tuple[str, str], ...] = ()


class DeviceInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device says of itself (Device Information Service 1.1, section 3); None = not said."""

    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    hardware_revision: str | None = None
    firmware_revision: str | None = None
    software_revision: str | None = None
    system_id: str | None = None  # EUI-64, 16 hex capitals, no dashes
    pnp_id: str | None = None  # "source:vendor:product:version", hex
    udi: str | None = None
    continua_version: str | None = None  # of the guidelines it is certified for, "1.5"
    continua_classes: str | None = None  # certified device classes, "8008, 8007", hex
    regulated: str | None = None  # "yes", "no", as its certification says


class Device(msgspec.Struct, frozen=True):
    """One enrolled device: an opaque stable key and the name of its profile.

    Identity grammar: ``ble:<12 hex capitals>``, ``serial:<name>``, ``lan:<name>``,
    ``replay:<name>``.
    """

    identity: str
    profile: str
    info: DeviceInfo = DeviceInfo()
