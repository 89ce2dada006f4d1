"""Generic Health Sensor: a simple numeric observation (0x2B8B) in one segment.

Out     segmentation u8 | class u8 | length u16 | flags u16 | type u32 | elapsed time 9 | user u8
        | unit u16 | FLOAT
Source  Bluetooth Generic Health Sensor Service 1.0, 3.2; Elapsed Time Service 1.0, 3.1
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from wardlight_lab.devices.encoding import float32, u8, u16

WHOLE: Final = 0b11  # the first segment and the last
NUMERIC: Final = 1
TYPE, TIME, PATIENT = 1 << 0, 1 << 1, 1 << 5
IS_UTC, IS_CURRENT = 0b000010, 0b100000
CELLULAR: Final = 6  # where its time is from
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Quantity(msgspec.Struct, frozen=True):
    """What is measured: the MDC code of its type, and the term of its unit."""

    code: int
    unit: int


SPO2: Final = Quantity(150456, 544)


def encode(quantity: Quantity, value: int, at: datetime, user: int = 1) -> bytes:
    """One observation of now, in UTC."""
    seconds = int((at - EPOCH).total_seconds())
    time = u8(IS_UTC | IS_CURRENT) + seconds.to_bytes(6, "little") + u8(CELLULAR) + u8(0)
    fields = u16(TYPE | TIME | PATIENT) + quantity.code.to_bytes(4, "little") + time + u8(user)
    body = fields + u16(quantity.unit) + float32(Decimal(value))
    return u8(WHOLE) + u8(NUMERIC) + u16(len(body)) + body
