"""Whom a worklist entry names: name and birth date, read without what reads DICOM files.

Every image with an order's number asks for it, in processes that decode nothing: they do without
the libraries that do.

In      the data set of an entry as the store holds it: Explicit VR Little Endian
Out     PatientName (0010,0010), PatientBirthDate (0010,0030); "" = none, or no such data set
Source  PS3.5, 6.1 (character sets), 7.1.2 (explicit VR), 7.5 (sequences)
"""

import functools
import struct
from typing import Final

_CHARACTER_SET: Final = (0x0008, 0x0005)
_NAME: Final = (0x0010, 0x0010)
_BIRTH_DATE: Final = (0x0010, 0x0030)
_LATIN_1: Final = b"ISO_IR 100"
_LONG: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)


@functools.lru_cache(maxsize=256)
def birth_date_in(data_set: bytes) -> str:
    """YYYYMMDD."""
    try:
        return _value(data_set, _BIRTH_DATE).decode("ascii").strip(" \0")
    except UnicodeDecodeError:
        return ""


@functools.lru_cache(maxsize=256)
def name_in(data_set: bytes) -> str:
    """PN with its groups; entries are written in ASCII, ISO_IR 100 or ISO_IR 192 (orders.py)."""
    name = _value(data_set, _NAME)
    is_latin = _value(data_set, _CHARACTER_SET).strip(b" \0") == _LATIN_1
    return name.decode("latin-1" if is_latin else "utf-8", "replace").strip(" \0")


def _value(data_set: bytes, wanted: tuple[int, int]) -> bytes:
    """Of the element of this tag, which stand in their order; b"" = none."""
    place = 0
    try:
        while place < len(data_set):
            tag, value, length = _head(data_set, place)
            if tag > wanted or len(data_set) < value:
                return b""
            if tag == wanted:
                found = data_set[value : value + length]
                return found if len(found) == length else b""
            place = _after(data_set, value, length)
    except (struct.error, RecursionError):
        return b""
    return b""


def _head(octets: bytes, place: int) -> tuple[tuple[int, int], int, int]:
    """Tag, where the value begins, and its length; of an item too."""
    group, element, kind, short = struct.unpack_from("<HH2sH", octets, place)
    tag = (group, element)
    if group == _ITEM[0]:
        return tag, place + 8, struct.unpack_from("<I", octets, place + 4)[0]
    if kind in _LONG:
        return tag, place + 12, struct.unpack_from("<I", octets, place + 8)[0]
    return tag, place + 8, short


def _after(octets: bytes, value: int, length: int) -> int:
    """Where the next element begins: of a sequence without a length, behind its items."""
    if length != _UNDEFINED:
        return value + length
    place = value
    while True:
        tag, inner, size = _head(octets, place)
        if tag in (_SEQUENCE_END, _ITEM_END):
            return inner
        place = _after(octets, inner, size)
