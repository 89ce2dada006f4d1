"""Fields of a Generic Health Sensor observation: little endian, each read once, in order.

Errors  DecodeError: a field that goes beyond the end
Source  Bluetooth GHSS 1.0, 3.2 (fields of an observation); ETS 1.0, 3.1 (time stamp)
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from struct import Struct, unpack_from
from typing import Final

from wardlight_edge.devices._gatt import CLOCK_UNSET
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime, Flag

_IS_TICKS, _IS_UTC, _HAS_ZONE, _IS_CURRENT = 0b000001, 0b000010, 0b010000, 0b100000
_MICROSECONDS: Final = (1_000_000, 100_000, 1000, 100)  # by flags b2-3
_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - UTC or the device's wall clock
_ZONES: Final = range(-48, 57)  # quarters of an hour; else not known
_QUARTER_MIN: Final = 15
_U16: Final = Struct("<H").unpack_from
_U32: Final = Struct("<I").unpack_from
_ELAPSED: Final = Struct("<BIHBb").unpack_from
_ELAPSED_OCTETS: Final = 9

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
    """The octets of one observation from ``start`` to ``end``, and how far they are read."""

    __slots__ = ("_at", "_end", "_octets", "_start", "where")

    def __init__(self, octets: bytes, where: str, start: int = 0, end: int | None = None) -> None:
        self._octets = octets
        self._start = self._at = start
        self._end = len(octets) if end is None else end
        self.where = where

    @property
    def left(self) -> int:
        """Octets not read yet."""
        return self._end - self._at

    def part(self, count: int) -> "Fields":
        """Read ``count`` octets as fields of their own."""
        at = self._skip(count)
        return Fields(self._octets, self.where, at, at + count)

    def take(self, count: int) -> bytes:
        """Read ``count`` octets."""
        at = self._skip(count)
        return self._octets[at : at + count]

    def u8(self) -> int:
        """Read an unsigned number of one octet."""
        return self._octets[self._skip(1)]

    def u16(self) -> int:
        """Read an unsigned number of two octets."""
        number: int = _U16(self._octets, self._skip(2))[0]
        return number

    def u32(self) -> int:
        """Read an unsigned number of four octets."""
        number: int = _U32(self._octets, self._skip(4))[0]
        return number

    def codes(self) -> tuple[int, ...]:
        """Read a count and as many 32-bit codes."""
        count = self.u8()
        at = self._skip(4 * count)
        return unpack_from(f"<{count}I", self._octets, at)

    def skip_values_with_type(self) -> None:
        """Read a count and as many type-length-values: type u32, length u16, format u8, value."""
        for _ in range(self.u8()):
            self._skip(4)
            self._skip(1 + self.u16())

    def end(self) -> None:
        """Raise DecodeError unless everything is read."""
        if self._at != self._end:
            raise DecodeError(f"{self.where}: {self.left} bytes more than its fields")

    def time(self) -> tuple[DeviceTime | None, int]:
        """Read an Elapsed Time: flags u8, count u48, source u8, zone s8; (device time, flags)."""
        flags, low, high, _, zone = _ELAPSED(self._octets, self._skip(_ELAPSED_OCTETS))
        return _elapsed(flags, high << 32 | low, zone)

    def _skip(self, count: int) -> int:
        """Go on by ``count`` octets; return where they begin."""
        at = self._at
        if at + count > self._end:
            place = at - self._start
            raise DecodeError(
                f"{self.where}: {count} bytes wanted at {place}, there are {self.left}"
            )
        self._at = at + count
        return at


@lru_cache(maxsize=4096)
def _elapsed(flags: int, count: int, zone: int) -> tuple[DeviceTime | None, int]:
    """A tick counter, a count of 0 and a time line that is no longer the device's own say no time
    of day: DEVICE_CLOCK_UNSET.
    """
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


@lru_cache(maxsize=256)
def status_flags(word: int) -> int:
    """Return the flags of a Measurement Status."""
    flags = 0
    for bit, flag in _STATUS.items():
        if word >> bit & 1:
            flags |= int(flag)
    return flags
