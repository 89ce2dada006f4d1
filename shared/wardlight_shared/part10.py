"""The head of a DICOM file that is made of a received data set (PS3.10, 7.1), on either side.

Out     octets that depend on SOP class, SOP instance and transfer syntax alone: the same data set
        makes the same file, and the same SHA-256, whoever sent it and whatever version received it
"""

from struct import Struct
from typing import Final

# Neither ever changes: the first is in every file, and with it in every hash (docs/decisions/019).
IMPLEMENTATION_CLASS_UID: Final = "2.25.130057604473801312902760480730639551252"
IMPLEMENTATION_VERSION: Final = "WARDLIGHT"
_PREAMBLE: Final = bytes(128) + b"DICM"
_SHORT_ELEMENT: Final = Struct("<HH2sH")
_VERSION: Final = bytes.fromhex("02000100") + b"OB\0\0" + bytes.fromhex("020000000001")
_LENGTH: Final = Struct("<I")


def file_head(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Everything of a file before its data set; UIDs are ASCII."""
    meta = (
        _VERSION
        + _uid(0x0002, sop_class)
        + _uid(0x0003, sop_instance)
        + _uid(0x0010, transfer_syntax)
        + _uid(0x0012, IMPLEMENTATION_CLASS_UID)
    )
    length = _SHORT_ELEMENT.pack(2, 0, b"UL", _LENGTH.size) + _LENGTH.pack(len(meta))
    return _PREAMBLE + length + meta


def _uid(element: int, uid: str) -> bytes:
    octets = uid.encode("ascii")
    octets += b"\0" * (len(octets) % 2)
    return _SHORT_ELEMENT.pack(2, element, b"UI", len(octets)) + octets
