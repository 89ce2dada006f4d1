"""Fields of a Generic Health Sensor observation: little endian, each read once, in order.

Errors  DecodeError: a field that goes beyond the end
Source  Bluetooth GHSS 1.0, 3.2 (fields of an observation); ETS 1.0, 3.1 (time stamp)
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from struct import Struct, unpack_from
from typing import Final

from wardlight_edge.devices._gatt import CLOCK_UNSET, day_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime, Flag

_IS_TICKS, _IS_UTC, _HAS_ZONE, _IS_CURRENT = 0b000001, 0b000010, 0b010000, 0b100000
_MICROSECONDS: Final = (1_000_000, 100_000, 1000, 100)  # by flags b2-3
_EPOCH: Final = date(2000, 1, 1).toordinal()  # of UTC or of the device's wall clock
_ZONES: Final = range(-48, 57)  # quarters of an hour; else not known
_QUARTER_MIN: Final = 15
_U16: Final = Struct("<H").unpack_from
_U32: Final = Struct("<I").unpack_from

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
    """The octets of one observation from ``start`` to the end, and how far they are read."""

    __slots__ = ("_at", "_end", "_octets", "where")

    def __init__(self, octets: bytes, where: str, start: int) -> None:
        self._octets = octets
        self._at = start
        self._end = len(octets)
        self.where = where

    @property
    def left(self) -> int:
        """Octets not read yet."""
        return self._end - self._at

    def enter(self, count: int) -> int:
        """Go no further than the next ``count`` octets; return the end there was, for ``leave``."""
        outer, end = self._end, self._at + count
        if end > outer:
            raise self._short(count)
        self._end = end
        return outer

    def leave(self, outer: int) -> None:
        """Raise DecodeError unless the part is read to its end; go on with what is around it."""
        if self._at != self._end:
            raise DecodeError(f"{self.where}: {self.left} bytes more than its fields")
        self._end = outer

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

    def read(self, layout: Struct) -> tuple[int, ...]:
        """Read numbers that stand one behind the other."""
        # Most of an observation is read here: without a call to _skip.
        at, self._at = self._at, self._at + layout.size
        if self._at > self._end:
            self._at = at
            raise self._short(layout.size)
        return layout.unpack_from(self._octets, at)

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

    def _skip(self, count: int) -> int:
        """Go on by ``count`` octets; return where they begin."""
        at = self._at
        if at + count > self._end:
            raise self._short(count)
        self._at = at + count
        return at

    def _short(self, count: int) -> DecodeError:
        return DecodeError(
            f"{self.where}: {count} bytes wanted at {self._at}, there are {self.left}"
        )


def elapsed_time(
    flags: int, low: int, high: int, source: int, zone: int
) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags) of an Elapsed Time: flags u8, count u48, source u8, zone s8.

    A tick counter, a count of 0 and a time line that is no longer the device's own say no time
    of day: DEVICE_CLOCK_UNSET.
    """
    del source
    count = high << 32 | low
    if flags & _IS_TICKS or not count or not flags & _IS_CURRENT:
        return None, CLOCK_UNSET
    offset = zone * _QUARTER_MIN if flags & _HAS_ZONE and zone in _ZONES else None
    if flags & _IS_UTC and offset is None:
        offset = 0
    seconds = count * _MICROSECONDS[flags >> 2 & 0b11] // 1_000_000
    days, second = divmod(seconds + (offset or 0) * 60 * bool(flags & _IS_UTC), 86_400)
    day = day_of(_EPOCH + days)
    if day is None:
        return None, CLOCK_UNSET
    minutes, second = divmod(second, 60)
    hour, minute = divmod(minutes, 60)
    return DeviceTime(*day, hour, minute, second, offset), 0


@lru_cache(maxsize=256)
def status_flags(word: int) -> int:
    """Return the flags of a Measurement Status."""
    flags = 0
    for bit, flag in _STATUS.items():
        if word >> bit & 1:
            flags |= int(flag)
    return flags
