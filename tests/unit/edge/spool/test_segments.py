"""Encrypted files: written front to back, read anywhere; nothing that was changed opens."""

import ctypes
import errno
import hashlib
import os
from itertools import pairwise
from pathlib import Path

import pytest

from wardlight_edge.spool.segments import (
    HEAD_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
    DamagedFile,
    SegmentReader,
)
from wardlight_edge.spool.workshop import Workshop
from wardlight_edge.spool.writer import SegmentWriter
from wardlight_shared.errors import StorageError

KEY = bytes(range(32))
WORKSHOP = Workshop()
SIZES = [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES]


def _written(folder: Path, octets: bytes, trailer: bytes = b"the end") -> Path:
    path = folder / os.urandom(4).hex()
    writer = SegmentWriter(path, KEY, WORKSHOP)
    for at in range(0, len(octets), 100_000):
        writer.write(memoryview(octets)[at : at + 100_000])
    assert writer.complete() == hashlib.sha256(octets).digest()
    writer.finish(trailer)
    writer.sync()
    writer.close()
    assert path.stat().st_size == writer.disk_bytes
    return path


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read(tmp_path: Path, size: int) -> None:
    octets = os.urandom(size)
    with SegmentReader(_written(tmp_path, octets), KEY) as reader:
        assert (reader.size, reader.trailer) == (size, b"the end")
        assert reader.read(0, size + 10) == octets
        for offset in (0, size // 3, max(0, size - 5), size):
            assert reader.read(offset, 70_000) == octets[offset : offset + 70_000]


def test_the_file_is_its_account_s_own_and_shows_nothing(tmp_path: Path) -> None:
    path = _written(tmp_path, b"PATIENT^NAME" * 100, b"1.2.3")
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"PATIENT" not in path.read_bytes()
    assert b"1.2.3" not in path.read_bytes()
    assert _written(tmp_path, b"x").read_bytes() != _written(tmp_path, b"x").read_bytes()


@pytest.mark.parametrize("place", [0, 9, HEAD_BYTES, HEAD_BYTES + SEGMENT_BYTES + 20, -30, -2])
def test_a_changed_octet_is_found(tmp_path: Path, place: int) -> None:
    path = _written(tmp_path, os.urandom(2 * SEGMENT_BYTES))
    changed = bytearray(path.read_bytes())
    changed[place] ^= 1
    path.write_bytes(changed)
    with pytest.raises(DamagedFile), SegmentReader(path, KEY) as reader:
        reader.read(0, reader.size)


def test_segments_cannot_change_places(tmp_path: Path) -> None:
    path = _written(tmp_path, os.urandom(3 * SEGMENT_BYTES))
    octets, step = path.read_bytes(), SEGMENT_BYTES + TAG_BYTES
    first, second = octets[HEAD_BYTES:][:step], octets[HEAD_BYTES + step :][:step]
    path.write_bytes(octets[:HEAD_BYTES] + second + first + octets[HEAD_BYTES + 2 * step :])
    with pytest.raises(DamagedFile), SegmentReader(path, KEY) as reader:
        reader.read(0, 10)


def test_a_segment_that_was_left_out_is_missed(tmp_path: Path) -> None:
    """Also where the end of the file was put after what is left of it."""
    path = _written(tmp_path, os.urandom(3 * SEGMENT_BYTES))
    octets, step = path.read_bytes(), SEGMENT_BYTES + TAG_BYTES
    path.write_bytes(octets[: HEAD_BYTES + 2 * step] + octets[HEAD_BYTES + 3 * step :])
    with pytest.raises(DamagedFile), SegmentReader(path, KEY) as reader:
        reader.read(0, reader.size)


@pytest.mark.parametrize("length", [0, 5, HEAD_BYTES, HEAD_BYTES + 10, SEGMENT_BYTES])
def test_a_half_file_is_none(tmp_path: Path, length: int) -> None:
    path = _written(tmp_path, os.urandom(2 * SEGMENT_BYTES))
    os.truncate(path, length)
    with pytest.raises(DamagedFile):
        SegmentReader(path, KEY)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile):
        SegmentReader(_written(tmp_path, b"x"), bytes(32))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = _written(tmp_path, b"x")
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(DamagedFile):
        SegmentReader(link, KEY)


def test_what_is_abandoned_is_gone(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "one", KEY, WORKSHOP)
    writer.write(b"abc")
    writer.abandon()
    writer.abandon()
    assert not list(tmp_path.iterdir())


def test_a_large_file_goes_to_the_disk_while_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part after part, each once, and the file stays open until the last of them is done."""
    parts: list[tuple[int, int]] = []

    def noted(file: int, start: int, length: int) -> None:
        os.fstat(file)
        parts.append((start, length))

    monkeypatch.setattr("wardlight_edge.spool.workshop._write_back", noted)
    path = _written(tmp_path, os.urandom(5 << 20))
    assert parts
    assert parts[0][0] == 0
    assert all(one[0] + one[1] == next_[0] for one, next_ in pairwise(parts))
    assert sum(parts[-1]) <= path.stat().st_size


@pytest.mark.parametrize("at", [0, -1])
def test_what_the_disk_refused_of_a_part_is_not_forgotten_at_the_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The kernel tells an error of a write once: the flush at the end would know of none."""
    parts: list[int] = []
    size = 4 << 20
    failing = 0 if at == 0 else 1

    def refused(file: int, start: int, length: int, flags: int) -> int:
        parts.append(start)
        if len(parts) > failing:
            ctypes.set_errno(errno.EIO)
            return -1
        return 0

    monkeypatch.setattr("wardlight_edge.spool.workshop._sync_file_range", refused)
    with pytest.raises(StorageError):
        _written(tmp_path, os.urandom(size))
    assert len(parts) > failing
