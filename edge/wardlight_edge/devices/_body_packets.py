"""A Body Composition Measurement in two packets: joined into the one value it is.

In      values of 0x2A9C with flag b12; the second has flags and body fat again and the fields that
        found no room in the first, mostly without time and user
Out     one value with the fields of both, b12 cleared, in the order of the specification. Packets
        that contradict each other (unit, time, user, a number) are no pair: each is a value alone
Errors  DecodeError: length that the flags do not account for
Source  Bluetooth BCS 1.0, 3.2.1 (Multiple Packet Measurement); how the fields are shared out as in
        goodix-ble/GR5525-Smart-Watch, components/profiles/bcs/bcs.c
"""

from collections.abc import Mapping
from struct import Struct
from typing import Final

from wardlight_edge.devices._gatt import DATE_TIME_LENGTH, check_at_least, check_length

NAME: Final = "0x2A9C"
_HEAD: Final = Struct("<HH")
_IS_PART: Final = 1 << 12
_IS_IMPERIAL: Final = 1
# Length of the field of each flag, in the order in which the fields stand.
_SIZES: Final = {1: DATE_TIME_LENGTH, 2: 1, **dict.fromkeys(range(3, 12), 2)}


class BodyPackets:
    """Waits for the second packet; keeps at most one."""

    def __init__(self) -> None:
        self._first: bytes | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a second packet must come."""
        return self._first is not None

    def take(self, value: bytes) -> tuple[bytes, ...]:
        """Take a value of 0x2A9C; return those that are whole now, or that nothing follows."""
        flags, _, _ = _split(value)
        if not flags & _IS_PART:
            return (value,)
        first, self._first = self._first, None
        if first is None:
            self._first = value
            return ()
        whole = _joined(first, value)
        if whole is None:
            self._first = value
            return (first,)
        return (whole,)

    def left(self) -> tuple[bytes, ...]:
        """Nothing follows any more: the first packet, if one waits."""
        first, self._first = self._first, None
        return () if first is None else (first,)


def _split(value: bytes) -> tuple[int, int, Mapping[int, bytes]]:
    """Flags, body fat, and the octets of each field by the bit of its flag."""
    check_at_least(NAME, value, _HEAD.size)
    flags, fat = _HEAD.unpack_from(value)
    at, fields = _HEAD.size, {}
    for bit, size in _SIZES.items():
        if flags >> bit & 1:
            fields[bit] = value[at : at + size]
            at += size
    check_length(NAME, value, at)
    return flags, fat, fields


def _joined(first: bytes, second: bytes) -> bytes | None:
    flags, fat, fields = _split(first)
    more_flags, more_fat, more = _split(second)
    differ = any(fields[bit] != more[bit] for bit in fields.keys() & more.keys())
    if differ or (flags ^ more_flags) & _IS_IMPERIAL or (fat and more_fat and fat != more_fat):
        return None
    both = {**fields, **more}
    head = _HEAD.pack((flags | more_flags) & ~_IS_PART, fat or more_fat)
    return head + b"".join(both[bit] for bit in sorted(both))
