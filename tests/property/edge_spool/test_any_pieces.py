"""Encrypted files: written in any pieces, read in any ranges; any damage is found."""

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.spool.segments import (
    SEGMENT_BYTES,
    DamagedFile,
    SegmentReader,
)
from wardlight_edge.spool.workshop import Workshop
from wardlight_edge.spool.writer import SegmentWriter

KEY = bytes(range(32))
WORKSHOP = Workshop()
edges = st.integers(0, 3).flatmap(
    lambda segments: st.integers(-2, 2).map(lambda near: max(0, segments * SEGMENT_BYTES + near))
)
sizes = st.one_of(st.integers(0, 3 * SEGMENT_BYTES), edges)


def _octets(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def _written(path: Path, octets: bytes, step: int) -> None:
    writer = SegmentWriter(path, KEY, WORKSHOP)
    for at in range(0, len(octets), step):
        writer.write(memoryview(octets)[at : at + step])
    assert writer.complete() == hashlib.sha256(octets).digest()
    writer.finish(b"trailer")
    writer.close()


@given(sizes, st.integers(4_000, 600_000), st.lists(st.tuples(sizes, sizes), max_size=6))
def test_any_range_is_read_as_it_was_written(
    size: int, step: int, ranges: list[tuple[int, int]]
) -> None:
    octets = _octets(size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        _written(path, octets, step)
        with SegmentReader(path, KEY) as reader:
            assert (reader.size, reader.trailer) == (size, b"trailer")
            for offset, length in [*ranges, (0, size)]:
                assert reader.read(offset, length) == octets[offset : offset + length]


@given(st.integers(1, SEGMENT_BYTES + 5_000), st.data())
def test_any_damage_is_found(size: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        _written(path, _octets(size), 100_000)
        octets = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(octets) - 1))
        if data.draw(st.booleans()):
            octets[at] ^= data.draw(st.integers(1, 255))
        else:
            del octets[at:]
        path.write_bytes(octets)
        with pytest.raises(DamagedFile), SegmentReader(path, KEY) as reader:
            reader.read(0, max(1, reader.size))
