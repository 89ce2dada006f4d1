"""The uplink's part of the spool: what waits, its octets, and the collector's word on it.

The imaging process may set the database aside and make another one, in which other items have the
numbers. So whatever is given a number looks which database that is from, in the same statement or
transaction; files are known by their names.

Errors  StorageError
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardlight_edge.spool.base import Dropped, Item, ItemState
from wardlight_edge.spool.damage import mark_damaged
from wardlight_edge.spool.database import Database, Transaction
from wardlight_edge.spool.rows import ITEM_COLUMNS, open_row
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.segments import DamagedFile, SegmentReader
from wardlight_edge.spool.worklist import WorklistTable
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError
from wardlight_shared.worklist import WorklistPage

_log = logging.getLogger(__name__)
_OPEN_FILES: Final = 8
_IDENTITY: Final = "SELECT identity FROM origin"
_WAITING: Final = (
    f"SELECT ({_IDENTITY}), {ITEM_COLUMNS} FROM item"  # noqa: S608 - constants
    " WHERE state = ? AND item > ? AND (? IS NULL OR kind = ?) ORDER BY item LIMIT ?"
)
_NAME: Final = "SELECT o.identity, i.name FROM origin AS o LEFT JOIN item AS i ON i.item = ?"
_DROPPED: Final = (
    f"SELECT ({_IDENTITY}), drop_number, kind, received_ms FROM dropped"  # noqa: S608 - constants
    " ORDER BY drop_number LIMIT ?"
)


class SqliteSendingSpool:
    """Gives items to the uplink. Any thread may call; several items are read in turn cheaply."""

    def __init__(
        self, database: Database, sealer: Sealer, key: bytes, folder: Path, worklist: WorklistTable
    ) -> None:
        self.database = database
        self.sealer = sealer
        self.folder = folder
        self._key = key
        self._worklist = worklist
        self._lock = threading.Lock()
        self._readers: OrderedDict[bytes, SegmentReader] = OrderedDict()
        self._told: int | None = None
        self._dropped_of: int | None = None

    @property
    def identity(self) -> int:
        """63 random bits made with the database; item numbers are never reused within it.

        Whoever asks takes the items by the numbers of this database from now on.
        """
        self._told = _made(self.database.value(_IDENTITY))
        return self._told

    def close(self) -> None:
        """Close files and database."""
        self._close_files()
        self.database.close()

    def waiting(
        self,
        *,
        after: int = 0,
        limit: int = 16,
        kind: BlobKind | None = None,
        state: ItemState = ItemState.WAITING,
    ) -> Sequence[Item]:
        """Items to deliver, or to ask about, ascending by number.

        A row that does not open is DAMAGED from now.
        """
        self.database.refresh()
        self._check(self.database.value(_IDENTITY), self._told)
        rows = self.database.rows(
            _WAITING,
            (state, after, kind, kind, limit),
        )
        found = []
        for identity, *columns in rows:
            self._check(identity, self._told)
            row = tuple(columns)
            try:
                found.append(open_row(self.sealer, row))
            except StorageError as error:
                mark_damaged(self.database, self.folder, row[0], row[2], str(error))
        return found

    def read(self, item: int, offset: int, length: int) -> bytes:
        """Octets of an item's file; DamagedFile: it is DAMAGED from now."""
        told = self._told
        found = self.database.rows(_NAME, (item,))
        identity, name = found[0] if found else (None, None)
        self._check(identity, told)
        if name is None:
            raise StorageError(f"item {item} is not in the spool")
        try:
            return self._reader(name).read(offset, length)
        except DamagedFile as error:
            self._forget(name)
            mark_damaged(self.database, self.folder, item, name, str(error))
            raise

    def settle(self, items: Sequence[int], state: ItemState, reason: str | None = None) -> None:
        """The collector's word on items; durable on return, the same again changes nothing."""
        told = self._told  # as it is when we are called: we may come to it much later

        def settle(changes: Transaction) -> list[bytes]:
            self._check(changes.value(_IDENTITY), told)
            return _settled(changes, items, state, reason)

        self.database.refresh()
        names = self.database.write(settle)
        for name in names:
            self._forget(name)
        if not self.database.is_current():
            # It was set aside meanwhile: the new one has these files as waiting ones.
            raise StorageError("the spool's database was set aside")
        for name in names:
            self._remove(self.folder / name.hex())

    def dropped(self, limit: int = 100) -> Sequence[Dropped]:
        """What a person gave up and the cloud has not been told, oldest first."""
        self.database.refresh()
        rows = self.database.rows(_DROPPED, (limit,))
        if rows:
            self._dropped_of = rows[0][0]
        return [Dropped(*row) for _, *row in rows]

    def told(self, numbers: Sequence[int]) -> None:
        """These are among the records for the cloud; durable on return."""

        def change(changes: Transaction) -> None:
            if _made(changes.value(_IDENTITY)) != self._dropped_of:
                raise StorageError(
                    "the spool's database was made again: what was given up is told once more"
                )
            for number in numbers:
                changes.execute("DELETE FROM dropped WHERE drop_number = ?", (number,))

        self.database.write(change)

    def revision(self) -> int:
        """Revision of the worklist that is held; 0 = none."""
        return self._worklist.revision()

    def epoch(self) -> int | None:
        """Epoch of the worklist that is held; None = not known."""
        return self._worklist.epoch()

    def keep_worklist(self, page: WorklistPage) -> bool:
        """Take a page over; durable on return. False: it does not continue, and is ignored."""
        return self._worklist.keep(page)

    def _check(self, identity: int | None, told: int | None) -> None:
        """A database that was lost and made again gives other numbers to the same files."""
        made = _made(identity)
        if told is None:  # nobody asked: what is given out now is of this one
            self._told = made
        elif told != made:
            self._close_files()
            raise StorageError("the spool's database was made again: items have other numbers")

    def _close_files(self) -> None:
        with self._lock:
            while self._readers:
                self._readers.popitem()[1].close()

    def _reader(self, name: bytes) -> SegmentReader:
        with self._lock:
            if name in self._readers:
                self._readers.move_to_end(name)
                return self._readers[name]
            reader = self._readers[name] = SegmentReader(self.folder / name.hex(), self._key)
            if len(self._readers) > _OPEN_FILES:
                self._readers.popitem(last=False)[1].close()
            return reader

    def _forget(self, name: bytes) -> None:
        with self._lock:
            if reader := self._readers.pop(name, None):
                reader.close()

    def _remove(self, file: Path) -> None:
        """What is not removed now, the sweep of the imaging process removes at its next start."""
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("a delivered file stays", extra={"reason": str(error.strerror)})


def _made(identity: int | None) -> int:
    if identity is None:
        raise StorageError("the spool's database is just being made")
    return int(identity)


def _settled(
    changes: Transaction, items: Sequence[int], state: ItemState, reason: str | None
) -> list[bytes]:
    """Change rows; the names of files that are no longer needed."""
    names: list[bytes] = []
    now_ms = time.time_ns() // 1_000_000
    is_done = state is ItemState.DELIVERED
    for item in items:
        changed = changes.execute(
            "UPDATE item SET state = ?, reason = ?, settled_ms = ?,"
            " disk_bytes = CASE WHEN ? THEN 0 ELSE disk_bytes END"
            " WHERE item = ? AND state NOT IN (?, ?) AND NOT (state IN (?, ?) AND NOT ?)",
            (
                *(state, reason, now_ms, is_done, item, state, ItemState.DELIVERED),
                # What has no file stays so, unless the collector has it after all.
                *(ItemState.DAMAGED, ItemState.DROPPED, is_done),
            ),
        )
        if changed and is_done:
            names.append(changes.value("SELECT name FROM item WHERE item = ?", (item,)))
    return names
