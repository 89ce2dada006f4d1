"""Files set aside: an outbox that is damaged or rolled back keeps its bytes under another name.

outbox.db.aside-corrupt-20260801T101500Z-1    waits for its rows to be accepted again
outbox.db.damaged-corrupt-20260801T101500Z-1  done, some rows were unreadable: kept for inspection

The name tells why: that must be known even where nothing of any file can be read.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Final

from wardlight_edge.durable import make_private, sync_folder
from wardlight_edge.outbox import trace

_SUFFIXES: Final = ("", "-wal", "-shm", ".page1", trace.SUFFIX)
_KEEP_DAMAGED: Final = 2
_STAMPED: Final = re.compile(r".*\.(?:aside|damaged)-(?:([a-z-]+)-)?(\d{8}T\d{6}Z-\d+)")


def name_aside(path: Path, cause: str, now: datetime) -> Path:
    """A free name for an outbox set aside."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        target = path.with_name(f"{path.name}.aside-{cause}-{stamp}-{number}")
        if not target.exists() and not _damaged_name(target).exists():
            break
    return target


def set_aside(path: Path, cause: str, now: datetime) -> Path:
    """Rename an outbox file, its log and its trace; return the new path."""
    target = name_aside(path, cause, now)
    if not path.exists() and path.with_name(path.name + "-wal").exists():
        make_private(path)  # a log alone would not be found again
    # The log first: without its main file it is ignored, while a main file without its log would
    # open as an older state of itself. The trace last: it tells of what was not moved yet.
    for suffix in ("-wal", "-shm", "", trace.SUFFIX):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    sync_folder(path.parent)
    return target


def cause_of(path: Path) -> str:
    """Why a file was set aside."""
    match = _STAMPED.fullmatch(path.name)
    return "corrupt" if match is None or match[1] is None else match[1]


def waiting(path: Path) -> list[Path]:
    """Files set aside beside ``path``, oldest first."""
    return _stamped(path.parent, f"{path.name}.aside-*")


def remove(path: Path) -> None:
    """Delete a file whose rows have all been accepted again."""
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    sync_folder(path.parent)


def keep_damaged(path: Path) -> None:
    """Keep a file with unreadable rows for inspection; the oldest ones go."""
    target = _damaged_name(path)
    for suffix in _SUFFIXES:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    base = path.name.partition(".aside-")[0]
    for old in _stamped(path.parent, f"{base}.damaged-*")[:-_KEEP_DAMAGED]:
        for suffix in _SUFFIXES:
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    sync_folder(path.parent)


def _stamped(folder: Path, pattern: str) -> list[Path]:
    """Oldest first."""
    found = {one: _STAMPED.fullmatch(one.name) for one in folder.glob(pattern)}
    return sorted(
        (one for one, match in found.items() if match is not None),
        key=lambda one: (found[one] or [""] * 3)[2],
    )


def _damaged_name(path: Path) -> Path:
    return path.with_name(path.name.replace(".aside-", ".damaged-"))
