"""Battery Level 0x2A19.

In      one value of 1 byte: level u8 in %
Out     battery in %; above 100 the level is INVALID with the number kept in raw_value
Errors  DecodeError: another length
Source  Bluetooth BAS 1.1, 3.1; GSS Battery Level (101 to 255 reserved)
Vectors tests/vectors/battery.toml
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from wardlight_edge.devices._gatt import check_length, decode_value, number
from wardlight_shared.model import Absent, Reading

_FULL: Final = 100


def _level(value: bytes) -> tuple[Reading, ...]:
    check_length("0x2A19", value, 1)
    reason = Absent.INVALID if value[0] > _FULL else None
    level, raw, raw_unit = number(Decimal(value[0]), "%", reason)
    return (Reading("battery", level, "%", raw, raw_unit),)


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {"0x2A19": _level}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)
