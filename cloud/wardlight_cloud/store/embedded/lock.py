"""One process at a time owns a data folder; the kernel lets go of the lock when that process dies.

Source: flock(2). The lock belongs to the open file, so it conflicts inside one process too, and
programs started later do not inherit it.
"""

import fcntl
import os
from pathlib import Path

from wardlight_cloud.store.embedded.errors import PostgresInUse


class FolderLock:
    """The exclusive right to run a server on a data folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write our process id into it; PostgresInUse when another one has it."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise PostgresInUse(
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
