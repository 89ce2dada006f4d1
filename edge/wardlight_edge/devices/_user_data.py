"""User Data: the control point 0x2A9F by which a scale gives a user's data after consent.

In      an indication of 0x2A9F: 20 | op code u8 | result u8 | [user index u8], or more after it;
        User Index 0x2A9A, 1 byte; Database Change Increment 0x2A99, u32
Out     Response; ``register``, ``consent`` and ``delete_data`` make the requests. A consent code
        is a number of 0 to 9999 that the person chose: it is a secret of the gateway, in no log
Errors  DecodeError: a response that is none; ValueError: a request that cannot be
Source  Bluetooth UDS 1.1, 3.2 to 3.5 (3.2.2 op codes, 3.2.3 results)
Tests   tests/unit/edge/devices/test_user_data.py
"""

from enum import IntEnum
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._gatt import check_at_least, check_length
from wardlight_shared.errors import DecodeError

CONTROL_POINT: Final = "0x2A9F"
USER_INDEX: Final = "0x2A9A"
CHANGE_INCREMENT: Final = "0x2A99"
UNKNOWN_USER: Final = 255
_RESPONSE: Final = 0x20
_MOST_CONSENT: Final = 9999  # UDS 3.2.2.1
_REGISTER: Final = Struct("<BH")
_CONSENT: Final = Struct("<BBH")


class Request(IntEnum):
    """Op codes of the control point."""

    REGISTER_NEW_USER = 1
    CONSENT = 2
    DELETE_USER_DATA = 3
    LIST_ALL_USERS = 4
    DELETE_USERS = 5


class Result(IntEnum):
    """Results of a request."""

    SUCCESS = 1
    NOT_SUPPORTED = 2
    INVALID_PARAMETER = 3
    FAILED = 4
    NOT_AUTHORISED = 5


_REQUESTS: Final = frozenset(Request)
_RESULTS: Final = frozenset(Result)


class Consent(msgspec.Struct, frozen=True):
    """A user of a device, and the code that opens this user's data. It never shows the code."""

    user: int
    code: int

    def __repr__(self) -> str:
        return f"Consent(user={self.user})"


class Response(msgspec.Struct, frozen=True):
    """The answer of a scale; ``user`` is set where it registered a new one."""

    request: Request
    result: Result
    user: int | None = None


def register(consent_code: int) -> bytes:
    """Ask for a new user with this consent code."""
    return _REGISTER.pack(Request.REGISTER_NEW_USER, _checked_code(consent_code))


def consent(user: int, consent_code: int) -> bytes:
    """Ask for the data of ``user`` (0 to 254)."""
    if not 0 <= user < UNKNOWN_USER:
        raise ValueError("a user index is a number of 0 to 254; 255 is nobody")
    return _CONSENT.pack(Request.CONSENT, user, _checked_code(consent_code))


def delete_data() -> bytes:
    """Ask the scale to forget the user who has consented. Only where an operator wants it."""
    return bytes((Request.DELETE_USER_DATA,))


def response(value: bytes) -> Response:
    """Decode an indication of the control point."""
    check_at_least(CONTROL_POINT, value, 3)
    head, request, result = value[:3]
    if head != _RESPONSE:
        raise DecodeError(f"{CONTROL_POINT}: op code {head:#04x} is no response")
    if request not in _REQUESTS or result not in _RESULTS:
        raise DecodeError(f"{CONTROL_POINT}: response {result} to request {request} is reserved")
    user = None
    if request == Request.REGISTER_NEW_USER and result == Result.SUCCESS:
        check_length(CONTROL_POINT, value, 4)
        user = value[3]
    return Response(Request(request), Result(result), user)


def user_index(value: bytes) -> int | None:
    """Decode User Index: the user who has consented, None for nobody (255)."""
    check_length(USER_INDEX, value, 1)
    return None if value[0] == UNKNOWN_USER else value[0]


def change_increment(value: bytes) -> int:
    """Decode Database Change Increment: it rises when the user's data change."""
    check_length(CHANGE_INCREMENT, value, 4)
    return int.from_bytes(value, "little")


def _checked_code(code: int) -> int:
    if not 0 <= code <= _MOST_CONSENT:
        raise ValueError("a consent code is a number of 0 to 9999")
    return code
