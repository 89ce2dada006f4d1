"""MDER: the octets of ISO/IEEE 11073-20601, big endian, read with bounds.

Out     numbers, octet strings, lists of attributes; SFLOAT and FLOAT as Decimal or Absent; the
        8 octets of AbsoluteTime (BCD) and of BaseOffsetTime as DeviceTime, those of
        HighResRelativeTime as microseconds
Errors  DecodeError: more asked for than is there, a digit that is none, octets left over
Source  ISO/IEEE 11073-20601 annex F (MDER), annex A.2 (AttributeList, AbsoluteTime,
        BaseOffsetTime, HighResRelativeTime); RFC 4330, 3 (eras of NTP)
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from wardlight_edge.devices._gatt import CLOCK_UNSET
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import float_from_word, sfloat_from_word
from wardlight_shared.model import Absent, DeviceTime

TIME_OCTETS: Final = 8
_NTP_EPOCH: Final = datetime(1900, 1, 1)  # noqa: DTZ001 - UTC, as a device's wall clock
_NTP_ERA_S: Final = 1 << 32
_FIRST_ERA: Final = 1 << 31
_MOST_OFFSET_MIN: Final = 14 * 60


class Reader:
    """Reads octets from the front."""

    def __init__(self, octets: bytes, what: str) -> None:
        self._octets = octets
        self._at = 0
        self._what = what

    @property
    def left(self) -> int:
        """Octets that were not read."""
        return len(self._octets) - self._at

    def take(self, count: int) -> bytes:
        """The next ``count`` octets."""
        if count > self.left:
            raise DecodeError(f"{self._what}: {count} bytes needed at {self._at}, {self.left} left")
        self._at += count
        return self._octets[self._at - count : self._at]

    def number(self, size: int) -> int:
        """An unsigned integer of ``size`` octets."""
        return int.from_bytes(self.take(size), "big")

    def u16(self) -> int:
        """INT-U16."""
        return self.number(2)

    def u32(self) -> int:
        """INT-U32."""
        return self.number(4)

    def octets(self) -> bytes:
        """An octet string: its length in 2 octets, then itself."""
        return self.take(self.u16())

    def part(self) -> "Reader":
        """A reader of the next octet string."""
        return Reader(self.octets(), self._what)

    def items(self) -> Iterator["Reader"]:
        """A list: count and length, then the items; the reader given stands before each."""
        count = self.u16()
        inner = self.part()
        for _ in range(count):
            yield inner
        inner.end()

    def attributes(self) -> dict[int, bytes]:
        """An AttributeList: attribute id to its value."""
        return {each.u16(): each.octets() for each in self.items()}

    def sfloat(self) -> Decimal | Absent:
        """SFLOAT-Type."""
        return sfloat_from_word(self.u16())

    def float(self) -> Decimal | Absent:
        """FLOAT-Type."""
        return float_from_word(self.u32())

    def end(self) -> None:
        """DecodeError when something is left."""
        if self.left:
            raise DecodeError(f"{self._what}: {self.left} bytes too many")


def absolute_time(octets: bytes) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags) of AbsoluteTime; a date no calendar has is no time."""
    if len(octets) != TIME_OCTETS:
        raise DecodeError(f"AbsoluteTime: {len(octets)} bytes, has {TIME_OCTETS}")
    digits = octets.hex()
    if not digits.isdigit():
        return None, CLOCK_UNSET
    year, rest = int(digits[:4]), [int(digits[at : at + 2]) for at in range(4, 14, 2)]
    month, day, hour, minute, second = rest
    try:
        datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a check of ranges
    except ValueError:
        return None, CLOCK_UNSET
    return DeviceTime(year, month, day, hour, minute, second), 0


def base_offset_time(octets: bytes) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags) of BaseOffsetTime: seconds as in NTP, fraction, minutes.

    The time is local and states its offset from UTC; an offset that no zone has leaves it in UTC.
    0 is no time. Seconds without their first bit are of the era that begins in 2036.
    """
    if len(octets) != TIME_OCTETS:
        raise DecodeError(f"BaseOffsetTime: {len(octets)} bytes, has {TIME_OCTETS}")
    seconds = int.from_bytes(octets[:4], "big")
    if not seconds:
        return None, CLOCK_UNSET
    offset = int.from_bytes(octets[6:], "big", signed=True)
    if abs(offset) > _MOST_OFFSET_MIN:
        offset = 0
    era_s = 0 if seconds & _FIRST_ERA else _NTP_ERA_S
    moment = _NTP_EPOCH + timedelta(seconds=era_s + seconds, minutes=offset)
    day, clock = (moment.year, moment.month, moment.day), (moment.hour, moment.minute)
    return DeviceTime(*day, *clock, moment.second, offset), 0


def high_resolution(octets: bytes) -> int:
    """Return the microseconds of a HighResRelativeTime."""
    reader = Reader(octets, "high-resolution relative time")
    count = reader.number(TIME_OCTETS)
    reader.end()
    return count


def item(octets: bytes) -> bytes:
    """An octet string with its length."""
    return len(octets).to_bytes(2, "big") + octets


def u16(*numbers: int) -> bytes:
    """INT-U16, one after the other."""
    return b"".join(number.to_bytes(2, "big") for number in numbers)
