"""A folder in memory, for servers whose data may be lost with the run.

A new database is six hundred small files: making them on a disk costs ten times as much.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

_MEMORY: Final = Path("/dev/shm")
_PREFIX: Final = "wardlight-tests-"
_ROOM: Final = 2**31  # many times what a run writes


@contextmanager
def memory_folder(otherwise: Path) -> Iterator[Path]:
    """A new folder in memory, removed at the end; ``otherwise`` where memory has no room for it."""
    if not _has_room():
        yield otherwise
        return
    _remove_leftovers()
    with tempfile.TemporaryDirectory(
        prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _has_room() -> bool:
    """Of the folder and of the machine: a container may have many times less of either."""
    if not os.access(_MEMORY, os.W_OK):
        return False
    return min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available // 2) >= _ROOM


def _remove_leftovers() -> None:
    """Folders of runs that were killed."""
    for folder in _MEMORY.glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", number).exists():
            shutil.rmtree(folder, ignore_errors=True)
