"""Serial oximeters: indifferent to chunks; noise and damage never make a number."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices import Frame, Framer, serial_contec, serial_masimo, serial_nonin_df8

RAD8 = (
    b"02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% SPCO=--.-% SPMET=--.-% DESAT=-- "
    b"PIDELTA=+-- ALARM=0000 EXC=000800\r\n"
)
V46 = bytes.fromhex("01E085B396C1E1FFFF")
LINES: dict[str, tuple[Callable[[], Framer], bytes, int]] = {
    "bci": (lambda: serial_contec.framer({}), bytes.fromhex("C530054862"), 150),
    "v46": (lambda: serial_contec.framer({"data_format": "v46"}), V46, 150),
    "df8": (lambda: serial_nonin_df8.framer({}), bytes.fromhex("80486100"), 12),
    "masimo": (lambda: serial_masimo.framer({}), RAD8, 4),
}
NAMES = sorted(LINES)


@st.composite
def _damaged(draw: st.DrawFn, stream: bytes) -> bytes:
    octets = bytearray(stream)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(octets) - 1))
        match draw(st.sampled_from(["lose", "add", "change"])):
            case "lose":
                del octets[at]
            case "add":
                octets.insert(at, draw(st.integers(0, 255)))
            case _:
                octets[at] ^= draw(st.integers(1, 255))
    return bytes(octets)


def _fed(framer: Framer, pieces: list[bytes]) -> tuple[Frame, ...]:
    return tuple(frame for piece in pieces for frame in framer.feed(piece))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), places=st.lists(st.integers(0, 2000), max_size=20))
def test_chunking_changes_nothing(name: str, data: st.DataObject, places: list[int]) -> None:
    make, frame, count = LINES[name]
    stream = data.draw(_damaged(frame * count))
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    whole, cut, single = make(), make(), make()
    frames = whole.feed(stream)
    assert _fed(cut, [stream[start:end] for start, end in pairwise(edges)]) == frames
    assert _fed(single, [stream[at : at + 1] for at in range(len(stream))]) == frames
    assert whole.counts == cut.counts == single.counts


@pytest.mark.parametrize("name", NAMES)
@given(noise=st.binary(max_size=100))
def test_the_stream_after_noise_is_found(name: str, noise: bytes) -> None:
    make, frame, count = LINES[name]
    framer = make()
    framer.feed(noise + frame * count)
    assert framer.counts.frames >= count - 2


@given(stream=_damaged(RAD8 * 4))
def test_a_damaged_line_never_shows_fewer_digits(stream: bytes) -> None:
    """A lost digit changes a width; what is read has the widths of the format."""
    for frame in serial_masimo.framer({}).feed(stream):
        assert len(frame.readings) >= 2
