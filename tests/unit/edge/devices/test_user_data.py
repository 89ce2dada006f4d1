"""User Data control point; expected bytes by hand from UDS 1.1, 3.2."""

import pytest

from wardlight_edge.devices import _user_data as user_data
from wardlight_edge.devices._user_data import Request, Response, Result
from wardlight_shared.errors import DecodeError


def test_requests() -> None:
    assert user_data.register(9999).hex() == "010f27"
    assert user_data.consent(1, 1234).hex() == "0201d204"
    assert user_data.consent(254, 0).hex() == "02fe0000"
    assert user_data.delete_data().hex() == "03"


@pytest.mark.parametrize("code", [-1, 10_000, 65_535])
def test_a_consent_code_has_four_digits(code: int) -> None:
    with pytest.raises(ValueError, match="0 to 9999"):
        user_data.register(code)
    with pytest.raises(ValueError, match="0 to 9999"):
        user_data.consent(0, code)


@pytest.mark.parametrize("user", [-1, 255])
def test_nobody_cannot_consent(user: int) -> None:
    with pytest.raises(ValueError, match="255 is nobody"):
        user_data.consent(user, 0)


@pytest.mark.parametrize(
    ("octets", "response"),
    [
        ("20010103", Response(Request.REGISTER_NEW_USER, Result.SUCCESS, 3)),
        ("200104", Response(Request.REGISTER_NEW_USER, Result.FAILED)),
        ("200201", Response(Request.CONSENT, Result.SUCCESS)),
        ("200205", Response(Request.CONSENT, Result.NOT_AUTHORISED)),
        ("200302", Response(Request.DELETE_USER_DATA, Result.NOT_SUPPORTED)),
    ],
)
def test_responses(octets: str, response: Response) -> None:
    assert user_data.response(bytes.fromhex(octets)) == response


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        ("", "at least 3"),
        ("2002", "at least 3"),
        ("210201", "no response"),
        ("200200", "reserved"),
        ("200601", "reserved"),
        ("200101", "ask for 4"),
        ("2001010300", "ask for 4"),
    ],
)
def test_what_is_no_response(octets: str, error: str) -> None:
    with pytest.raises(DecodeError, match=error):
        user_data.response(bytes.fromhex(octets))


def test_index_and_increment() -> None:
    assert user_data.user_index(b"\x02") == 2
    assert user_data.user_index(b"\xff") is None
    assert user_data.change_increment(b"\x01\x02\x00\x00") == 513
    with pytest.raises(DecodeError):
        user_data.user_index(b"")
    with pytest.raises(DecodeError):
        user_data.change_increment(b"\x01")
