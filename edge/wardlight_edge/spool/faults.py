"""What SQLite's errors mean for the spool, and what is done then.

    no room      SQLITE_FULL: refused, as where a quota is used up
    damaged      SQLITE_CORRUPT, _NOTADB, _FORMAT; _IOERR_SHORT_READ (the file ends too early) and
                 _IOERR_DATA (a checksum); no such table: set aside and made again from the files
    unreadable   _IOERR_READ, and _IOERR_CORRUPTFS, which SQLite says for EIO: refused, and tried
                 again, for a cable or a bus may come back. Where the disk does not give it at an
                 opening either, it counts as damaged: a sector is gone, and without that no process
                 could start any more
    all else     writes, flushes and locks that fail: refused, and nothing is set aside: what was
                 committed is there

Whoever is refused keeps what it has: C-STORE, N-ACTION and the others answer with a failure.

Source  https://www.sqlite.org/rescode.html
"""

import re
import sqlite3
from pathlib import Path
from typing import Final

from wardlight_edge.spool.base import SpoolFull
from wardlight_shared.errors import StorageError

_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_DAMAGED_READS: Final = {sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_DATA}
_UNREADABLE: Final = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_VERDICT_CODE: Final = re.compile(r"error code=(\d+)")


class SpoolDamaged(StorageError):
    """The database file is not what SQLite wrote."""


class SpoolUnreadable(StorageError):
    """The disk does not give what is in the database file, now at least."""


def meaning(path: Path, error: sqlite3.Error) -> StorageError:
    """Our error for one of sqlite3's."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return StorageError(f"{path}: {error}")
    return _of_code(path, code, str(error))


def verdict(path: Path, told: str) -> StorageError:
    """What SQLite's check of a file says; a page that it could not read is told by its code."""
    found = _VERDICT_CODE.search(told)
    if found is None:
        return SpoolDamaged(f"{path}: {told}")
    of_code = _of_code(path, int(found[1]), told)
    return of_code if isinstance(of_code, SpoolUnreadable) else SpoolDamaged(f"{path}: {told}")


def _of_code(path: Path, code: int, text: str) -> StorageError:
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return SpoolFull(f"{path}: no room on the disk")
    is_emptied = code == sqlite3.SQLITE_ERROR and text.startswith("no such table")
    if primary in _DAMAGED or code in _DAMAGED_READS or is_emptied:
        return SpoolDamaged(f"{path}: {text}")
    if code in _UNREADABLE:
        return SpoolUnreadable(f"{path}: the disk does not give what is in it ({text})")
    if primary in _BUSY:
        return StorageError(f"{path}: another process kept the spool busy; try again")
    return StorageError(f"{path}: {text}")
