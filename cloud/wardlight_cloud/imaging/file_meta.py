"""The beginning of a DICOM file: what it says it is, and where and how its data set begins.

In      a file: 128 bytes preamble, "DICM", elements of group 2 in explicit VR little endian
Out     FileMeta
Errors  HeaderError: no preamble, no meta information, no transfer syntax
Source  PS3.10, 7.1
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from wardlight_cloud.imaging.errors import HeaderError

_PREAMBLE: Final = 128
_SOP_CLASS: Final = 0x0002
_SOP_INSTANCE: Final = 0x0003
_TRANSFER_SYNTAX: Final = 0x0010
_KEPT: Final = frozenset((_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX))
_LONG_VRS: Final = frozenset((b"OB", b"OW", b"UN", b"SQ", b"UT", b"OF", b"OD", b"OL", b"UC", b"UR"))
_LONGEST: Final = 1 << 20
_ELEMENTS_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class FileMeta:
    """``sop_class``, ``sop_instance``: as the meta information has them, "" where it does not.

    ``place``: where the data set begins.
    """

    transfer_syntax: str
    place: int
    sop_class: str = ""
    sop_instance: str = ""


def read_meta(file: BinaryIO) -> FileMeta:
    """Read the meta information from the file's beginning."""
    file.seek(0)
    if file.read(_PREAMBLE + 4)[_PREAMBLE:] != b"DICM":
        raise HeaderError("preamble", "the file does not begin as a DICOM file does")
    found: dict[int, str] = {}
    for _ in range(_ELEMENTS_MOST):
        place = file.tell()
        element = _element(file)
        if element is None:
            syntax = _checked(found.get(_TRANSFER_SYNTAX, ""))
            return FileMeta(syntax, place, found.get(_SOP_CLASS, ""), found.get(_SOP_INSTANCE, ""))
        number, value = element
        if number in _KEPT:
            found[number] = value.rstrip(b"\0 ").decode("ascii", "replace")
    raise HeaderError("meta", "the file's meta information does not end")


def _element(file: BinaryIO) -> tuple[int, bytes] | None:
    """Number and value of the next element of group 2; None at the first one of another group."""
    head = file.read(8)
    if len(head) < 8 or head[:2] != b"\x02\x00":
        return None
    number: int
    length: int
    number, vr, length = struct.unpack("<H2sH", head[2:])
    if vr in _LONG_VRS:
        (length,) = struct.unpack("<L", file.read(4).ljust(4, b"\xff"))
    if length > _LONGEST:
        raise HeaderError("meta", "an element of the file's meta information is too long")
    value = file.read(length)
    if len(value) < length:
        raise HeaderError("meta", "the file ends inside its meta information")
    return number, value


def _checked(uid: str) -> str:
    if not uid:
        raise HeaderError("syntax", "the file does not say its transfer syntax")
    if len(uid) > 64 or not set(uid) <= set("0123456789."):
        raise HeaderError("syntax", "the file's transfer syntax is no UID")
    return uid
