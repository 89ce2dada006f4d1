"""Files that begin as no DICOM file does, and hold one or many: what to do with them.

Old archives are full of both: of archives, and of data sets that were written without a head.

Source  PS3.10 7.1, PS3.5 7.1 (tag and VR of a data set's first element); the magic numbers that the
        formats define: PKWARE APPNOTE 4.3.7, RFC 1952, RFC 8878, POSIX ustar, ECMA-119 8.1 (the
        descriptor in sector 16), those of 7-Zip, RAR, xz and bzip2
"""

import re
from pathlib import Path
from typing import Final

_KINDS: Final = (
    ("zip", 0, b"PK\x03\x04"),
    ("gzip", 0, b"\x1f\x8b\x08"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("rar", 0, b"Rar!\x1a\x07"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("bzip2", 0, b"BZh"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("tar", 257, b"ustar"),
    ("disc image", 0x8001, b"CD001"),
)


_DATA_SET: Final = re.compile(
    rb"[\x02\x08]\0[\0-\x20]\0(?:[A-Z]{2}|..\0\0)|\0\x08\0[\0-\x20][A-Z]{2}", re.DOTALL
)
"""Group 2 or 8 first, with a VR or (implicit) a length; or group 8 big endian, which has a VR."""
_FIRST_OCTETS: Final = 8


def advice(path: Path) -> str | None:
    """What the file is, and what to do; None: nothing that we know, or it cannot be read."""
    try:
        with path.open("rb") as file:
            for kind, place, magic in _KINDS:
                file.seek(place)
                if file.read(len(magic)) == magic:
                    return f"an archive ({kind}) is not opened: unpack it, and import the folder"
            file.seek(0)
            if _DATA_SET.match(file.read(_FIRST_OCTETS)):
                return (
                    "preamble: it seems to be a data set without the head of a DICOM file: write "
                    "one with `dcmconv` of dcmtk, and import that"
                )
    except OSError:
        pass
    return None
