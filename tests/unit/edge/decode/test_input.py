"""Hex as people write it, and where it is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge import decode_input
from wardlight_shared.errors import DecodeError


@pytest.mark.parametrize(
    "text",
    ["00ff10", "00 FF 10", "00:ff:10", "00-FF-10", "0x00 0xFF 0x10", "0x00ff10", "00,ff,10\n"],
)
def test_the_ways_of_writing_hex(text: str) -> None:
    assert decode_input.octets(text) == b"\x00\xff\x10"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("00 f", "HEX: 1 hex digits at character 4"),
        ("00 fg", "HEX: character 5 is no hex digit"),
        ("0x", "HEX: 0 hex digits at character 3"),
        ("00x1", "HEX: character 3 is no hex digit"),
        ("", "HEX: no hex digits"),
        (" :-", "HEX: no hex digits"),
        ("٣٣", "HEX: character 1 is no hex digit"),
    ],
)
def test_what_is_wrong_and_where(text: str, error: str) -> None:
    with pytest.raises(DecodeError) as raised:
        decode_input.octets(text)
    assert str(raised.value).startswith(error)


def test_a_value_a_line() -> None:
    assert decode_input.lines("0001\n\n 02 03 \r\n") == [b"\x00\x01", b"\x02\x03"]
    with pytest.raises(DecodeError, match="line 3: character 1"):
        decode_input.lines("00\n\nzz")
    with pytest.raises(DecodeError, match="no hex digits"):
        decode_input.lines("\n")


def test_too_much_is_refused() -> None:
    with pytest.raises(DecodeError, match="at most"):
        decode_input.octets("0" * (decode_input.MAX_CHARACTERS + 1))


def test_a_message_is_hex_or_its_own_text() -> None:
    assert decode_input.message("4d5348 7c") == b"MSH|"
    assert decode_input.message("MSH|^~\\&|A\nPID|1\n") == b"MSH|^~\\&|A\rPID|1\r"
    assert decode_input.message("MSH|^~\\&|A\r\nPID|1\r\n") == b"MSH|^~\\&|A\rPID|1\r"


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("\ufeffMSH|^~\\&|A\n", b"MSH|^~\\&|A\r"),
        ("\n MSH#^~\\&#A\n", b"MSH#^~\\&#A\r"),
        ("R|1|^^^Glucose|168|mg/dL^P\n", b"R|1|^^^Glucose|168|mg/dL^P\r"),
        ("C 0 0 1", None),
        ("CAFE", b"\xca\xfe"),
    ],
)
def test_a_text_is_known_by_its_beginning(text: str, octets: bytes | None) -> None:
    if octets is None:
        with pytest.raises(DecodeError):
            decode_input.message(text)
    else:
        assert decode_input.message(text) == octets


def test_the_mark_of_utf_8_on_standard_input() -> None:
    text = b"\xef\xbb\xbfMSH|^~\\&|\xc2\xb0".decode(decode_input.STANDARD_INPUT)
    sent = decode_input.message(text, "standard input", decode_input.STANDARD_INPUT)
    assert sent == b"MSH|^~\\&|\xc2\xb0"


@given(st.binary(min_size=1, max_size=64))
def test_hex_of_any_bytes_is_read_back(octets: bytes) -> None:
    assert decode_input.octets(octets.hex(" ")) == octets


@given(st.text(max_size=64))
def test_any_text_is_bytes_or_a_decode_error(text: str) -> None:
    try:
        assert decode_input.octets(text)
    except DecodeError as error:
        assert len(str(error)) < 200
