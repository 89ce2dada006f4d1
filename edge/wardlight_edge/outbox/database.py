"""One SQLite connection with the settings that make COMMIT a promise, and its errors by meaning.

WAL with synchronous=FULL: COMMIT returns when the log is on the disk. The exclusive lock keeps a
second process out and saves the shared-memory file. Thread-bound to whoever opens it.

sqlite3 binds an int, str or bytearray as it is; for bytes and None it first looks for an adapter,
which takes longer than the insert. Where rows go in by the thousand they are bytearrays.

Errors  DiskFull, OutboxCorrupt, StorageError (nothing else of sqlite3 leaves this file)
"""

import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from wardlight_edge.durable import make_private
from wardlight_shared.errors import OutboxCorrupt, StorageError

PAGE_BYTES: Final = 4096
_WAL_PAGES: Final = 200  # checkpoint after about 800 KB; see also ``allow_log``
_WAL_PAGES_LEAST: Final = 16
_LOG_LIMIT_BYTES: Final = 4 << 20
_BUSY_S: Final = 2.0  # a process that is just ending may still hold the lock
_ROWS_PER_INSERT: Final = 64  # one statement for many rows: half the time of one each
_ROWS_PER_FETCH: Final = 64
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}

Row = tuple[Any, ...]


class DiskFull(StorageError):
    """The file system has no room for a write of the outbox."""


class Database:
    """An open outbox file."""

    def __init__(self, path: Path, *, quota_bytes: int = 1 << 30) -> None:
        self.path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._log_limit = min(_LOG_LIMIT_BYTES, quota_bytes // 16)
        make_private(path)
        with _meaning(path):
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, cached_statements=128
            )
            try:
                self._configure(quota_bytes)
            except BaseException:
                self._connection.close()
                raise

    def _configure(self, quota_bytes: int) -> None:
        log_pages = min(_WAL_PAGES, max(_WAL_PAGES_LEAST, quota_bytes // PAGE_BYTES // 16))
        for pragma in (
            "locking_mode = EXCLUSIVE",
            f"page_size = {PAGE_BYTES}",
            "auto_vacuum = INCREMENTAL",  # takes effect in an empty file only
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {log_pages}",
            f"journal_size_limit = {self._log_limit}",
            "secure_delete = OFF",  # everything is sealed; wiping would double the flash writes
            "temp_store = MEMORY",
            "trusted_schema = OFF",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()

    def allow_log(self, size_bytes: int) -> None:
        """Checkpoint only when the log is as large as this, if that is later than before.

        A checkpoint costs two flushes and copies a page once, however often it was written. But
        it also lets the file grow by as much as the log holds.
        """
        pages = size_bytes // PAGE_BYTES
        if pages > int(self.value("PRAGMA wal_autocheckpoint")):
            self.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def close(self) -> None:
        """Close; the last checkpoint runs here. Never raises: a damaged file closes too."""
        try:
            self._connection.close()
        except sqlite3.Error:
            self._connection.interrupt()

    def create_schema(self) -> None:
        """Make all tables in an empty file (inside a transaction)."""
        script = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
        for statement in _statements(script):
            self.execute(statement)

    def is_empty(self) -> bool:
        """Whether the file has no tables."""
        return int(self.value("SELECT count(*) FROM sqlite_schema")) == 0

    def check(self) -> None:
        """Raise OutboxCorrupt when SQLite finds the structure damaged."""
        verdict = self.rows("PRAGMA quick_check(1)")
        if verdict != [("ok",)]:
            raise OutboxCorrupt(f"{self.path}: {verdict[0][0] if verdict else 'no verdict'}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN, then COMMIT (durable when this returns), or ROLLBACK when anything is raised."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def unsynced(self) -> Iterator[None]:
        """Transactions inside are consistent, but a power cut may take the last ones back.

        For removals only: a removal that is lost means a record sent twice, which the ledger
        drops. It saves one flush per acknowledgement.
        """
        self.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self.execute("PRAGMA synchronous = FULL")

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; return the number of rows it changed."""
        with _meaning(self.path):
            cursor = self._connection.execute(sql, values)
            cursor.fetchall()
            return max(0, cursor.rowcount)

    def insert_many(self, sql: str, rows: Sequence[Row]) -> None:
        """Run one statement for each row."""
        with _meaning(self.path):
            self._connection.executemany(sql, rows)

    def insert_flat(self, sql: str, width: int, values: Sequence[object]) -> None:
        """Insert rows of ``width`` columns whose values follow one another; ``sql`` ends in VALUES.

        The number of rows in a statement is a power of two, so that few are prepared, once each.
        """
        done, rows = 0, len(values) // width
        with _meaning(self.path):
            while done < rows:
                count = min(_ROWS_PER_INSERT, 1 << (rows - done).bit_length() - 1)
                part = values[done * width : (done + count) * width]
                self._connection.execute(_insert(sql, width, count), part)
                done += count

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All result rows."""
        with _meaning(self.path):
            return self._connection.execute(sql, values).fetchall()

    def value(self, sql: str, values: Sequence[object] = ()) -> Any:
        """First column of the first row, None without a row."""
        rows = self.rows(sql, values)
        return rows[0][0] if rows else None

    def stream(self, sql: str, values: Sequence[object] = ()) -> Generator[Row, None, None]:
        """Result rows one by one; the statement ends when the iterator is closed."""
        with _meaning(self.path):
            cursor = self._connection.execute(sql, values)
            try:
                yield from cursor
            finally:
                cursor.close()

    def chunks(self, sql: str, values: Sequence[object] = ()) -> Generator[list[Row], None, None]:
        """Result rows, some at a time; the statement ends when the iterator is closed."""
        with _meaning(self.path):
            cursor = self._connection.execute(sql, values)
            try:
                while rows := cursor.fetchmany(_ROWS_PER_FETCH):
                    yield rows
            finally:
                cursor.close()

    def used_bytes(self) -> int:
        """Bytes in use: pages that hold something and the log."""
        free = self.value("PRAGMA freelist_count")
        return self.size_bytes() - int(free) * PAGE_BYTES

    def size_bytes(self) -> int:
        """Bytes on disk: file and log."""
        return _size(self.path) + _size(self._log_path)

    def lasting_log_bytes(self) -> int:
        """Bytes of the log that stay until ``truncate_log``; what is more SQLite cuts by itself."""
        return min(_size(self._log_path), self._log_limit)

    def vacuum(self, most_pages: int) -> int:
        """Return at most this many free pages to the file system; return how many there were."""
        free = int(self.value("PRAGMA freelist_count"))
        if free:
            self.execute(f"PRAGMA incremental_vacuum({int(most_pages)})")
        return free

    def truncate_log(self) -> None:
        """Copy the log into the file and cut it to nothing."""
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy_to(self, path: Path) -> None:
        """Copy everything to a new file, also where the own file has no name any more."""
        make_private(path)
        with _meaning(path), closing(sqlite3.connect(path, isolation_level=None)) as target:
            self._connection.backup(target)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StorageError(f"{self.path}: rollback failed: {error}") from error


def peek(path: Path, sql: str) -> Any:
    """First column of the first row of a file that nobody has open, without touching it.

    What stands in its log is not seen. None without a row, and where the file cannot be read.
    """
    name = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(name, uri=True)) as connection:
            row = connection.execute(sql).fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row else None


@cache
def _insert(sql: str, width: int, rows: int) -> str:
    one = "(" + ",".join("?" * width) + ")"
    return sql + ",".join([one] * rows)


@contextmanager
def _meaning(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(path, error) from error


def _translated(path: Path, error: sqlite3.Error) -> StorageError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull(f"{path}: no room on the disk")
    if primary in _CORRUPT:
        return OutboxCorrupt(f"{path}: {error}")
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StorageError(f"{path}: another process has the outbox open; stop it first")
    return StorageError(f"{path}: {error}")


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a hot path
    except FileNotFoundError:
        return 0
