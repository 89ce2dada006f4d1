"""Room for the outbox: measured after each transaction, made by thinning, kept by the reserve."""

import logging
from pathlib import Path
from typing import Final

from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox.base import Level
from wardlight_edge.outbox.database import PAGE_BYTES, Database
from wardlight_edge.outbox.quota import THINNED_ENOUGH, Measure, Reserve, measure

_VACUUM_PAGES: Final = 256
_SPARE_PAGES: Final = 1024  # free pages left in the file: they are soon used again
_MEASURE_EVERY: Final = 1 << 20  # bytes appended between two looks at the file system

_log = logging.getLogger(__name__)


class Space:
    """What is left, and whether records are accepted."""

    def __init__(self, path: Path, settings: OutboxSettings) -> None:
        self._settings = settings
        self._reserve = Reserve(path.with_name(path.name + ".reserve"), settings)
        self._refused_bytes = 0
        self._is_thinning = False
        self._added_bytes = 0
        self._measure_every = min(_MEASURE_EVERY, settings.quota_bytes // 64)
        self.is_out = False
        self.measured = Measure(0, 0, 0, 0)

    @property
    def level(self) -> Level:
        """FULL also while the disk is full or a call of this size was refused."""
        return Level.FULL if self.is_out or self._refused_bytes else self.measured.level

    @property
    def wants_thinning(self) -> bool:
        """From 95 % on until 90 %."""
        if self.measured.level in (Level.THIN, Level.FULL) or self._refused_bytes:
            self._is_thinning = True
        elif self.measured.fullness < THINNED_ENOUGH:
            self._is_thinning = False
        return self._is_thinning

    @property
    def room_bytes(self) -> int:
        """Bytes a call of append may have."""
        return self.measured.room_bytes - self._added_bytes

    def added(self, size_bytes: int) -> None:
        """Records of this size were committed."""
        self._added_bytes += size_bytes

    @property
    def is_due(self) -> bool:
        """Whether what was added may have changed the level: then ``measure``."""
        return self._added_bytes >= self._measure_every or self.measured.level is not Level.NORMAL

    def measure(self, database: Database) -> None:
        """Look at file and disk."""
        self._added_bytes = 0
        self.measured = measure(database, self._settings)
        if self.measured.room_bytes > self._refused_bytes:
            self._refused_bytes = 0

    def refused(self, size_bytes: int) -> None:
        """A call of this size did not fit."""
        self._refused_bytes = max(self._refused_bytes, size_bytes, 1)

    def run_out(self) -> None:
        """The file system is full: stop accepting, give the reserve to removals."""
        if not self.is_out:
            _log.error("disk full: records are refused until there is room")
        self.is_out = True
        self._reserve.release()

    def hold_reserve(self) -> bool:
        """Make the reserve when it is missing and there is room."""
        return self._reserve.hold()

    def recover(self, database: Database) -> None:
        """After ``run_out``: return pages and log to the disk; accept again with a new reserve."""
        while database.vacuum(_VACUUM_PAGES):
            pass
        database.truncate_log()
        if self._reserve.hold():
            self.is_out = False
            _log.warning("disk has room again: records are accepted")
        self.measure(database)

    def shrink(self, database: Database) -> bool:
        """Return some free pages to the disk; True = there are more."""
        free = (self.measured.size_bytes - self.measured.used_bytes) // PAGE_BYTES
        if free <= _SPARE_PAGES:
            return False
        database.vacuum(min(_VACUUM_PAGES, free - _SPARE_PAGES))
        self.measure(database)
        return True
