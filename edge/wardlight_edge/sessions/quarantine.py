"""Octets that no decoder could read: counted, kept sealed for whoever must find out why.

In      the octets of a DecodeError
Out     one file per different value: ``<device>-<hash>.sealed``, mode 0600. Raw bytes of a vitals
        device are health data, so they are written only through ``seal`` (the outbox's cipher);
        without one nothing but the log's length and hash remains
Bounds  MOST_FILES files of at most MOST_OCTETS octets, the oldest go first; MOST_NEW new files a
        minute, so that a hostile device wears no flash
"""

import logging
import os
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from wardlight_edge.sessions.sealed_files import name_of

MOST_FILES = 64
MOST_OCTETS = 4096
MOST_NEW = 4
_MINUTE_MS = 60_000
_logger = logging.getLogger(__name__)


class Quarantine:
    """Keeps what could not be decoded; one instance for all devices."""

    def __init__(self, folder: Path, seal: Callable[[bytes], bytes] | None) -> None:
        self._folder = folder
        self._seal = seal
        self._written: deque[int] = deque(maxlen=MOST_NEW)

    def put(self, device: str, octets: bytes, reason: str, mono_ms: int) -> str:
        """Keep ``octets``; return their hash (16 hex digits). A disk in trouble is only logged."""
        name = sha256(octets).hexdigest()[:16]
        extra = {"device": device, "hash": name, "octets": len(octets), "reason": reason}
        _logger.warning("value quarantined", extra=extra)
        if self._seal is not None and self._may_write(mono_ms):
            try:
                self._write(f"{name_of(device)}-{name}.sealed", self._seal(octets[:MOST_OCTETS]))
            except OSError as error:
                _logger.warning("quarantine not written", extra={"error": str(error.strerror)})
        return name

    def files(self) -> list[Path]:
        """What is kept, oldest first."""
        if not self._folder.is_dir():
            return []
        kept = self._folder.glob("*.sealed")
        return sorted(kept, key=lambda file: (file.stat().st_mtime_ns, file.name))

    def _may_write(self, mono_ms: int) -> bool:
        recent = [moment for moment in self._written if mono_ms - moment < _MINUTE_MS]
        if len(recent) >= MOST_NEW:
            return False
        self._written.append(mono_ms)
        return True

    def _write(self, name: str, sealed: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / name
        if file.exists():
            return
        for oldest in self.files()[: -MOST_FILES + 1 or None]:
            oldest.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(sealed)
