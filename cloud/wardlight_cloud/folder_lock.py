"""One process at a time owns a data folder; the kernel lets go of the lock when that process dies.

Source: flock(2). The lock belongs to the open file, so it conflicts inside one process too.
Programs started later do not inherit it, unless its descriptor is handed to them: then it holds
until they have ended as well.
"""

import fcntl
import os
from pathlib import Path


class FolderInUse(Exception):
    """Another living process owns the folder; the text names it and says what to do."""


class FolderLock:
    """The exclusive right to a folder, held through a file in it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int | None:
        """The open file while the lock is held."""
        return self._descriptor

    def acquire(self) -> None:
        """Take the lock and write our process id into it; FolderInUse when another one has it."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderInUse(
                f"The data folder {self._file.parent} is in use by process {holder}. Stop that "
                "process first, or choose another data folder."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless without it. The file stays: removing it would race."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
