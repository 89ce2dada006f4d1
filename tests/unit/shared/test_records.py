"""Record bodies: bytes by hand from docs/wire-format.md and the MessagePack specification."""

import msgspec
import pytest

from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import (
    BlockBody,
    Body,
    Column,
    EventBody,
    GapBody,
    Group,
    Kind,
    Lane,
    SeriesKey,
    StatusBody,
    TimeMethod,
    WaveformBody,
    decode_body,
    encode_body,
    event_ord,
)

EVENT = EventBody(
    age_ms=0,
    method=TimeMethod.RECEIPT,
    error_ms=None,
    ord=0,
    device_time=None,
    skew_s=None,
    series=[0],
    mantissas=[365],
    scales=[-1],
)
# array of 10: kind, age, method, nil error, ord, nil, nil, [0], [365], [-1]
EVENT_BYTES = bytes.fromhex("9A 01 00 00 C0 00 C0 C0 91 00 91 CD016D 91 FF")

BODIES: list[Body] = [
    EVENT,
    EventBody(
        age_ms=-5,
        method=TimeMethod.DEVICE_CLOCK,
        error_ms=2106,
        ord=256,
        device_time=771_787_047,
        skew_s=-3600,
        series=[0, 1],
        mantissas=[120, 0],
        scales=[0, 0],
        absents=[0, 1],
        flags=[0, 1 << 24],
        raws=[(160, -1), None],
        context=[("meal", "fasting")],
    ),
    BlockBody(
        method=TimeMethod.SAMPLE_COUNT,
        error_ms=0,
        groups=[Group(0, 10, 100, 3, 1, b"", [Column(0, 0, 97, 1, b"\x00\xff", [(1, 6)])])],
    ),
    WaveformBody(0, 75_000, 0, 0, b"\x01\x00\x02\x00"),
    StatusBody(None, "battery", {"percent": 38, "low": False, "text": "ok", "none": None}),
    GapBody("link-lost", "ble:00112233AABB", 60, 60_000, [(1, 60)]),
]


def test_an_event_has_the_bytes_of_its_description() -> None:
    assert encode_body(EVENT) == EVENT_BYTES
    assert decode_body(EVENT_BYTES) == EVENT


def test_trailing_defaults_may_be_left_out_or_not() -> None:
    """Older gateways send them."""
    assert decode_body(b"\x9e" + EVENT_BYTES[1:] + b"\xc0" * 4) == EVENT


def test_only_what_is_nil_at_the_end_is_left_out() -> None:
    body = msgspec.structs.replace(EVENT, flags=[1])
    assert encode_body(body) == b"\x9c" + EVENT_BYTES[1:] + bytes.fromhex("C0 91 01")
    with_offset = msgspec.structs.replace(EVENT, offset_min=-210)
    assert encode_body(with_offset) == b"\x9f" + EVENT_BYTES[1:] + bytes.fromhex("C0C0C0C0 D1FF2E")
    positions_that_must_stand = StatusBody(None, "radio", {})
    assert encode_body(positions_that_must_stand) == bytes.fromhex("94 04 C0 A5 726164696F 80")


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_each_kind_both_ways(body: Body) -> None:
    assert decode_body(encode_body(body)) == body
    assert decode_body(msgspec.Raw(encode_body(body))) == body


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (EVENT, Kind.EVENT),
        (BODIES[2], Kind.BLOCK),
        (BODIES[3], Kind.WAVEFORM),
        (BODIES[4], Kind.STATUS),
        (BODIES[5], Kind.GAP),
    ],
)
def test_position_0_is_the_kind(body: Body, kind: Kind) -> None:
    assert encode_body(body)[1] == kind


def test_wire_codes_never_change() -> None:
    assert {kind.name: int(kind) for kind in Kind} == {
        "EVENT": 1,
        "BLOCK": 2,
        "WAVEFORM": 3,
        "STATUS": 4,
        "GAP": 6,
    }
    assert [lane.name for lane in sorted(Lane)] == ["ALARM", "LIVE", "BACKFILL", "BULK"]
    assert [int(method) for method in TimeMethod] == [0, 1, 2, 3]


def _event(**changes: object) -> bytes:
    positions = [1, 0, 0, None, 0, None, None, [0], [365], [-1], None, None, None, None]
    names = ("kind", *EventBody.__struct_fields__)
    for name, value in changes.items():
        positions[names.index(name)] = value  # type: ignore[call-overload]
    return msgspec.msgpack.encode(positions)


@pytest.mark.parametrize(
    ("octets", "where"),
    [
        (b"", "truncated"),
        (b"\x90", "length"),
        (b"\xc0", "array"),
        (EVENT_BYTES[:-1], "truncated"),
        (EVENT_BYTES + b"\x00", "trailing"),
        (_event(kind=5), "$[0]"),
        (_event(kind="event"), "$[0]"),
        (_event(age_ms="0"), "$[1]"),
        (_event(method=4), "$[2]"),
        (_event(error_ms=-1), "$[3]"),
        (_event(error_ms=1 << 53), "$[3]"),
        (_event(ord=-1), "$[4]"),
        (_event(ord=1 << 31), "$[4]"),
        (_event(device_time="x" * 257), "$[5]"),
        (_event(skew_s=1.5), "$[6]"),
        (_event(series=[-1]), "$[7][0]"),
        (_event(mantissas=[1 << 63]), "$[8][0]"),
        (_event(scales=[128]), "$[9][0]"),
        (_event(absents=[256]), "$[10][0]"),
        (_event(flags=[-1]), "$[11][0]"),
        (_event(flags=[1 << 62]), "$[11][0]"),
        (_event(raws=[[1]]), "$[12][0]"),
        (_event(context=[["a", "b", "c"]]), "$[13][0]"),
        (_event(context=[["a" * 257, "b"]]), "$[13][0][0]"),
        (b"\x91" * 60_000, "$[0]"),
        (b"\x9e\x01" + b"\x91" * 60_000, "$[1]"),
        (bytes.fromhex("94 04 A1FF A0 80"), "$"),
    ],
)
def test_a_wrong_body_names_its_position(octets: bytes, where: str) -> None:
    with pytest.raises(EnvelopeError) as raised:
        decode_body(octets)
    assert where in str(raised.value)


@pytest.mark.parametrize(
    "key",
    [
        SeriesKey("ble:00112233AABB", 4),
        SeriesKey("ble:00112233AABB", 16, "[lb_av]", 3, "left-arm", None),
        SeriesKey("serial:x", 35, "ms", raw_unit="s/1024", factor=9_765_625),
    ],
)
def test_series_key_both_ways(key: SeriesKey) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(key), type=SeriesKey) == key


def test_ord_of_a_record_number() -> None:
    assert event_ord(1, None) == 256
    assert event_ord(1, b"\xff" * 16) == 256
    assert event_ord(0x80_0001, None) == 256  # the low 23 bits
    assert event_ord(0x7F_FFFF, None) < 1 << 31


def test_ord_of_an_event_id() -> None:
    assert event_ord(None, bytes.fromhex("000001") + bytes(13)) == 256
    assert event_ord(None, bytes.fromhex("FFFFFF") + bytes(13)) == 0x7F_FFFF << 8
    assert event_ord(None, None) == 0
