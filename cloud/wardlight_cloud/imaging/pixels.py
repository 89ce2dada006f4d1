"""Where the frames of an instance are in its file, so that they are served without parsing.

In      a file that stands at its pixel data element, and what the header says of the frames
Out     Pixels: the element's VR, (offset, length) of the fragments of each frame, of the whole
        value, and where the data set goes on
Errors  none: frames that cannot be found, or are not all there, are ()
Source  PS3.5, 8.2 and annex A.4; PS3.3, C.7.6.3.1.8 (extended offset table)
"""

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

Span = tuple[int, int]
Frames = tuple[tuple[Span, ...], ...]

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = b"\xfe\xff\x00\xe0"
_DELIMITER: Final = b"\xfe\xff\xdd\xe0"
_FRAGMENTS_MOST: Final = 1 << 20
_FRAMES_MOST: Final = 1 << 20
_LONG_VRS: Final = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"))
# SOI of JPEG and JPEG-LS, SOC of JPEG 2000: a frame begins with one of them.
_STARTS: Final = (b"\xff\xd8", b"\xff\x4f")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the header says of the pixel data."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    frame_count: int
    is_subsampled: bool  # YBR_FULL_422 stores two samples a pixel
    offsets: Sequence[int] = ()  # extended offset table
    lengths: Sequence[int] = ()

    @property
    def frame_bits(self) -> int:
        """Bits of a frame that is not compressed."""
        samples = 2 if self.is_subsampled and self.samples == 3 else self.samples
        return self.rows * self.columns * samples * self.bits_allocated


@dataclass(frozen=True, slots=True)
class Pixels:
    """What was found. ``whole`` is None where the value is cut in several fragments."""

    tag: int
    vr: str
    frames: Frames
    whole: Span | None
    end: int | None


def pixels(file: BinaryIO, shape: Shape, *, is_implicit: bool, is_little_endian: bool) -> Pixels:
    """Read the element's head, and the heads of its fragments."""
    order = "<" if is_little_endian else ">"
    head = file.read(8)
    group, number = struct.unpack(f"{order}HH", head[:4])
    if is_implicit:
        vr = "OW"
        (length,) = struct.unpack(f"{order}L", head[4:])
    else:
        vr = head[4:6].decode("ascii", "replace")
        if head[4:6] in _LONG_VRS:
            (length,) = struct.unpack(f"{order}L", file.read(4).ljust(4, b"\0"))
        else:
            (length,) = struct.unpack(f"{order}H", head[6:])
    tag = group << 16 | number
    if length == _UNDEFINED:
        return _encapsulated(file, tag, vr, shape)
    start = file.tell()
    size = file.seek(0, 2)
    whole = (start, min(length, size - start))
    return Pixels(tag, vr, _native(whole, shape), whole, start + length)


def _native(whole: Span, shape: Shape) -> Frames:
    start, length = whole
    count = max(shape.frame_count, 1)
    octets, bits = divmod(shape.frame_bits, 8)
    if bits and count == 1:
        octets += 1
    elif bits:
        return ()  # frames of single bits that begin inside an octet
    if octets == 0 or count > _FRAMES_MOST or octets * count > length:
        return ()
    return tuple(((start + place * octets, octets),) for place in range(count))


def _encapsulated(file: BinaryIO, tag: int, vr: str, shape: Shape) -> Pixels:
    items, end = _items(file)
    if not items:
        return Pixels(tag, vr, (), None, end)
    table, fragments = _offsets(file, items[0]), items[1:]
    frames = _framed(file, table, fragments, shape)
    whole = fragments[0] if len(fragments) == 1 else None
    return Pixels(tag, vr, frames, whole, end)


def _items(file: BinaryIO) -> tuple[list[Span], int | None]:
    """(place, length) of the values of all items; the end, None when there is none."""
    found: list[Span] = []
    place = file.tell()
    size = file.seek(0, 2)
    while len(found) < _FRAGMENTS_MOST:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return found, None
        (length,) = struct.unpack("<L", head[4:])
        if head[:4] == _DELIMITER:
            return found, place + 8
        if head[:4] != _ITEM or place + 8 + length > size:
            return [], None
        found.append((place + 8, length))
        place += 8 + length
    return [], None


def _offsets(file: BinaryIO, item: Span) -> list[int]:
    place, length = item
    file.seek(place)
    octets = file.read(min(length, 4 * _FRAMES_MOST))
    return [offset for (offset,) in struct.iter_unpack("<L", octets[: len(octets) // 4 * 4])]


def _framed(
    file: BinaryIO, table: Sequence[int], fragments: Sequence[Span], shape: Shape
) -> Frames:
    count = max(shape.frame_count, 1)
    if not fragments:
        return ()
    if count == 1:
        return (tuple(fragments),)
    if len(shape.offsets) == count == len(shape.lengths):
        return _by_extended_table(fragments, shape)
    if len(table) == count:
        return _by_table(fragments, table)
    if len(fragments) == count:
        return tuple((each,) for each in fragments)
    return _by_start(file, fragments, count)


def _by_extended_table(fragments: Sequence[Span], shape: Shape) -> Frames:
    """Each frame is one fragment; its length in the table leaves out the padding."""
    first = fragments[0][0]
    known = dict(fragments)
    places = [first + offset for offset in shape.offsets]
    pairs = list(zip(places, shape.lengths, strict=True))
    if any(place not in known or length > known[place] for place, length in pairs):
        return ()
    return tuple((pair,) for pair in pairs)


def _by_table(fragments: Sequence[Span], table: Sequence[int]) -> Frames:
    """Offsets count from the head of the first fragment."""
    places = [place for place, _ in fragments]
    begins = [bisect_left(places, places[0] + offset) for offset in table]
    ends = [*begins[1:], len(fragments)]
    if begins[0] != 0 or any(first >= end for first, end in zip(begins, ends, strict=True)):
        return ()
    if any(
        places[first] != places[0] + offset for first, offset in zip(begins, table, strict=True)
    ):
        return ()
    return tuple(tuple(fragments[first:end]) for first, end in zip(begins, ends, strict=True))


def _by_start(file: BinaryIO, fragments: Sequence[Span], count: int) -> Frames:
    """No table, and frames of several fragments: each begins as a compressed image begins."""
    frames: list[list[Span]] = []
    for place, length in fragments:
        file.seek(place)
        if not frames or file.read(2) in _STARTS:
            frames.append([])
        frames[-1].append((place, length))
    return tuple(tuple(frame) for frame in frames) if len(frames) == count else ()
