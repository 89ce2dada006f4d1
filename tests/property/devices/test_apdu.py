"""APDUs: any octets end in actions or DecodeError; chunks change nothing."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases, octets
from wardlight_edge.devices import Action, Now, apdu
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError

NOW = Now(0, 0)
KNOWN = [octets(case) for case in cases("apdu")]
AARQ = next(each for each in KNOWN if each[:2] == b"\xe2\x00")[:54]


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    stream = bytearray(draw(st.sampled_from(KNOWN)))
    for _ in range(draw(st.integers(0, 4))):
        stream[draw(st.integers(0, len(stream) - 1))] = draw(st.integers(0, 255))
    return bytes(stream)


@given(stream=_damaged() | st.binary(max_size=80))
def test_any_octets_are_readings_or_a_decode_error(stream: bytes) -> None:
    try:
        readings, _ = apdu.decode_bytes(stream, {})
    except DecodeError as error:
        assert len(str(error)) < 200
        return
    for reading in readings:
        row = METRICS[reading.metric]
        assert reading.unit in (row.unit, *row.units_also)
        assert not isinstance(reading.value, Decimal) or reading.value > 0 or row.name == "battery"


@given(stream=_damaged(), places=st.lists(st.integers(0, 500), max_size=20))
def test_chunks_change_nothing(stream: bytes, places: list[int]) -> None:
    whole_stream = AARQ + stream
    edges = sorted({0, len(whole_stream), *(each % (len(whole_stream) + 1) for each in places)})
    whole, cut = apdu.conversation({}), apdu.conversation({})
    pieces: list[Action] = []
    for start, end in pairwise(edges):
        pieces += cut.received(whole_stream[start:end], NOW)
    found = list(whole.received(whole_stream, NOW))
    # After a stream that cannot be read each further piece is told so again.
    assert pieces[: len(found)] == found or whole.counts.damaged
    assert whole.counts == cut.counts
