"""The birth date that a worklist entry says of its patient, read without what reads DICOM files.

Every image with an order's number asks for it, in processes that decode nothing: they do without
the libraries that do.

In      the data set of an entry as the store holds it: Explicit VR Little Endian
Out     PatientBirthDate (0010,0030) as it stands there; "" = none, or no such data set
Source  PS3.5, 7.1.2 (explicit VR), 7.5 (sequences)
"""

import functools
import struct
from typing import Final

_BIRTH_DATE: Final = (0x0010, 0x0030)
_LONG: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)


@functools.lru_cache(maxsize=256)
def birth_date_in(data_set: bytes) -> str:
    """YYYYMMDD; elements stand in the order of their tags."""
    place = 0
    try:
        while place < len(data_set):
            tag, value, length = _head(data_set, place)
            if tag > _BIRTH_DATE or len(data_set) < value:
                return ""
            if tag == _BIRTH_DATE:
                found = data_set[value : value + length]
                return found.decode("ascii").strip(" \0") if len(found) == length else ""
            place = _after(data_set, value, length)
    except (struct.error, UnicodeDecodeError, RecursionError):
        return ""
    return ""


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
