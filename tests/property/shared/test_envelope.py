"""Whatever a peer sends: values, or an EnvelopeError; whatever we seal opens to the same."""

import msgspec
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from wardlight_shared import control, envelope, records
from wardlight_shared.control import Ack, GatewayConfig, GatewayState, Hello, Receipt
from wardlight_shared.envelope import Clock, SendHeader, SeriesEntry
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import Body, EventBody, GapBody, Lane, Record, SeriesKey, TimeMethod

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(max_size=20)
MILLIS = st.none() | st.integers(0, (1 << 53) - 1)

EVENTS = st.builds(
    EventBody,
    age_ms=INT64,
    method=st.sampled_from(TimeMethod),
    error_ms=MILLIS,
    ord=st.integers(0, (1 << 31) - 1),
    device_time=st.none() | INT64 | TEXT,
    skew_s=st.none() | INT64,
    series=st.lists(st.integers(0, (1 << 31) - 1), max_size=4),
    mantissas=st.lists(INT64, max_size=4),
    scales=st.lists(st.integers(-128, 127), max_size=4),
    absents=st.none() | st.lists(st.integers(0, 255), max_size=4),
    flags=st.none() | st.lists(st.integers(0, (1 << 62) - 1), max_size=4),
    raws=st.none() | st.lists(st.none() | st.tuples(INT64, st.integers(-128, 127)), max_size=4),
    context=st.none() | st.lists(st.tuples(TEXT, TEXT), max_size=2),
)
GAPS = st.builds(
    GapBody,
    cause=TEXT,
    device=st.none() | TEXT,
    count=st.integers(0, (1 << 31) - 1),
    age_ms=st.integers(0, (1 << 53) - 1),
    seqs=st.none() | st.lists(st.tuples(INT64, INT64), max_size=3),
)
BODIES = EVENTS | GAPS
JUNK = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats() | TEXT | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=14) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=40,
)


@given(body=BODIES)
def test_a_body_comes_back(body: Body) -> None:
    assert records.decode_body(records.encode_body(body)) == body


@given(data=st.data())
def test_a_sealed_message_opens_to_the_same(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 20))
    bodies = data.draw(st.lists(BODIES, min_size=count, max_size=count))
    seqs = sorted(data.draw(st.sets(st.integers(1, 1 << 40), min_size=count, max_size=count)))
    times = data.draw(st.lists(st.integers(-(1 << 61), 1 << 61), min_size=count, max_size=count))
    ids = data.draw(
        st.lists(st.none() | st.binary(min_size=16, max_size=16), min_size=count, max_size=count)
    )
    kept = [
        Record(seq, Lane.LIVE, event_id, 1, 0, 0, records.encode_body(body))
        for seq, event_id, body in zip(seqs, ids, bodies, strict=True)
    ]
    header = SendHeader("gw-1", 7, 1, 0, 0, [Clock(3, None)])
    message = envelope.seal(header, [SeriesEntry(0, SeriesKey("x", 1))], kept, times)
    opened = envelope.open_envelope(message)
    assert envelope.sums(opened.seqs) == seqs
    assert envelope.sums(opened.times_ms) == times
    assert opened.event_ids == (ids if any(ids) else None)
    assert opened.bodies == bodies
    assert envelope.open_leniently(message) == (opened, {})


@given(octets=st.binary(max_size=300))
def test_shrink_comes_back(octets: bytes) -> None:
    packed = envelope.shrink(octets)
    assert len(packed) <= len(octets)
    if not octets.startswith(b"\x28\xb5\x2f\xfd"):
        assert envelope.expand(packed) == octets


def _feed(message: bytes) -> None:
    """Everything a peer can reach with these bytes; only EnvelopeError may come back."""
    for opener in (envelope.open_envelope, envelope.open_leniently, records.decode_body):
        try:
            opener(message)
        except EnvelopeError as error:
            assert error.where
    for kind in (Ack, GatewayConfig, GatewayState, Hello, Receipt):
        try:
            control.decode(message, kind)  # type: ignore[type-var]
        except EnvelopeError as error:
            assert error.where


@given(message=st.binary(max_size=200))
def test_any_bytes(message: bytes) -> None:
    _feed(message)


@given(message=st.binary(max_size=200))
def test_any_bytes_in_a_zstd_frame(message: bytes) -> None:
    _feed(zstandard.ZstdCompressor().compress(message))
    _feed(b"\x28\xb5\x2f\xfd" + message)


@given(junk=JUNK)
def test_any_messagepack(junk: object) -> None:
    _feed(msgspec.msgpack.encode(junk))


@given(data=st.data())
def test_one_wrong_position(data: st.DataObject) -> None:
    """A good message with one position replaced by anything."""
    positions: list[object] = [1, "gw-1", 7, 1, 0, 0, [[3, 20]], [[0, ["x", 1]]], [5], [0]]
    positions += [None, None, [[6, "link-lost", None, 3, 1000]]]
    positions[data.draw(st.integers(0, 12))] = data.draw(JUNK)
    _feed(msgspec.msgpack.encode(positions))


@given(depth=st.integers(1, 60_000), octet=st.sampled_from([0x91, 0x92, 0x81, 0x9D]))
def test_any_nesting(depth: int, octet: int) -> None:
    _feed(bytes([octet]) * depth)
    _feed(b"\x9d\x01" + bytes([octet]) * depth)
