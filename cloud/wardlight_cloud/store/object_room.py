"""Whether there is room for a file: asked before its first octet is written.

The database may be on the same disk, and a database without room loses more than one file.
"""

import shutil
from pathlib import Path
from typing import Final

from wardlight_shared.errors import StorageError

LEAST_FREE_BYTES: Final = 256 << 20


class NoRoomError(StorageError):
    """The disk is full up to what is left for others; later there may be room."""


def check_room(folder: Path, octets: int = 0) -> None:
    """NoRoomError where so many octets would leave too little on the disk of a folder."""
    if shutil.disk_usage(folder).free - octets < LEAST_FREE_BYTES:
        raise NoRoomError(
            f"there is no room on the disk: {LEAST_FREE_BYTES >> 20} MiB have to stay free"
        )
