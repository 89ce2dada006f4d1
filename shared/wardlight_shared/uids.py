"""What a UID is, on either side, and which UIDs no DICOM object can be without.

The gateway refuses to the modality what the collector would keep on no index: both ask here.

Source  DICOM PS3.5, 9.1 (UID), 6.2 (values of VR UI); PS3.3, C.7.2.1, C.7.3.1
"""

import re
from collections.abc import Mapping
from typing import Final

LONGEST_UID: Final = 64
STUDY_UID: Final = 0x0020_000D
SERIES_UID: Final = 0x0020_000E
_NAMES: Final = {STUDY_UID: "Study Instance UID", SERIES_UID: "Series Instance UID"}
# 9.1 says more of a UID (no leading zeros); what senders get wrong there is not ours to refuse.
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_ESCAPE: Final = 0x1B


def is_uid(text: str) -> bool:
    """Whether a text without its padding is a UID."""
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None


def lacking(found: Mapping[int, bytes | None]) -> str | None:
    """The name of a UID that an object does not have, or that is none; None = it has them.

    found  values of its data set by tag, as they stand there; None = one that is not judged
    """
    for tag, name in _NAMES.items():
        octets = found.get(tag, b"")
        if octets is not None and _is_judged(octets) and not is_uid(_first(octets)):
            return name
    return None


def _is_judged(octets: bytes) -> bool:
    """What is no plain text may be read otherwise."""
    return octets.isascii() and _ESCAPE not in octets


def _first(octets: bytes) -> str:
    return octets.split(b"\\", 1)[0].strip(b"\0 ").decode("ascii")
