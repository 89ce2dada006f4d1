"""Which records share a row of the file, and what such a row holds before it is sealed. Pure.

One record        lane u8 | boot u32 | mono_ms i64 | wall_ms i64 | body
Several records   lane + 0x80 u8 | boot u32 | number n u8 | n x mono_ms i64 | n x wall_ms i64
                  | n x length of body u16 | n bodies

All big endian. The records of a row have consecutive seqs and one lane, boot, queue, hour and kind;
a device event, which is looked up by its id, has a row of its own. A row of several records fits
into one page of the file, so that a damaged page takes no more than what stands on it
(docs/decisions/013).

How many records there are stands in the column `kind` too: kind + 16 * (records - 1). There SQL
can count them; what is sealed decides.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from operator import attrgetter
from struct import Struct, error
from typing import Final

import msgspec

from wardlight_edge.outbox.base import NewRecord

MOST_RECORDS: Final = 32
ONE_MORE: Final = 16
"""What a further record adds to the column `kind`; kinds are less."""

_MOST_BYTES: Final = 4000  # the sealed row stays below what a leaf holds without overflow: 4040
_PLACE_BYTES: Final = 18  # of a record in a row of several: two times and a length
_SEVERAL: Final = 0x80
_ONE: Final = Struct(">BIqq")
_FRONT: Final = Struct(">BIB")
ONE_BYTES: Final = _ONE.size
"""Bytes that a row of one record has beside its body."""

_BODY: Final = attrgetter("body")
_MONO_MS: Final = attrgetter("mono_ms")
_WALL_MS: Final = attrgetter("wall_ms")


class Held(msgspec.Struct, frozen=True):
    """What a row holds; ``records``: (mono_ms, wall_ms, body) of each, in order of seq."""

    lane: int
    boot: int
    records: list[tuple[int, int, bytes]]


def cut(records: Sequence[NewRecord]) -> Iterator[tuple[int, Sequence[NewRecord]]]:
    """Divide records into those of one row each, beside their column `kind`."""
    first = size = kind = 0
    for place, body in enumerate(map(_BODY, records)):
        own_size = len(body) + _PLACE_BYTES
        own_kind = kind_of(body)
        size += own_size
        if own_kind == kind and size <= _MOST_BYTES and place - first < MOST_RECORDS:
            continue
        if place > first:
            yield column(kind, place - first), records[first:place]
        first, size, kind = place, own_size, own_kind
    if records:
        yield column(kind, len(records) - first), records[first:]


def column(kind: int, records: int) -> int:
    """The column `kind` of a row of so many records."""
    return kind + ONE_MORE * (records - 1)


def written(lane: int, boot: int, records: Sequence[NewRecord]) -> bytes:
    """The content of a row."""
    if len(records) == 1:
        [one] = records
        return _ONE.pack(lane, boot, one.mono_ms, one.wall_ms) + one.body
    many, bodies = len(records), list(map(_BODY, records))
    front = _FRONT.pack(lane | _SEVERAL, boot, many)
    times = map(_MONO_MS, records), map(_WALL_MS, records)
    places = _places(many).pack(*times[0], *times[1], *map(len, bodies))
    return b"".join([front, places, *bodies])


def read(content: bytes) -> Held:
    """Undo ``written``; ValueError when the bytes are none."""
    try:
        if content[0] & _SEVERAL:
            return _read_several(content)
        lane, boot, mono_ms, wall_ms = _ONE.unpack_from(content)
    except (IndexError, error) as short:
        raise ValueError("no content of a row") from short
    return Held(lane, boot, [(mono_ms, wall_ms, content[ONE_BYTES:])])


def _read_several(content: bytes) -> Held:
    lane, boot, many = _FRONT.unpack_from(content)
    numbers = _places(many).unpack_from(content, _FRONT.size)
    at = _FRONT.size + many * _PLACE_BYTES
    bodies: list[bytes] = []
    for length in numbers[2 * many :]:
        bodies.append(content[at : at + length])
        at += length
    if at != len(content) or not many:
        raise ValueError("no content of a row")
    return Held(lane & ~_SEVERAL, boot, list(zip(numbers, numbers[many:], bodies, strict=False)))


@cache
def _places(many: int) -> Struct:
    return Struct(f">{2 * many}q{many}H")


def kind_of(body: bytes) -> int:
    """The tag of a body: MessagePack array header, then a small integer."""
    return body[1] % ONE_MORE if len(body) > 1 else 0
