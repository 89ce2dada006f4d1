"""Opening the spool of a gateway: its folder, its lock, its key, and a database that was lost.

<data_dir>/dicom/  spool.sqlite, objects/ (files), aside/ (what does not open), lock
                   spool.sqlite.suspect: a process has met damage in the database
                   what was set aside: setting_aside.py

Errors  ConfigError: another key, or another process receives already; StorageError
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wardlight_edge.clock import SystemClock
from wardlight_edge.durable import sync_folder
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool import setting_aside
from wardlight_edge.spool.database import Database, Transaction, mark_of
from wardlight_edge.spool.faults import SpoolDamaged, SpoolUnreadable
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.room import Room
from wardlight_edge.spool.salvage import Salvage
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_edge.spool.setting_aside import FILE, FOLDER, databases_unread
from wardlight_edge.spool.sweep import Sweep
from wardlight_edge.spool.worklist import WorklistTable
from wardlight_shared.errors import ConfigError, StorageError

_OBJECTS: Final = "objects"
_ASIDE: Final = "aside"
_PAUSES_S: Final = (0.5, 2.0, 5.0)
"""Before a database that the disk does not give is tried again."""
_KEY_PLACE: Final = b"origin"
_log = logging.getLogger(__name__)


@contextmanager
def open_receiving(
    data_dir: Path, key: bytes, settings: DicomSettings
) -> Iterator[SqliteReceivingSpool]:
    """The imaging process's spool, swept; one process at a time has it.

    A database that is damaged is set aside; its items are found again by their files.
    """
    folder = data_dir / FOLDER
    _make_folders(folder)
    with _lock(folder / "lock"), _database(folder / FILE, key) as database:
        sealer = Sealer(key)
        _salvage(database, sealer)
        room = Room(database, folder, settings)
        spool = SqliteReceivingSpool(database, sealer, key, folder / _OBJECTS, room)
        try:
            Sweep(spool, key, folder / _ASIDE).run()
            yield spool
        finally:
            spool.close()


def open_sending(data_dir: Path, key: bytes) -> SqliteSendingSpool | None:
    """The uplink's spool; None while this gateway never had one. Close it in the end."""
    file = data_dir / FOLDER / FILE
    if not file.exists():
        return None
    database = Database(file)
    try:
        sealer = _sealer(database, key)
    except BaseException:
        database.close()
        raise
    worklist = WorklistTable(database, sealer, SystemClock())
    return SqliteSendingSpool(database, sealer, key, file.parent / _OBJECTS, worklist)


def aside_files(data_dir: Path) -> int:
    """How many files were set aside and wait for a person."""
    try:
        return len(os.listdir(data_dir / FOLDER / _ASIDE))  # noqa: PTH208 - names only
    except FileNotFoundError:
        return 0


def _make_folders(folder: Path) -> None:
    try:
        for each in (folder, folder / _OBJECTS):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
            each.chmod(0o700)
        sync_folder(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise ConfigError(
            f"data_dir: {folder} cannot be made ({error.strerror}); give it to the account "
            "of the gateway"
        ) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{path}: another process receives images here; stop it") from error
        yield


@contextmanager
def _database(file: Path, key: bytes) -> Iterator[Database]:
    with _sound(file) as database:
        _sealer(database, key)
        yield database


def _sound(file: Path) -> Database:
    """The database; a new one where the file is damaged, or the disk does not give it."""
    suspect = mark_of(file)
    setting_aside.finish(file)
    try:
        database = _checked(file, thorough=suspect.exists())
    except (SpoolDamaged, SpoolUnreadable) as error:
        _log.error("the spool's database is damaged: set aside", extra={"reason": str(error)})
        setting_aside.set_aside(file)
        suspect.unlink(missing_ok=True)
        return Database(file)
    suspect.unlink(missing_ok=True)
    return database


def _checked(file: Path, *, thorough: bool) -> Database:
    """The database, where it is sound; what the disk does not give is asked for again."""
    for pause_s in _PAUSES_S:
        try:
            return _opened(file, thorough=thorough)
        except SpoolUnreadable as error:
            _log.error("the spool's database cannot be read", extra={"reason": str(error)})
        time.sleep(pause_s)
    return _opened(file, thorough=thorough)


def _opened(file: Path, *, thorough: bool) -> Database:
    database = Database(file)
    try:
        database.check(thorough=thorough)
    except StorageError:
        database.close()
        raise
    return database


def _salvage(database: Database, sealer: Sealer) -> None:
    """Take over what can be read of files that were set aside; then they are only kept.

    The newest first: what an older one says otherwise is not taken over any more.
    """
    for wreck in reversed(databases_unread(database.path.parent.parent)):
        Salvage(database, sealer, wreck).run()
        setting_aside.keep(wreck)


def is_suspect(database: Database) -> bool:
    """Whether a process has met damage in it, or it is not the file of this name any more."""
    return mark_of(database.path).exists() or not database.is_current()


def _sealer(database: Database, key: bytes) -> Sealer:
    """The sealer of this key; the first one that opens a new database makes it its own."""
    sealer = Sealer(key)
    identity, check = database.write(lambda changes: _origin(changes, sealer))
    try:
        sealer.open_sealed(_KEY_PLACE, check)
    except StorageError as error:
        raise ConfigError(
            f"{database.path}: was made with another key (spool {identity:x}); give key_file "
            "the key of then, or move the folder away"
        ) from error
    return sealer


def _origin(changes: Transaction, sealer: Sealer) -> tuple[int, bytes]:
    found = changes.rows("SELECT identity, key_check FROM origin")
    if not found:
        found = [(secrets.randbits(63), sealer.seal(_KEY_PLACE, b""))]
        changes.execute("INSERT INTO origin VALUES (1, ?, ?)", found[0])
    return int(found[0][0]), bytes(found[0][1])
