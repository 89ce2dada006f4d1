"""Room for files: quotas of the spool and of a sender, and the disk that is left to vitals.

Octets count from when they are claimed, before they are written, so that files which are received
at the same time cannot fill together what each of them found free.

Errors  SpoolFull: which bound was reached
"""

import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.segments import SEGMENT_BYTES
from wardlight_shared.errors import StorageError

EVERYBODY: Final = b""
_STEP_BYTES: Final = 1 << 20
_FRESH_S: Final = 0.5
_FREE_FILES: Final = 2048
"""Of those that the file system can still make: left to vitals and the system; of a small file
system a twentieth."""


class Room:
    """What the spool may still take."""

    def __init__(self, database: Database, folder: Path, settings: DicomSettings) -> None:
        self._database = database
        self._folder = folder
        self._settings = settings
        self._lock = threading.Lock()
        self._claimed: Counter[bytes] = Counter()
        self._known: dict[bytes, int] = {}
        self._fresh_until = 0.0

    def used_bytes(self, sender: bytes = EVERYBODY) -> int:
        """Octets of encrypted files, of one sender or of all."""
        held = self._database.value("SELECT disk_bytes FROM usage WHERE sender = ?", (sender,))
        return int(held or 0)

    def _used(self, sender: bytes) -> int:
        """The same, never too low: what others have removed since is seen a moment later."""
        now = time.monotonic()
        if now > self._fresh_until:
            self._known.clear()
            self._fresh_until = now + _FRESH_S
        if sender not in self._known:
            self._known[sender] = self.used_bytes(sender)
        return self._known[sender]

    def free_bytes(self) -> int:
        """Octets of the disk that any account may use."""
        found = self._disk()
        return found.f_bavail * found.f_frsize

    def take(self, sender: bytes, octets: int, *, quota: int | None, is_bounded: bool) -> None:
        """Claim octets for a file of ``sender``."""
        with self._lock:
            if is_bounded:
                self._hold_quota(EVERYBODY, octets, self._settings.quota_bytes, "the spool's")
                if quota is not None:
                    self._hold_quota(sender, octets, quota, "the sender's")
            self.spare(octets)
            if not self._has_files():
                raise SpoolFull("the file system can hardly make files any more")
            self._claimed[EVERYBODY] += octets
            self._claimed[sender] += octets

    def spare(self, octets: int) -> None:
        """SpoolFull where so many octets in tables would take from the reserve of the disk."""
        if self.free_bytes() < self._settings.min_free_bytes + octets:
            raise SpoolFull("the rest of the disk is kept free (dicom.min_free_bytes)")

    def give_back(self, sender: bytes, octets: int, kept: int) -> None:
        """The claim ended; ``kept`` octets are in the table now."""
        with self._lock:
            for who in (EVERYBODY, sender):
                if who in self._known:
                    self._known[who] += kept
                self._claimed[who] -= octets
                if self._claimed[who] <= 0:
                    del self._claimed[who]

    def _has_files(self) -> bool:
        """A sender of tiny objects uses up the files before the octets."""
        found = self._disk()
        if found.f_files == 0:  # it makes them as it goes
            return True
        return found.f_favail >= min(_FREE_FILES, found.f_files // 20)

    def _disk(self) -> os.statvfs_result:
        try:
            return os.statvfs(self._folder)
        except OSError as error:
            raise StorageError(f"the spool's folder: {error.strerror}") from error

    def _hold_quota(self, who: bytes, octets: int, quota: int, whose: str) -> None:
        if self._used(who) + self._claimed[who] + octets <= quota:
            return
        self._fresh_until = 0.0  # perhaps room came meanwhile
        if self._used(who) + self._claimed[who] + octets > quota:
            raise SpoolFull(f"{whose} quota is used up")


class Claim:
    """The room of one file while it is written: ``grow`` with it, then ``release``."""

    def __init__(
        self, room: Room, sender: bytes, expected: int, *, quota: int | None, is_bounded: bool
    ) -> None:
        self._room = room
        self._sender = sender
        self._quota = quota
        self._is_bounded = is_bounded
        self.octets = 0
        self.grow(max(expected, SEGMENT_BYTES))

    def grow(self, octets: int) -> None:
        """Claim more where ``octets`` are more than was claimed."""
        if octets <= self.octets:
            return
        least = octets - self.octets
        try:  # more than is needed now, so that not every fragment asks again
            self._take(max(least, _STEP_BYTES if self.octets else 0))
        except SpoolFull:
            self._take(least)

    def _take(self, more: int) -> None:
        self._room.take(self._sender, more, quota=self._quota, is_bounded=self._is_bounded)
        self.octets += more

    def release(self, kept: int = 0) -> None:
        """Claim nothing more; ``kept`` octets are in the table now. May be called again."""
        octets, self.octets = self.octets, 0
        if octets:
            self._room.give_back(self._sender, octets, kept)
