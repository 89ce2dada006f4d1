"""Record Access Control Point 0x2A52: requests, answers, and all records over any number of links.

In      an indication: op code u8 | operator u8 | operand
        5 number of records: operator 0 | count of 1, 2 or 4 bytes, little endian
        6 response: operator 0 | request op code u8 | response code u8
Out     Count or Response; the requests as octets
Errors  DecodeError: an op code that is no answer, another length
Source  Bluetooth GLS 1.0.1, 3.4; GLP 1.0.1, 5.5; CGMS 1.0.2, 3.9; PLXS 1.0.1, 3.5
"""

from enum import IntEnum
from typing import Final

import msgspec

from wardlight_shared.errors import DecodeError

CHANNEL: Final = "0x2A52"
_SEQUENCE: Final = 1  # filter type: sequence number, time offset for a CGM
_COUNT_SIZES: Final = frozenset({1, 2, 4})


class Op(IntEnum):
    """Op codes (GLS 3.4.1). Delete is not among them: a gateway never deletes."""

    REPORT = 1
    ABORT = 3
    COUNT = 4
    COUNT_RESPONSE = 5
    RESPONSE = 6


class Operator(IntEnum):
    """Which records (GLS 3.4.2)."""

    NULL = 0
    ALL = 1
    FROM = 3  # greater than or equal to
    FIRST = 5
    LAST = 6


class Code(IntEnum):
    """Response codes (GLS 3.4.4)."""

    SUCCESS = 1
    OP_CODE_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7
    NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9


class Count(msgspec.Struct, frozen=True):
    """How many records there are."""

    number: int


class Response(msgspec.Struct, frozen=True):
    """How a request ended; ``code`` may be one that the specification reserves."""

    request: int
    code: int


def report(operator: Operator, number: int | None = None) -> bytes:
    """Ask for records; ``number`` is the lowest, for FROM."""
    return _request(Op.REPORT, operator, number)


def count(operator: Operator, number: int | None = None) -> bytes:
    """Ask how many records there are."""
    return _request(Op.COUNT, operator, number)


def abort() -> bytes:
    """End whatever the device is doing."""
    return _request(Op.ABORT, Operator.NULL, None)


def _request(op: Op, operator: Operator, number: int | None) -> bytes:
    operand = b"" if number is None else bytes([_SEQUENCE]) + number.to_bytes(2, "little")
    return bytes([op, operator]) + operand


def answer(value: bytes) -> Count | Response:
    """Decode an indication."""
    if len(value) < 3 or value[1] != Operator.NULL:
        raise DecodeError(f"{CHANNEL}: {len(value)} bytes are no answer of a control point")
    if value[0] == Op.COUNT_RESPONSE and len(value) - 2 in _COUNT_SIZES:
        return Count(int.from_bytes(value[2:], "little"))
    if value[0] == Op.RESPONSE and len(value) == 4:
        return Response(value[2], value[3])
    raise DecodeError(f"{CHANNEL}: op code {value[0]} with {len(value)} bytes is no answer")


def no_readings(value: bytes) -> tuple[()]:
    """Decode an indication for whoever wants its readings: it has none."""
    answer(value)
    return ()


BUSY: Final = frozenset({0x80, 0xFE})
"""ATT errors of a write: the device is at another procedure (GLS 1.6; CSS part B, 1.2)."""

NOT_SWITCHED_ON: Final = frozenset({0x81, 0xFD})
"""ATT errors of a write: the notifications of the records are not switched on."""

NOT_BY_NUMBER: Final = frozenset(
    {
        Code.INVALID_OPERATOR,
        Code.OPERATOR_NOT_SUPPORTED,
        Code.INVALID_OPERAND,
        Code.OPERAND_NOT_SUPPORTED,
    }
)
"""Responses of a device that does not know the operator or the filter it was asked by."""
