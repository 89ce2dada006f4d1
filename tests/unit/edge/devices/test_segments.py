"""Observations in several notifications: joined in order, lost ones noticed, nothing unbounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases, octets
from wardlight_edge.devices import generic_health_sensor as ghs
from wardlight_shared.errors import DecodeError

LIVE, STORED = "0x2B8B", "0x2BDD"
WHOLE = [
    (case["characteristic"], octets(case)) for case in cases("generic_health_sensor")
    if "error" not in case
]  # fmt: skip


def _segments(value: bytes, sizes: list[int], counter: int) -> list[bytes]:
    """The value cut at will: header with first, last and a rolling counter before each piece."""
    pieces, body = [], value[1:]
    for size in sizes:
        pieces.append(body[:size])
        body = body[size:]
    pieces.append(body)
    last = len(pieces) - 1
    return [
        bytes([(at == 0) | (at == last) << 1 | (counter + at) % 64 << 2]) + piece
        for at, piece in enumerate(pieces)
    ]


@given(
    whole=st.sampled_from(WHOLE),
    sizes=st.lists(st.integers(0, 20), max_size=5),
    counter=st.integers(0, 63),
)
def test_segments_give_what_the_whole_gives(
    whole: tuple[str, bytes], sizes: list[int], counter: int
) -> None:
    characteristic, value = whole
    assembler = ghs.assembler()
    *first, last = _segments(value, sizes, counter)
    for segment in first:
        assert assembler.take(characteristic, segment) is None
    joined = assembler.take(characteristic, last)
    assert joined is not None
    assert ghs.decode(characteristic, joined) == ghs.decode(characteristic, value)


@given(
    whole=st.sampled_from(WHOLE),
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    lost=st.integers(0, 3),
)
def test_a_lost_segment_gives_no_value_and_the_next_one_is_whole(
    whole: tuple[str, bytes], sizes: list[int], lost: int
) -> None:
    characteristic, value = whole
    assembler = ghs.assembler()
    segments = _segments(value, sizes, 0)
    del segments[min(lost, len(segments) - 2)]
    with pytest.raises(DecodeError, match="one was lost"):
        for segment in segments:
            assert assembler.take(characteristic, segment) is None
    assert assembler.take(characteristic, value) is not None


def test_the_two_characteristics_do_not_mix() -> None:
    assembler = ghs.assembler()
    live, stored = dict(WHOLE)[LIVE], dict(WHOLE)[STORED]
    one, two = _segments(live, [5], 3), _segments(stored, [5], 9)
    assert assembler.take(LIVE, one[0]) is None
    assert assembler.take(STORED, two[0]) is None
    assert assembler.take(LIVE, one[1]) == b"\x03" + live[1:]
    assert assembler.take(STORED, two[1]) == b"\x03" + stored[1:]


def test_an_endless_observation_is_given_up() -> None:
    assembler = ghs.assembler()
    assembler.take(LIVE, b"\x01" + bytes(60_000))
    with pytest.raises(DecodeError, match="over 65543 bytes"):
        assembler.take(LIVE, b"\x04" + bytes(60_000))
    with pytest.raises(DecodeError, match="one was lost"):
        assembler.take(LIVE, b"\x08")


def test_other_characteristics_pass() -> None:
    assert ghs.assembler().take("0x2A19", b"\x64") == b"\x64"
    with pytest.raises(DecodeError, match="at least 1"):
        ghs.assembler().take(LIVE, b"")
