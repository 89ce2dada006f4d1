"""Association of an agent: its request, our answer, release and abort.

Source  ISO/IEEE 11073-20601 8.7 (association), A.8 (AarqApdu, AareApdu, RlrqApdu, AbrtApdu)
"""

from enum import IntEnum
from typing import Final

import msgspec

from wardlight_edge.devices._apdu.frames import Choice, encode
from wardlight_edge.devices._apdu.mder import Reader, item, u16
from wardlight_shared.errors import DecodeError

_PROTOCOL_20601: Final = 20601
_MDER: Final = 0x8000
_VERSION_1: Final = 0x80000000
_MANAGER: Final = 0x80000000
_MANAGER_ID: Final = bytes.fromhex("0200005741524431")
"""EUI-64 of this manager, locally administered; agents only compare it."""


class Result(IntEnum):
    """AssociateResult."""

    ACCEPTED = 0
    REJECTED_PERMANENT = 1
    ACCEPTED_UNKNOWN_CONFIG = 3
    REJECTED_NO_COMMON_PROTOCOL = 4
    REJECTED_NO_COMMON_PARAMETER = 5


class AbortReason(IntEnum):
    """Abort-reason."""

    UNDEFINED = 0
    BUFFER_OVERFLOW = 1
    RESPONSE_TIMEOUT = 2
    CONFIGURATION_TIMEOUT = 3


class Request(msgspec.Struct, frozen=True):
    """What an agent asks for: its EUI-64 and the number of its configuration."""

    system_id: bytes
    config_id: int
    is_compatible: bool


def request_of(body: bytes) -> Request | None:
    """Parse an AARQ; None when it offers no protocol of 11073-20601."""
    reader = Reader(body, "AARQ")
    reader.u32()
    found: Request | None = None
    for each in reader.items():
        protocol, information = each.u16(), each.octets()
        if protocol == _PROTOCOL_20601 and found is None:
            found = _information(information)
    reader.end()
    return found


def _information(octets: bytes) -> Request:
    reader = Reader(octets, "AARQ information")
    version, rules, nomenclature = reader.u32(), reader.u16(), reader.u32()
    reader.take(8)  # functional units, system type
    system_id, config_id = reader.octets(), reader.u16()
    reader.take(4)  # what it may be asked for
    reader.attributes()
    reader.end()
    if len(system_id) != 8:
        raise DecodeError(f"AARQ: a system id of {len(system_id)} bytes, has 8")
    is_compatible = bool(version & _VERSION_1 and rules & _MDER and nomenclature & _VERSION_1)
    return Request(system_id, config_id, is_compatible)


def answer(result: Result) -> bytes:
    """An AARE."""
    information = b"".join(
        (
            _VERSION_1.to_bytes(4, "big"),
            u16(_MDER),
            _VERSION_1.to_bytes(4, "big"),
            bytes(4),
            _MANAGER.to_bytes(4, "big"),
            item(_MANAGER_ID),
            bytes(2 + 4 + 4),  # no configuration, no capabilities, no options
        )
    )
    return encode(Choice.AARE, u16(result, _PROTOCOL_20601) + item(information))


def release_answer() -> bytes:
    """An RLRE: released normally."""
    return encode(Choice.RLRE, u16(0))


def abort(reason: AbortReason) -> bytes:
    """An ABRT."""
    return encode(Choice.ABRT, u16(reason))
