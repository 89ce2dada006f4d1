"""Rows of the table `record` read from the pages themselves, where SQLite's tree is broken.

A damaged inner page hides every leaf below it, though the leaves are whole. With auto_vacuum
SQLite keeps a pointer map that says of each page whether it is in use; only rows that a page in
use points to are read, so that few removed rows come back. Where the map is damaged itself every
leaf counts: a removed row that comes back is one that the collector has, under the same first
number, and an older copy of a row is the same row. Whether a row is genuine is decided by its
authentication afterwards.

In      an outbox file without log (after a checkpoint), pages of PAGE_BYTES
Errors  none: what cannot be parsed is left out
Source  https://www.sqlite.org/fileformat2.html sections 1.5 to 1.8 and 2.1
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Final

from wardlight_edge.outbox.database import PAGE_BYTES

_MAP_ENTRY: Final = 5  # 1.8: type u8, parent page u32
_PAGES_PER_MAP: Final = PAGE_BYTES // _MAP_ENTRY + 1
_LOCK_PAGE: Final = 0x40000000 // PAGE_BYTES + 1  # 1.4: never used
_KINDS: Final = range(1, 6)  # 1.8
_IN_USE: Final = {1, 5}  # 1.8: root page, page of a tree
_TABLE_LEAF: Final = 0x0D  # 1.6
_LEAF_HEADER: Final = 8
_MOST_LOCAL: Final = PAGE_BYTES - 35  # 1.6, X for table leaves
_LEAST_LOCAL: Final = (PAGE_BYTES - 12) * 32 // 255 - 23  # 1.6, M
_MOST_PAYLOAD: Final = 1 << 20
_COLUMNS: Final = 6  # of `record`: seq (NULL, it is the rowid), queue, kind, hour, event_id, body
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8}

LeafRow = tuple[int, bytes | None, bytes]


class _Malformed(Exception):
    """Bytes that are no cell of the table `record`."""


class Leaves:
    """Index of the leaves in use; one sequential read of the file when made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._index = sorted(_leaves(file))

    def rows(self, first: int, last: int) -> Iterator[LeafRow]:
        """(seq, event id as stored, sealed body) with first <= seq <= last, ascending.

        A seq comes more than once when several leaves hold it.
        """
        waiting: list[tuple[int, int, LeafRow]] = []
        order = count()
        with self._path.open("rb") as file:
            for leaf_first, leaf_last, number in self._index:
                if leaf_first <= last and leaf_last >= first:
                    while waiting and waiting[0][0] < leaf_first:
                        yield heappop(waiting)[2]
                    for row in _rows(file, _page(file, number)):
                        if first <= row[0] <= last:
                            heappush(waiting, (row[0], next(order), row))
        while waiting:
            yield heappop(waiting)[2]


def _leaves(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """(first seq, last seq, page number) of each leaf in use."""
    kinds = b""
    number = 0
    map_page = 0
    pages = file.seek(0, SEEK_END) // PAGE_BYTES
    file.seek(0)
    while len(page := file.read(PAGE_BYTES)) == PAGE_BYTES:
        number += 1
        if number == _map_page_of(number + 1) and number > 1:
            kinds, map_page = _kinds(page, pages - number), number
            continue
        if number > 2 and (not kinds or kinds[number - map_page - 1] in _IN_USE):
            seqs = [seq for seq, _ in _cells(page)]
            if seqs:
                yield seqs[0], seqs[-1], number


def _kinds(page: bytes, pages: int) -> bytes:
    """What a page of the map says of the pages behind it; nothing when it cannot be true."""
    kinds = page[: (_PAGES_PER_MAP - 1) * _MAP_ENTRY : _MAP_ENTRY]
    return kinds if all(kind in _KINDS for kind in kinds[:pages]) else b""


def _map_page_of(number: int) -> int:
    found = (number - 2) // _PAGES_PER_MAP * _PAGES_PER_MAP + 2
    return found + 1 if found == _LOCK_PAGE else found


def _page(file: BinaryIO, number: int) -> bytes:
    file.seek((number - 1) * PAGE_BYTES)
    return file.read(PAGE_BYTES)


def _cells(page: bytes) -> Iterator[tuple[int, int]]:
    """(rowid, offset) of each cell of a table leaf, ascending; nothing for other pages."""
    if page[:1] != bytes([_TABLE_LEAF]):
        return
    cells = int.from_bytes(page[3:5], "big")
    before = 0
    for place in range(cells):
        at = _LEAF_HEADER + 2 * place
        offset = int.from_bytes(page[at : at + 2], "big")
        try:
            _, after = _varint(page, offset)
            rowid, _ = _varint(page, after)
        except _Malformed:
            return
        if not before < rowid < 1 << 63:
            return
        before = rowid
        yield rowid, offset


def _rows(file: BinaryIO, page: bytes) -> Iterator[LeafRow]:
    for rowid, offset in _cells(page):
        try:
            event_id, body = _columns(_payload(file, page, offset))
        except _Malformed:
            continue
        yield rowid, event_id, body


def _payload(file: BinaryIO, page: bytes, offset: int) -> bytes:
    """The payload of a cell, with what stands on overflow pages (1.6, 1.7)."""
    size, at = _varint(page, offset)
    _, at = _varint(page, at)
    if size > _MOST_PAYLOAD:
        raise _Malformed
    local = size
    if size > _MOST_LOCAL:
        local = _LEAST_LOCAL + (size - _LEAST_LOCAL) % (PAGE_BYTES - 4)
        if local > _MOST_LOCAL:
            local = _LEAST_LOCAL
    payload = bytearray(page[at : at + local])
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while len(payload) < size:
        overflow = _page(file, following) if following > 1 else b""
        if len(overflow) < PAGE_BYTES:
            raise _Malformed
        following = int.from_bytes(overflow[:4], "big")
        payload += overflow[4 : 4 + size - len(payload)]
    return bytes(payload)


def _columns(payload: bytes) -> tuple[bytes | None, bytes]:
    """Event id and body of a row of `record` (2.1)."""
    header_size, at = _varint(payload, 0)
    types: list[int] = []
    while at < header_size and len(types) <= _COLUMNS:
        kind, at = _varint(payload, at)
        types.append(kind)
    if len(types) != _COLUMNS or types[0] != 0 or at != header_size:
        raise _Malformed
    values: list[bytes | None] = []
    for kind in types:
        size = _value_bytes(kind)
        values.append(payload[at : at + size] if kind >= 12 else None)
        at += size
    body = values[5]
    if body is None or at > len(payload):
        raise _Malformed
    return values[4], body


def _value_bytes(kind: int) -> int:
    return (kind - 12) // 2 if kind >= 12 else _INTEGER_BYTES.get(kind, 0)


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer (1.6): 7 bits a byte, big end first, 8 bits in the ninth."""
    value = 0
    for place in range(at, at + 9):
        if place >= len(octets):
            raise _Malformed
        octet = octets[place]
        if place == at + 8:
            return value << 8 | octet, place + 1
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, place + 1
    raise _Malformed
