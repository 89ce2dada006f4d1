"""Lines of a capture."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.transports.captures import MAX_LINE, CaptureLine, is_for, parse
from wardlight_shared.errors import DecodeError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"t": 1.25, "device": "strap", "characteristic": "0x2A37", "hex": "16 3C E803"}',
            CaptureLine(1250, "strap", "0x2A37", bytes.fromhex("163CE803")),
        ),
        ('{"serial": "0102"}', CaptureLine(0, None, "", b"\x01\x02")),
        (
            '{"t": 2, "reading": {"metric": "spo2",  "value": 97.0}}',
            CaptureLine(2000, None, "readings", b'{"metric": "spo2",  "value": 97.0}'),
        ),
    ],
)
def test_the_three_forms(line: str, expected: CaptureLine) -> None:
    assert parse(line.encode()) == expected
    assert parse(line.encode() + b"\r\n") == expected


def test_an_empty_line_is_nothing() -> None:
    assert parse(b"  \n") is None


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"t": 1}',
        '{"t": -1, "serial": "00"}',
        '{"t": "now", "serial": "00"}',
        '{"serial": "0"}',
        '{"serial": "zz"}',
        '{"hex": "00"}',
        '{"characteristic": "0x2A37"}',
        '{"characteristic": "2A37", "hex": "00"}',
        '{"characteristic": "0x2A37", "hex": "00", "serial": "00"}',
        '{"serial": "00", "secret": 1}',
        "[" * 3000,
        "x" * (MAX_LINE + 1),
    ],
)
def test_other_lines_are_errors_that_quote_nothing(line: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse(line.encode())
    assert len(str(caught.value)) < 200
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_line_or_a_decode_error(octets: bytes) -> None:
    try:
        parse(octets)
    except DecodeError:
        return


@given(st.floats(0, 1e9), st.binary(max_size=64))
def test_octets_come_back(t: float, octets: bytes) -> None:
    line = parse(json.dumps({"t": t, "serial": octets.hex(" ")}).encode())
    assert line == CaptureLine(round(t * 1000), None, "", octets)


def test_whose_line_it_is() -> None:
    line = CaptureLine(0, "strap", "", b"")
    assert is_for(line, "replay:strap")
    assert not is_for(line, "replay:other")
    assert is_for(CaptureLine(0, None, "", b""), "replay:other")
    assert is_for(CaptureLine(0, "replay:strap", "", b""), "replay:strap")
