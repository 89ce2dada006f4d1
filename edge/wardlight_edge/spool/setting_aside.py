"""Databases of the spool that were damaged: set aside with their logs, and kept.

    spool.sqlite.salvage-N   set aside at N (UTC, ms), to be read; ...damaged-N: was read, is kept
    spool.sqlite.leaving     which file is just being set aside, as what: a kill may leave it half

A log without its database cannot be read, and with another database it would spoil that one: it is
joined only with the file that it was taken from.

Errors  OSError: the disk refuses
"""

import logging
import os
import time
from pathlib import Path
from typing import Final

from wardlight_edge.durable import sync_folder

FOLDER: Final = "dicom"
FILE: Final = "spool.sqlite"
_SALVAGE: Final = ".salvage-"
_DAMAGED: Final = ".damaged-"
_LEAVING: Final = ".leaving"
_LOGS: Final = ("-wal", "-shm")
_log = logging.getLogger(__name__)


def set_aside(file: Path) -> None:
    """A database, to be read by Salvage. The log first: without it the file is an older state."""
    others = [_number(each) for each in file.parent.glob(f"{file.name}.*-*[0-9]")]
    number = max([time.time_ns() // 1_000_000, *(each + 1 for each in others)])
    target = file.with_name(f"{file.name}{_SALVAGE}{number}")
    _note(_leaving(file), f"{file.stat().st_ino} {target.name}")
    _rename(file, target, (*_LOGS, ""))
    _leaving(file).unlink()


def finish(file: Path) -> None:
    """What a kill has left half renamed."""
    found = _noted(_leaving(file))
    if found is not None:
        inode, target = found
        if file.exists() and file.stat().st_ino == inode:
            _log.error("a damaged database is set aside: a kill had interrupted that")
            for suffix in _LOGS:  # what was made since belongs to no log that is left
                if _part(target, suffix).exists():
                    _part(file, suffix).unlink(missing_ok=True)
            _rename(file, target, (*_LOGS, ""))
        _leaving(file).unlink()
    for log in sorted(file.parent.glob(f"{file.name}{_SALVAGE}*[0-9]-*")):
        _join(log)


def keep(wreck: Path) -> None:
    """A database that was read; it itself first, so that it is not read again without its log."""
    _rename(wreck, _as_damaged(wreck), ("", *_LOGS))


def databases_aside(data_dir: Path) -> list[Path]:
    """Databases that were read and are kept, oldest first."""
    return sorted((data_dir / FOLDER).glob(f"{FILE}{_DAMAGED}*[0-9]"), key=_number)


def databases_unread(data_dir: Path) -> list[Path]:
    """Databases that were set aside and are not read yet, oldest first."""
    return sorted((data_dir / FOLDER).glob(f"{FILE}{_SALVAGE}*[0-9]"), key=_number)


def _join(log: Path) -> None:
    """A log beside its database; one whose database is nowhere is left alone."""
    name, _, suffix = log.name.rpartition("-")
    wreck = log.with_name(name)
    if wreck.exists():
        return
    if _as_damaged(wreck).exists():
        log.replace(_part(_as_damaged(wreck), f"-{suffix}"))
    else:
        _log.warning("a log without its database is left alone", extra={"file": log.name})


def _rename(file: Path, target: Path, suffixes: tuple[str, ...]) -> None:
    for suffix in suffixes:
        part = _part(file, suffix)
        if part.exists():
            part.replace(_part(target, suffix))
    sync_folder(file.parent)


def _note(leaving: Path, text: str) -> None:
    with leaving.open("w", encoding="ascii") as written:
        written.write(text)
        written.flush()
        os.fsync(written.fileno())
    sync_folder(leaving.parent)


def _noted(leaving: Path) -> tuple[int, Path] | None:
    """Inode of a database that was leaving, and what it was to become; None = none was."""
    try:
        inode, _, name = leaving.read_text(encoding="ascii").partition(" ")
        return int(inode), leaving.with_name(name)
    except FileNotFoundError:
        return None
    except ValueError:  # written in part: nothing was renamed yet
        leaving.unlink()
        return None


def _leaving(file: Path) -> Path:
    return file.with_name(file.name + _LEAVING)


def _part(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _as_damaged(wreck: Path) -> Path:
    return wreck.with_name(wreck.name.replace(_SALVAGE, _DAMAGED))


def _number(file: Path) -> int:
    return int(file.name.rpartition("-")[2])
