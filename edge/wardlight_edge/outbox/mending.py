"""Making a damaged outbox file such that SQLite opens it.

A damaged first page (the one most often written) is replaced by that of an empty outbox: tables
are always made in the same order, so they stand on the same pages. Where only the log is left, it
gets a file of zeros to stand on: SQLite throws a log without file away.

Source  https://www.sqlite.org/fileformat2.html sections 1.3 and 4.1
"""

import os
from pathlib import Path
from typing import Final

from wardlight_edge.durable import make_private
from wardlight_edge.outbox import trace
from wardlight_edge.outbox.database import PAGE_BYTES, Database, peek
from wardlight_edge.outbox.file import SCHEMA_OF, read_epoch
from wardlight_edge.outbox.log_check import FRAME_HEADER_BYTES, LOG_HEADER_BYTES
from wardlight_shared.errors import OutboxCorrupt, StorageError

_SIZE_OFFSET: Final = 28  # 1.3.7, in-header database size
_MOST_PAGES: Final = 1 << 28  # a terabyte: a number beyond is no page number
_COUNT_TABLES: Final = "SELECT count(*) FROM sqlite_schema WHERE name IN ('record', 'meta')"


def epoch_of(path: Path, database: Database) -> int:
    """The epoch, from the file or else from its trace; OutboxCorrupt when it is lost."""
    try:
        return read_epoch(database)
    except OutboxCorrupt:
        known = trace.read(path)
        if known is None:
            raise
        return known.epoch


def schema_of(path: Path) -> int | None:
    """The schema of a file that may be damaged, without touching it; None = it does not tell."""
    schema = peek(path, SCHEMA_OF)
    if schema is None:
        schema = _peek_behind_first_page(path)
    return schema if isinstance(schema, int) else None


def _peek_behind_first_page(path: Path) -> object:
    """The small tables stand on the first pages: read them behind that of an empty outbox."""
    look = path.with_name(path.name + ".look")
    try:
        empty = _empty(path.with_name(path.name + ".template"))
        with path.open("rb") as file:
            front = file.read(len(empty))
        make_private(look)
        look.write_bytes(empty[:PAGE_BYTES] + front[PAGE_BYTES:] + empty[len(front) :])
        return peek(look, SCHEMA_OF)
    except (OSError, StorageError):
        return None
    finally:
        look.unlink(missing_ok=True)


def open_damaged(path: Path) -> Database:
    """Open what there is; StorageError or OutboxCorrupt when nothing can be read."""
    if has_only_log(path):
        _make_room_for_log(path)
    if not path.exists():  # SQLite would make it
        raise StorageError(f"{path}: the file is gone")
    try:
        return _opened_whole(path)
    except OutboxCorrupt:
        _mend_first_page(path)
    return _opened_whole(path)


def _opened_whole(path: Path) -> Database:
    database = Database(path)
    try:
        if database.value(_COUNT_TABLES) != 2:
            raise OutboxCorrupt(f"{path}: no tables of an outbox")  # noqa: TRY301 - closed below
    except BaseException:
        database.close()
        raise
    return database


def has_only_log(path: Path) -> bool:
    """Whether the file is gone, and its log is there."""
    log = _log_of(path)
    return log.exists() and log.stat().st_size > 0 and is_gone(path)


def is_gone(path: Path) -> bool:
    """Whether there is no file, or not a page of it: SQLite takes that for a new one."""
    return not path.exists() or path.stat().st_size < PAGE_BYTES


def _make_room_for_log(path: Path) -> None:
    """Make a file of zeros as large as the log says: SQLite throws a log without file away.

    The log holds the pages written since the last checkpoint; the others are damaged ones then.
    """
    with _log_of(path).open("rb") as log:
        header = log.read(LOG_HEADER_BYTES)
        pages = 1
        frame_bytes = FRAME_HEADER_BYTES + PAGE_BYTES
        while len(frame := log.read(frame_bytes)) == frame_bytes:
            if frame[8:16] != header[16:24]:  # salts: a frame of an older round
                break
            number, size = (int.from_bytes(frame[at : at + 4], "big") for at in (0, 4))
            pages = max(pages, number, size)
    make_private(path)
    os.truncate(path, min(pages, _MOST_PAGES) * PAGE_BYTES)


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _mend_first_page(path: Path) -> None:
    """Put the first page of an empty outbox in place of a damaged one; the old page is kept."""
    empty = _empty(path.with_name(path.name + ".template"))
    page = bytearray(empty[:PAGE_BYTES])
    # A file cut short of the root of a table would not open: the missing pages become zeros.
    pages = max(len(empty), path.stat().st_size + PAGE_BYTES - 1) // PAGE_BYTES
    os.truncate(path, pages * PAGE_BYTES)
    page[_SIZE_OFFSET : _SIZE_OFFSET + 4] = pages.to_bytes(4, "big")
    with path.open("r+b") as file:
        path.with_name(path.name + ".page1").write_bytes(file.read(PAGE_BYTES))
        file.seek(0)
        file.write(page)


def _empty(path: Path) -> bytes:
    """An empty outbox file."""
    database = Database(path)
    try:
        with database.transaction():
            database.create_schema()
    finally:
        database.close()
    content = path.read_bytes()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return content
