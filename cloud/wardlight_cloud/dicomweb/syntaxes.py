"""Transfer syntaxes and the media types their frames have.

Source  PS3.5, annex A; PS3.18, tables 8.7.3-2 and 8.7.3-5
"""

from typing import Final

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})
"""Pixel data is not encapsulated."""

OCTETS: Final = "application/octet-stream"
_BASE: Final = "1.2.840.10008.1.2."
_FRAME_TYPES: Final = {
    "5": "image/dicom-rle",
    "4.50": "image/jpeg", "4.51": "image/jpeg", "4.57": "image/jpeg", "4.70": "image/jpeg",
    "4.80": "image/jls", "4.81": "image/jls",
    "4.90": "image/jp2", "4.91": "image/jp2", "4.92": "image/jpx", "4.93": "image/jpx",
    "4.201": "image/jphc", "4.202": "image/jphc", "4.203": "image/jphc",
    "4.100": "video/mpeg", "4.100.1": "video/mpeg", "4.101": "video/mpeg",
    "4.101.1": "video/mpeg", "4.102": "video/mp4", "4.102.1": "video/mp4",
    "4.103": "video/mp4", "4.103.1": "video/mp4", "4.104": "video/mp4", "4.104.1": "video/mp4",
    "4.105": "video/mp4", "4.105.1": "video/mp4", "4.106": "video/mp4", "4.106.1": "video/mp4",
    "4.107": "video/H265", "4.108": "video/H265",
}  # fmt: skip


def frame_type(transfer_syntax: str) -> str:
    """The media type of a frame as it is stored."""
    return _FRAME_TYPES.get(transfer_syntax.removeprefix(_BASE), OCTETS)


def is_native(transfer_syntax: str) -> bool:
    """Whether a frame is plain samples."""
    return transfer_syntax in NATIVE
