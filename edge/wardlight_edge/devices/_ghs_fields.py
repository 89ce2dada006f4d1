"""Fields of a Generic Health Sensor observation: little endian, each read once, in order.

Errors  DecodeError: a field that goes beyond the end
Source  Bluetooth GHSS 1.0, 3.2 (fields of an observation); ETS 1.0, 3.1 (time stamp)
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from wardlight_edge.devices._gatt import CLOCK_UNSET
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import float_from_word
from wardlight_shared.model import Absent, DeviceTime, Flag

_IS_TICKS, _IS_UTC, _HAS_ZONE, _IS_CURRENT = 0b000001, 0b000010, 0b010000, 0b100000
_MICROSECONDS: Final = (1_000_000, 100_000, 1000, 100)  # by flags b2-3
_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - UTC or the device's wall clock
_ZONES: Final = range(-48, 57)  # quarters of an hour; else not known
_QUARTER_MIN: Final = 15

# GHSS Measurement Status. Bit 6 (entered by hand) and 7 (a setting) are not flags of a reading.
_STATUS: Final[Mapping[int, Flag]] = {
    0: Flag.INVALID,
    1: Flag.QUESTIONABLE,
    2: Flag.UNAVAILABLE,
    3: Flag.CALIBRATING,
    4: Flag.TEST,
    5: Flag.EARLY,
    14: Flag.DEVICE_ALARM,  # beyond a threshold
}
MANUALLY_ENTERED: Final = 1 << 6
SETTING: Final = 1 << 7


class Fields:
    """The octets of one observation and how far they are read."""

    def __init__(self, octets: bytes, where: str) -> None:
        self._octets = octets
        self._at = 0
        self.where = where

    @property
    def left(self) -> int:
        """Octets not read yet."""
        return len(self._octets) - self._at

    def take(self, count: int) -> bytes:
        """Read ``count`` octets."""
        if count > self.left:
            raise DecodeError(
                f"{self.where}: {count} bytes wanted at {self._at}, there are {self.left}"
            )
        self._at += count
        return self._octets[self._at - count : self._at]

    def number(self, size: int) -> int:
        """Read an unsigned number of ``size`` octets."""
        return int.from_bytes(self.take(size), "little")

    def float_type(self) -> Decimal | Absent:
        """Read a FLOAT-Type."""
        return float_from_word(self.number(4))

    def codes(self) -> tuple[int, ...]:
        """Read a count and as many 32-bit codes."""
        return tuple(self.number(4) for _ in range(self.number(1)))

    def skip_values_with_type(self) -> None:
        """Read a count and as many type-length-values: type u32, length u16, format u8, value."""
        for _ in range(self.number(1)):
            self.take(4)
            length = self.number(2)
            self.take(1 + length)

    def end(self) -> None:
        """Raise DecodeError unless everything is read."""
        if self.left:
            raise DecodeError(f"{self.where}: {self.left} bytes more than its fields")

    def time(self) -> tuple[DeviceTime | None, int]:
        """Read an Elapsed Time: flags u8, count u48, source u8, zone s8; (device time, flags).

        A tick counter, a count of 0 and a time line that is no longer the device's own say no
        time of day: DEVICE_CLOCK_UNSET.
        """
        flags, count = self.number(1), self.number(6)
        self.take(1)  # how the clock was synchronised
        zone = int.from_bytes(self.take(1), "little", signed=True)
        if flags & _IS_TICKS or not count or not flags & _IS_CURRENT:
            return None, CLOCK_UNSET
        offset = zone * _QUARTER_MIN if flags & _HAS_ZONE and zone in _ZONES else None
        if flags & _IS_UTC and offset is None:
            offset = 0
        try:
            elapsed = timedelta(microseconds=count * _MICROSECONDS[flags >> 2 & 0b11])
            moment = _EPOCH + elapsed + timedelta(minutes=offset or 0) * bool(flags & _IS_UTC)
        except OverflowError:
            return None, CLOCK_UNSET
        day = (moment.year, moment.month, moment.day)
        return DeviceTime(*day, moment.hour, moment.minute, moment.second, offset), 0


def status_flags(word: int) -> int:
    """Return the flags of a Measurement Status."""
    flags = 0
    for bit, flag in _STATUS.items():
        if word >> bit & 1:
            flags |= int(flag)
    return flags
