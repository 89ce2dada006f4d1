"""What can still be read of a database that was damaged and set aside.

Images need none of this: each file tells at its end what it is. Procedure steps and their events,
requests for storage commitment, the worklist, what was delivered or dropped, and the spool's age
stand in rows only. SQLite stops at the first damaged page that it meets: rows are read until there,
and on behind it. Whether a row is genuine is decided by its authentication.
Rows that are taken over twice are there once.

A row or table that cannot be taken over is logged and left out: a gateway receives images with what
is left, rather than not at all.

Errors  SpoolFull, SpoolDamaged of the new database; what the old one does not give is left out
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.spool.age import AGES
from wardlight_edge.spool.base import ItemState, SpoolFull
from wardlight_edge.spool.commitments import MAX_INSTANCES, PAGE, CommitmentState
from wardlight_edge.spool.database import Database, Row, Transaction
from wardlight_edge.spool.faults import SpoolDamaged
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_FARTHEST: Final = 1 << 40
_PORTION: Final = 256
_TRIES: Final = 3  # for a database that the other process keeps busy
_LONGEST_AGE_MS: Final = 100 * 366 * 24 * 3_600_000
_FAULTS: Final = (
    sqlite3.Error, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError,
)  # fmt: skip
_REFUSED: Final = (
    sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
)  # fmt: skip
_STEP: Final = "step, key_hash, status, events, changed_at, sealed"
_EVENT: Final = "event, name, sealed"
_EVENT_ASIDE: Final = "event, name, sealed, since_ms"
_REQUEST: Final = (
    "key_hash, state, received_ms, asked_at, next_at, attempts, name, asked, instances, digest,"
    " verdicts"
)
_COMMITMENT: Final = f"commitment, {_REQUEST}"
_PAGE: Final = "commitment, page, sealed"
_ITEM: Final = (
    "kind, key_hash, sender, name, size, disk_bytes, received_ms, state, settled_ms, reason,"
    " sealed, ordinal, noticed_at"
)
_DROPPED: Final = "entry, kind, size, received_ms, why"
_SAME_ITEM: Final = "SELECT 1 FROM item WHERE key_hash = ?2 AND name = ?4"
_SAME_LOSS: Final = (
    "SELECT 1 FROM dropped WHERE (entry, kind, size, received_ms, why) IS (?1, ?2, ?3, ?4, ?5)"
)
_AGE: Final = "one, age_ms, mono_ms, boot, anchor_age_ms, anchor_wall_ms, anchor_boot"
_WORKLIST: Final = "generation, entry, revision, sealed"
_WORKLIST_STATE: Final = (
    "one, generation, revision, coming, as_of_ms, kept_ms, kept_mono_ms, kept_boot"
)


class Salvaged(msgspec.Struct, frozen=True):
    """What was taken over. ``is_whole``: no page was met that cannot be read."""

    steps: int = 0
    events: int = 0
    commitments: int = 0
    worklist: int = 0
    settled: int = 0
    is_whole: bool = False


class Salvage:
    """``Salvage(database, sealer, file).run()``: rows of ``file`` into ``database``."""

    def __init__(self, database: Database, sealer: Sealer, file: Path) -> None:
        self._database = database
        self._sealer = sealer
        self._file = file
        self._is_whole = True

    def run(self) -> Salvaged:
        """Take over what is genuine."""
        try:
            with closing(sqlite3.connect(self._file, isolation_level=None)) as wreck:
                found = self._take_over(wreck)
        except sqlite3.Error as error:
            _log.error("nothing of it can be read", extra={"reason": str(error)})
            found = Salvaged()
        _log.warning("a damaged database was read", extra=msgspec.structs.asdict(found))
        return found

    def _take_over(self, wreck: sqlite3.Connection) -> Salvaged:
        if not self._copied(wreck, "age", _AGE, _is_age):
            self._is_whole = False
        steps = self._copied(
            wreck, "step", _STEP, lambda row: self._opens(b"step " + row[1], row[5])
        )
        events = self._copied(
            wreck, "step_event", _EVENT, lambda row: self._opens(b"step " + row[1], row[2])
        )
        self._copied(wreck, "step_event_aside", _EVENT_ASIDE, lambda row: isinstance(row[3], int))
        settled = self._copied(wreck, "item", _ITEM, self._is_settled, unless=_SAME_ITEM)
        self._copied(
            wreck, "dropped", _DROPPED, lambda row: isinstance(row[3], int), unless=_SAME_LOSS
        )
        commitments = self._commitments(wreck)
        worklist = self._tried("worklist", lambda: self._worklist(wreck))
        self._tried("age", self._rebase)
        return Salvaged(steps, events, commitments, worklist, settled, self._is_whole)

    def _tried(self, what: str, take: Callable[[], int]) -> int:
        """How many rows ``take`` took over; 0, and a line in the log, where it fails."""
        for rest in reversed(range(_TRIES)):
            try:
                return take()
            except (SpoolFull, SpoolDamaged):  # tried again at the next start
                raise
            except (StorageError, *_FAULTS) as error:
                _log.error(
                    "a part of a damaged database is left out",
                    extra={"part": what, "reason": type(error).__name__, "tries_left": rest},
                )
        self._is_whole = False
        return 0

    def _copied(
        self,
        wreck: sqlite3.Connection,
        table: str,
        columns: str,
        is_genuine: Callable[[Row], bool],
        *,
        unless: str = "",
    ) -> int:
        """Rows of a table that are genuine, taken over; how many.

        unless  finds a row that is the same, where numbers are given anew
        """
        marks = ", ".join("?" * len(columns.split(",")))
        held = f" WHERE NOT EXISTS ({unless})" if unless else ""
        sql = f"INSERT OR IGNORE INTO {table} ({columns}) SELECT {marks}{held}"
        count = 0
        for portion in _portions(self._rows(wreck, table, columns)):
            genuine = [row for row in portion if _holds(is_genuine, row)]
            count += self._tried(table, lambda rows=genuine: self._inserted(sql, rows))  # type: ignore[misc]
        return count

    def _inserted(self, sql: str, rows: Sequence[Row]) -> int:
        self._database.write(lambda changes: _insert(changes, sql, rows))
        return len(rows)

    def _is_settled(self, row: Row) -> bool:
        """What waits, or was refused, is found by its file."""
        is_done = row[7] in (ItemState.DELIVERED, ItemState.ASKED, ItemState.DROPPED)
        return is_done and self._opens(b"item" + row[3], row[10])

    def _commitments(self, wreck: sqlite3.Connection) -> int:
        """Requests whose pages are all there: half a request is none."""
        rows = self._rows(wreck, "commitment", _COMMITMENT)
        count = 0
        for row in rows:
            count += self._tried("commitment", lambda row=row: self._commitment(wreck, row))  # type: ignore[misc]
        return count

    def _commitment(self, wreck: sqlite3.Connection, row: Row) -> bool:
        pages = self._pages(wreck, row[0])
        is_over = row[2] == CommitmentState.REPORTED and not pages

        def is_genuine(row: Row) -> bool:
            name, asked, instances, verdicts = row[7], row[8], row[9], row[11]
            return (
                0 < instances <= MAX_INSTANCES
                and self._opens(b"commitment asked " + name, asked)
                and (is_over or [page[1] for page in pages] == list(range(-(-instances // PAGE))))
                and all(self._opens(b"commitment page %d %s" % (page[1], name), page[2])
                        for page in pages)
                and (verdicts is None or self._opens(b"commitment verdicts " + name, verdicts))
            )  # fmt: skip

        if not _holds(is_genuine, row):
            return False

        def change(changes: Transaction) -> bool:
            # Under a number of its own: the one that it had may be another one's by now.
            request = f"INSERT OR IGNORE INTO commitment ({_REQUEST}) VALUES ({_marks(11)})"  # noqa: S608
            if not changes.execute(request, row[1:]):
                return True  # it is there already
            number = changes.value("SELECT last_insert_rowid()")
            page = f"INSERT INTO commitment_page ({_PAGE}) VALUES ({_marks(3)})"  # noqa: S608
            for _, place, sealed in pages:
                changes.execute(page, (number, place, sealed))
            return True

        return self._database.write(change)

    def _pages(self, wreck: sqlite3.Connection, number: object) -> list[Row]:
        """Pages of one request; where the index is damaged by going through all."""
        for how in ("", "NOT INDEXED"):
            sql = f"SELECT {_PAGE} FROM commitment_page {how} WHERE commitment = ? ORDER BY page"  # noqa: S608
            try:
                return wreck.execute(sql, (number,)).fetchall()
            except _FAULTS:
                self._is_whole = False
        return []

    def _worklist(self, wreck: sqlite3.Connection) -> int:
        """The list, where all of it can be read; the collector is asked for it anew.

        Only into a database without one: the uplink may have kept a newer page already, and what
        was cancelled may not come back.
        """
        states = list(self._rows(wreck, "worklist_state", _WORKLIST_STATE))
        rows = list(self._rows(wreck, "worklist", _WORKLIST))
        if not self._is_whole or len(states) != 1:
            return 0
        entries = [row for row in rows if row[0] == states[0][1]]
        if not all(_holds(self._is_entry, row) for row in entries):
            return 0
        one, generation, _, _, *times = states[0]

        def change(changes: Transaction) -> int:
            if changes.rows("SELECT one FROM worklist_state"):
                return 0
            state = f"INSERT INTO worklist_state VALUES ({_marks(8)})"  # noqa: S608
            changes.execute(state, (one, generation, 0, None, *times))
            entry = f"INSERT INTO worklist ({_WORKLIST}) VALUES ({_marks(4)})"  # noqa: S608
            for row in entries:
                changes.execute(entry, row)
            return len(entries)

        return self._database.write(change)

    def _is_entry(self, row: Row) -> bool:
        return self._opens(b"worklist %d %d" % (row[0], row[1]), row[3])

    def _rebase(self) -> int:
        """Where the age was lost it begins anew, and so does what was counted by it."""

        def change(changes: Transaction) -> int:
            age = int(changes.value("SELECT age_ms FROM age") or 0)
            for table, column in AGES:
                changes.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} > ?",  # noqa: S608 - constants
                    (age, age),
                )
            return 0

        return self._database.write(change)

    def _opens(self, place: bytes, sealed: bytes) -> bool:
        try:
            self._sealer.open_sealed(place, sealed)
        except StorageError:
            return False
        return True

    def _rows(self, wreck: sqlite3.Connection, table: str, columns: str) -> Iterator[Row]:
        """Rows of a table as far as SQLite reaches them, each once."""
        select = f"SELECT rowid, {columns} FROM {table} WHERE rowid >= ? ORDER BY rowid"  # noqa: S608 - constants
        at = 0
        while True:
            try:
                for row in wreck.execute(select, (at + 1,)):
                    at = row[0]
                    yield row[1:]
            except _FAULTS:
                self._is_whole = False
            else:
                return
            # A cursor is one row ahead: the one before the damage is there too.
            found = _first(wreck, select, at + 1) or _beyond(wreck, select, at + 1)
            if not found:
                return
            at = found[0][0]
            yield found[0][1:]


def _beyond(wreck: sqlite3.Connection, select: str, at: int) -> list[Row]:
    """The first row behind damage that begins at ``at``; [] = none can be reached."""
    bad, good = 0, 1
    while (found := _first(wreck, select, at + good)) is None:
        bad, good = good, good * 2
        if good >= _FARTHEST:
            return []
    while good - bad > 1:  # what was stepped over is damaged in part only
        middle = (bad + good) // 2
        nearer = _first(wreck, select, at + middle)
        if nearer is None:
            bad = middle
        else:
            found, good = nearer, middle
    return found


def _first(wreck: sqlite3.Connection, select: str, at: int) -> list[Row] | None:
    """The first row from a number on, where there is one; None = it cannot be reached."""
    try:
        return wreck.execute(f"{select} LIMIT 1", (at,)).fetchall()
    except _FAULTS:
        return None


def _holds(is_genuine: Callable[[Row], bool], row: Row) -> bool:
    try:
        return is_genuine(row)
    except (TypeError, ValueError, OverflowError):  # a value of another type than it was written
        return False


def _is_age(row: Row) -> bool:
    numbers, boots = (row[1], row[2], row[4], row[5]), (row[3], row[6])
    return (
        all(isinstance(each, int) for each in numbers)
        and all(isinstance(each, str) for each in boots)
        and 0 <= row[1] <= _LONGEST_AGE_MS
    )


def _insert(changes: Transaction, sql: str, rows: Sequence[Row]) -> None:
    for row in rows:
        try:
            changes.execute(sql, row)
        except _REFUSED as error:  # undoes this statement alone
            _log.error("a row of a damaged database is left out", extra={"reason": str(error)})


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _portions(rows: Iterator[Row]) -> Iterator[list[Row]]:
    portion: list[Row] = []
    for row in rows:
        portion.append(row)
        if len(portion) == _PORTION:
            yield portion
            portion = []
    yield portion
