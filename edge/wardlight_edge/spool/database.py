"""The spool's database: two SQLite connections of one process, and its errors by meaning.

WAL with synchronous=FULL: a change is on the disk when ``write`` returns. Two processes have the
file open; each waits for the other's transactions. Any thread may call. Threads that write at the
same time share one transaction and one flush: whoever comes first commits for all who wait.

Errors  SpoolFull: no room on the disk; SpoolDamaged, SpoolUnreadable (faults.py); StorageError
        (nothing else of sqlite3 leaves)
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from wardlight_edge.durable import make_private
from wardlight_edge.spool import schema
from wardlight_edge.spool.faults import SpoolDamaged, SpoolUnreadable, meaning, verdict
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_BUSY_S: Final = 20.0  # the other process holds the lock for one flush; a disk may be slow
_NONE: Final = -1
_LOG_BYTES: Final = 5 << 20  # SQLite begins anew at about 4 MiB
_MOST_UNREADABLE: Final = 3
"""Reads that the disk fails before the database is looked at anew."""

Row = tuple[Any, ...]
_T = TypeVar("_T")


class Transaction:
    """What a change may do; valid only while ``Database.write`` runs it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; the number of rows it changed."""
        return max(0, self._connection.execute(sql, values).rowcount)

    def insert(self, sql: str, values: Sequence[object] = ()) -> int:
        """Insert one row; its number."""
        return int(self._connection.execute(sql, values).lastrowid or 0)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All result rows."""
        return self._connection.execute(sql, values).fetchall()

    def value(self, sql: str, values: Sequence[object] = ()) -> Any:
        """First column of the first row, None without a row."""
        rows = self.rows(sql, values)
        return rows[0][0] if rows else None


class _Change(Generic[_T]):
    """A change on its way: its result, once it is committed, or its error."""

    def __init__(self, change: Callable[[Transaction], _T]) -> None:
        self.change = change
        self.is_done = False
        self.error: BaseException | None = None
        self._results: list[_T] = []

    def run(self, transaction: Transaction) -> None:
        self._results[:] = [self.change(transaction)]

    def result(self) -> _T:
        if self.error is not None:
            raise self.error
        return self._results[0]


class Database:
    """``Database(path)``: opened or made; ``write`` to change it, ``rows`` and ``value`` to read.

    path  its folder exists; the file gets mode 0600
    """

    _writer: sqlite3.Connection
    _reader: sqlite3.Connection

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = _NONE
        self._unreadable = 0
        self._waiting: list[_Change[Any]] = []
        self._waiting_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        try:
            make_private(path)
        except OSError as error:
            raise StorageError(f"{path}: cannot be made ({error.strerror})") from error
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; never raises: a damaged file closes too."""
        for lock, connection in (
            (self._write_lock, self._writer),
            (self._read_lock, self._reader),
        ):
            with lock:
                try:
                    connection.close()
                except sqlite3.Error:
                    connection.interrupt()

    def refresh(self) -> None:
        """Open the file again where the other process has put a new one in its place."""
        if _inode(self.path) in (self._inode, 0):  # 0: it is just being replaced
            return
        with self._write_lock, self._read_lock:
            self._inode = _NONE  # until it is open: what fails now is tried again
            self._writer.close()
            self._reader.close()
            self._open()

    def is_current(self) -> bool:
        """Whether the file of this name is still the one that is open."""
        return _inode(self.path) == self._inode

    def write(self, change: Callable[[Transaction], _T]) -> _T:
        """Run ``change`` in a transaction; durable on return, undone when it raises.

        It may run in another thread, beside changes of other callers, and must do no more than
        read and write this database.
        """
        entry = _Change(change)
        with self._waiting_lock:
            self._waiting.append(entry)
        with self._write_lock:
            if not entry.is_done:
                self._commit(self._taken())
        return entry.result()

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All result rows of what is committed."""
        with self._read_lock, self._meaning():
            return self._reader.execute(sql, values).fetchall()

    def value(self, sql: str, values: Sequence[object] = ()) -> Any:
        """First column of the first row, None without a row."""
        rows = self.rows(sql, values)
        return rows[0][0] if rows else None

    def check(self, *, thorough: bool = False) -> None:
        """Raise SpoolDamaged when SQLite finds the structure damaged; ``thorough``: or an index.

        SpoolUnreadable: the disk does not give a page.
        """
        pragma = "integrity" if thorough else "quick"
        # Of its own: what the others hold in their caches would hide what the disk has.
        with self._meaning(), closing(_connect(self.path)) as fresh:
            told = fresh.execute(f"PRAGMA {pragma}_check(1)").fetchall()
        if told != [("ok",)]:
            error = verdict(self.path, str(told[0][0]) if told else "no verdict")
            self._note(error)
            raise error

    def reserve(self) -> None:
        """Give log and file the size they will need, now and not commit by commit.

        The flush of a file that grows waits for the journal of its file system, which takes longer
        than the flush. SQLite goes on in the log from its start when it is at its limit.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists() and log.stat().st_size >= _LOG_BYTES:
            return
        self.write(_fill)
        self.write(_empty)

    def _taken(self) -> list[_Change[Any]]:
        with self._waiting_lock:
            taken, self._waiting = self._waiting, []
        return taken

    def _commit(self, changes: list[_Change[Any]]) -> None:
        """Run changes in one transaction; each of them ends committed, or with an error."""
        try:
            with self._meaning():
                self._writer.execute("BEGIN IMMEDIATE")
                if len(changes) == 1:
                    changes[0].run(Transaction(self._writer))
                else:
                    for change in changes:
                        self._run(change)
                self._writer.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - handed to all of the callers
            for change in changes:
                change.error = change.error or error
            self._roll_back()
        finally:
            for change in changes:
                change.is_done = True

    def _run(self, change: _Change[Any]) -> None:
        """One change; what it raises undoes it alone."""
        self._writer.execute("SAVEPOINT one")
        try:
            with self._meaning():
                change.run(Transaction(self._writer))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whose thread it is not
            change.error = error
            self._writer.execute("ROLLBACK TO one")
        self._writer.execute("RELEASE one")

    def _roll_back(self) -> None:
        """Undo what is open. A connection that cannot is given up: SQLite undoes it with that."""
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            _log.error("a rollback failed", extra={"reason": str(error)})
            with self._meaning():
                self._writer.close()
                self._writer = _connect(self.path)

    def _open(self) -> None:
        with self._meaning(), ExitStack() as opened:
            inode = _inode(self.path)  # the older one if it is replaced now: then it is seen again
            self._writer = opened.enter_context(closing(_connect(self.path)))
            self._reader = opened.enter_context(closing(_connect(self.path)))
            self._prepare()
            opened.pop_all()
            self._inode = inode

    def _prepare(self) -> None:
        """Make the tables; SpoolDamaged where those that are there are not the spool's."""
        try:
            schema.prepare(self._writer, self.path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            self._mark()
            raise SpoolDamaged(f"{self.path}: its tables are not the spool's ({error})") from error

    @contextmanager
    def _meaning(self) -> Iterator[None]:
        """Turn sqlite3's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            meant = meaning(self.path, error)
            self._note(meant)
            raise meant from error

    def _note(self, error: StorageError) -> None:
        self._unreadable += isinstance(error, SpoolUnreadable)
        if isinstance(error, SpoolDamaged) or self._unreadable >= _MOST_UNREADABLE:
            self._mark()

    def _mark(self) -> None:
        """Have the imaging process look at it: it alone sets a database aside."""
        with suppress(OSError):
            if self.is_current():
                mark_of(self.path).touch()


def mark_of(path: Path) -> Path:
    """The file that says that a process has met damage in this database."""
    return path.with_name(f"{path.name}.suspect")


def _fill(changes: Transaction) -> None:
    _empty(changes)  # what a kill between the two left
    changes.execute("CREATE TABLE reserve (octets BLOB)")
    changes.execute("INSERT INTO reserve VALUES (zeroblob(?))", (_LOG_BYTES,))


def _empty(changes: Transaction) -> None:
    changes.execute("DROP TABLE IF EXISTS reserve")


def _inode(path: Path) -> int:
    """0 while there is no file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"journal_size_limit = {_LOG_BYTES}",
        "foreign_keys = ON",
        "recursive_triggers = ON",
        "temp_store = MEMORY",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection
