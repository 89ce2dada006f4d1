"""Files that hold files, as old archives are full of: told apart from what is merely no DICOM.

Source  the magic numbers that the formats define: PKWARE APPNOTE 4.3.7, RFC 1952, RFC 8878, POSIX
        ustar, ECMA-119 8.1 (the descriptor in sector 16), those of 7-Zip, RAR, xz and bzip2
"""

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


def archive_of(path: Path) -> str | None:
    """The kind of archive that a file is; None: of none, or it cannot be read."""
    try:
        with path.open("rb") as file:
            for kind, place, magic in _KINDS:
                file.seek(place)
                if file.read(len(magic)) == magic:
                    return kind
    except OSError:
        pass
    return None
