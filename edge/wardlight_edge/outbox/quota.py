"""How full the outbox is, and the reserve that keeps it able to empty itself.

Room is what is left of the quota and of the disk above ``min_free_bytes``, whichever is less.
The reserve file is given back to the file system when it runs full, so that removals and
checkpoints, which write too, still work; it is made again when there is room.
"""

import logging
import os
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox.base import Level
from wardlight_edge.outbox.database import Database
from wardlight_shared.errors import ConfigError

_WARN: Final = 0.80
_THIN: Final = 0.95
THINNED_ENOUGH: Final = 0.90

_log = logging.getLogger(__name__)


class Measure(msgspec.Struct, frozen=True):
    """Bytes at one moment: on disk, in use, free on the file system, left for records."""

    size_bytes: int
    used_bytes: int
    free_disk_bytes: int
    room_bytes: int

    @property
    def fullness(self) -> float:
        """Share of the room that is used up, 1.0 = full."""
        return (
            1.0 if self.room_bytes <= 0 else self.used_bytes / (self.used_bytes + self.room_bytes)
        )

    @property
    def level(self) -> Level:
        """The level, before the reserve is looked at."""
        if self.fullness >= 1.0:
            return Level.FULL
        if self.fullness >= _THIN:
            return Level.THIN
        return Level.WARN if self.fullness >= _WARN else Level.NORMAL


def measure(database: Database, settings: OutboxSettings) -> Measure:
    """Measure now. Free pages of the file count as room: they are used before the file grows."""
    size, used = database.size_bytes(), database.used_bytes()
    disk = os.statvfs(database.path.parent)
    free = disk.f_bavail * disk.f_frsize
    room = min(settings.quota_bytes - used, free - settings.min_free_bytes + size - used)
    return Measure(size, used, free, room)


def check_reserve(settings: OutboxSettings, folder: Path) -> None:
    """ConfigError when the disk of ``folder`` could not hold the reserve if it were empty."""
    disk = os.statvfs(folder)
    total = disk.f_blocks * disk.f_frsize
    needed = settings.reserve_bytes + settings.min_free_bytes
    if needed > total:
        raise ConfigError(
            f"outbox.reserve_bytes and outbox.min_free_bytes are {needed} together, the disk of "
            f"{folder} has {total}: nothing would ever be accepted; set them lower"
        )


class Reserve:
    """The reserve file beside the outbox."""

    def __init__(self, path: Path, settings: OutboxSettings) -> None:
        self._path = path
        self._bytes = settings.reserve_bytes
        self._min_free_bytes = settings.min_free_bytes
        self.is_held = False

    def hold(self) -> bool:
        """Make the file when there is room for it; return whether it is there."""
        if self.is_held:
            return True
        try:
            disk = os.statvfs(self._path.parent)
            held = self._path.stat().st_size if self._path.exists() else 0
            room = disk.f_bavail * disk.f_frsize + held - self._bytes
            if room < self._min_free_bytes:
                return False
            self._allocate()
        except OSError as error:
            _log.warning("no room for the reserve file", extra={"error": str(error)})
            self.release()
            return False
        self.is_held = True
        return True

    def release(self) -> None:
        """Give the bytes back to the file system."""
        self._path.unlink(missing_ok=True)
        self.is_held = False

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._bytes:
                os.posix_fallocate(descriptor, 0, self._bytes)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
