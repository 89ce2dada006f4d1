"""The imaging process's part of the spool: files in, each accepted when file and row are durable.

A file is written under a temporary name that carries nothing of its sender. ``accept`` gives it its
name and flushes file and folder; a thread of the workshop commits the row meanwhile. The sender is
told after all of them. (The commit of the file system's journal that the file waits for holds its
name too: the folder's flush takes no time then.) At a kill or a power cut before that nobody was
told, and the sweep at the next start finds what to do: a file without a row is entered, a row
without a whole file is DAMAGED until it is sent again. Files whose rows were replaced are removed
in the end, so that one of the two is always whole.

Errors  SpoolFull, StorageError
"""

import hashlib
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.spool.base import Accepted, Item, ItemState
from wardlight_edge.spool.damage import mark_damaged
from wardlight_edge.spool.database import Database, Transaction
from wardlight_edge.spool.incoming import IncomingFile
from wardlight_edge.spool.room import Claim, Room
from wardlight_edge.spool.rows import (
    ITEM_COLUMNS,
    Trailer,
    open_row,
    seal_contents,
)
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.segments import SEGMENT_BYTES, DamagedFile, SegmentReader
from wardlight_edge.spool.workshop import Workshop
from wardlight_edge.spool.writer import SegmentWriter
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
NAME_BYTES: Final = 16
_FLIGHT_S: Final = 60.0
PART: Final = ".part"
_READY: Final = 4
_NAME: Final = 2  # of ITEM_COLUMNS
_NEWEST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'item'"
_MOST_READ_THROUGH: Final = 100_000
_ASKED_AT_ONCE: Final = 512  # so that images do not wait for a large request
_OF_KEY: Final = f"SELECT {ITEM_COLUMNS} FROM item WHERE key_hash = ? ORDER BY item"  # noqa: S608 - constants


class SqliteReceivingSpool:
    """Takes files; the items are in ``database``.

    folder  where the files are; on the file system of the database
    """

    def __init__(
        self, database: Database, sealer: Sealer, key: bytes, folder: Path, room: Room
    ) -> None:
        self.database = database
        self.sealer = sealer
        self.room = room
        self.folder = folder
        self._key = key
        self._folder_file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._workshop = Workshop()
        self._flights: dict[bytes, threading.Event] = {}  # names that are not durable yet
        self._ready: deque[tuple[bytes, SegmentWriter]] = deque()
        database.reserve()
        self._place_lock = threading.Lock()
        self._last_place = int(database.value("SELECT max(ordinal) FROM item") or 0)
        # What has a higher number was flushed by this process, or read to its end by the sweep.
        self._before = int(database.value(_NEWEST) or 0)
        self._read_through: set[int] = set()

    def close(self) -> None:
        """Close; the database is its opener's."""
        while self._ready:
            self._ready.pop()[1].abandon()
        self._workshop.close()
        file, self._folder_file = self._folder_file, -1
        if file >= 0:
            os.close(file)

    def begin(
        self,
        kind: BlobKind,
        key: str,
        expected_bytes: int = 0,
        *,
        sender: str = "",
        sender_quota: int | None = None,
    ) -> IncomingFile:
        """Begin a file of the instance or step ``key``; ``sender`` is whom its room counts for.

        SpoolFull at once where quotas or the disk would not hold ``expected_bytes``. Steps are held
        against the disk only: they are small, and must go through while images fill the quota.
        """
        claim = Claim(
            self.room,
            self.sender_hash(sender),
            expected_bytes,
            quota=sender_quota,
            is_bounded=kind is BlobKind.INSTANCE,
        )
        try:
            name, writer = self._next()
        except BaseException:
            claim.release()
            raise
        return IncomingFile(self, writer, claim, name, kind=kind, key=key, sender=sender)

    def prepare(self) -> None:
        """Have a file ready for the object that comes next, made while its sender gets it ready."""
        if len(self._ready) < _READY:
            try:
                self._ready.append(self._made())
            except StorageError as error:  # whoever begins a file is told
                _log.debug("no file can be made ready", extra={"reason": str(error)})

    def find(self, key: str) -> Sequence[Item]:
        """Items of this SOP Instance UID, oldest first, delivered ones for as long as kept."""
        rows = self.database.rows(_OF_KEY, (self.key_hash(key),))
        return [open_row(self.sealer, row) for row in rows]

    def ask_again(self, keys: Sequence[str]) -> None:
        """Delivered instances of these UIDs are ASKED from now; durable on return.

        They are remembered as long from then as if they were delivered then.
        """
        for at in range(0, len(keys), _ASKED_AT_ONCE):
            part = keys[at : at + _ASKED_AT_ONCE]
            self.database.write(lambda changes, part=part: self._ask_again(changes, part))  # type: ignore[misc]

    def _ask_again(self, changes: Transaction, keys: Sequence[str]) -> None:
        for key in keys:
            changes.execute(
                "UPDATE item SET state = ?, noticed_at = NULL"
                " WHERE key_hash = ? AND kind = ? AND state = ? AND reason IS NULL",
                (ItemState.ASKED, self.key_hash(key), BlobKind.INSTANCE, ItemState.DELIVERED),
            )

    def is_kept(self, item: Item) -> bool | None:
        """Whether the file of an item that waits is durable and whole; None = it is being flushed.

        A row may be there before its file is durable. What was received before this process began
        is read to its end, once: a power cut may have taken octets of what nobody was told of.
        """
        name = self.database.value(
            "SELECT name FROM item WHERE item = ? AND state = ?", (item.item, ItemState.WAITING)
        )
        if name is None or name in self._flights:
            return None
        is_read = item.item > self._before or item.item in self._read_through
        if (fault := self._fault(name, None if is_read else item.sha256)) is not None:
            self.mark_damaged(item.item, name, fault)
            return False
        if not is_read and len(self._read_through) < _MOST_READ_THROUGH:
            self._read_through.add(item.item)
        return True

    def mark_damaged(self, item: int, name: bytes, reason: str) -> None:
        """An item that waited has no good file any more."""
        mark_damaged(self.database, self.folder, item, name, reason)

    def key_hash(self, key: str) -> bytes:
        """What stands for a SOP Instance UID in the table."""
        return self.sealer.hash("instance", key)

    def sender_hash(self, sender: str) -> bytes:
        """What stands for a sender in the table."""
        return self.sealer.hash("sender", sender)

    def known(self, trailer: Trailer) -> Item | None:
        """The item that this file is the same as and that is durable; None = there is none."""
        rows = self.database.rows(_OF_KEY, (self.key_hash(trailer.key),))
        same = _same([open_row(self.sealer, row) for row in rows], trailer) if rows else None
        if same is None or same.state is ItemState.DELIVERED:
            return same
        (name,) = [row[_NAME] for row in rows if row[0] == same.item]
        if (flight := self._flights.get(name)) is not None:
            flight.wait(_FLIGHT_S)
            return self.known(trailer)
        if (fault := self._fault(name, trailer.sha256)) is None:
            return same
        self.mark_damaged(same.item, name, fault)
        return None

    def take(self, writer: SegmentWriter, name: bytes, trailer: Trailer) -> Accepted:
        """Accept a whole file: it, its name and its row are durable on return."""
        landed = self._flights[name] = threading.Event()
        try:
            accepted, replaced = self._flushed(writer, name, trailer)
        finally:
            del self._flights[name]
            landed.set()
        self._remove(replaced)
        if accepted.known:  # another association had it first
            writer.abandon()
            if self.known(trailer) is None:
                raise StorageError("a file that came twice at once was kept for neither")
        writer.close()
        return accepted

    def enter(self, name: bytes, trailer: Trailer, disk_bytes: int) -> Accepted:
        """Commit the row of a file that is durable under its name."""
        with self._place_lock:
            self._last_place = max(self._last_place, trailer.ordinal)
        accepted, replaced = self._commit(name, trailer, disk_bytes)
        self._remove(replaced)
        return accepted

    def forget(self, now_ms: int, keep_ms: int) -> int:
        """Forget what was delivered or dropped so long ago; how many items that were.

        now_ms  age of the spool: who settles an item has only a wall clock, which may be set. It
                counts from when this process meets it first
        """
        done = _json([ItemState.DELIVERED, ItemState.DROPPED])

        def change(changes: Transaction) -> int:
            changes.execute(
                "UPDATE item SET noticed_at = ? WHERE noticed_at IS NULL"
                " AND settled_ms IS NOT NULL AND state IN (SELECT value FROM json_each(?))",
                (now_ms, done),
            )
            return changes.execute(
                "DELETE FROM item WHERE noticed_at <= ?"
                " AND state IN (SELECT value FROM json_each(?))",
                (now_ms - keep_ms, done),
            )

        return self.database.write(change)

    def next_place(self) -> tuple[int, int]:
        """UTC now, and the place in the order of receipt: later than that of any file before."""
        now_ms = time.time_ns() // 1_000_000
        with self._place_lock:
            self._last_place = max(now_ms, self._last_place + 1)
            return now_ms, self._last_place

    def sync_folder(self) -> None:
        """Make names of files durable."""
        try:
            os.fsync(self._folder_file)
        except OSError as error:
            raise StorageError(f"the spool's folder: {error.strerror}") from error

    def file_of(self, name: bytes) -> Path:
        """Where the file of a row is."""
        return self.folder / name.hex()

    def _fault(self, name: bytes, sha256: bytes | None) -> str | None:
        """What is wrong with a row's file, read to its end: the one that came may be better.

        sha256  None: only whether it is there, with its beginning and its end
        """
        digest = hashlib.sha256()
        try:
            with SegmentReader(self.file_of(name), self._key) as file:
                if sha256 is None:
                    return None
                for offset in range(0, file.size, SEGMENT_BYTES):
                    digest.update(file.read(offset, SEGMENT_BYTES))
        except DamagedFile as error:
            return str(error)
        return None if digest.digest() == sha256 else "its file holds something else"

    def _flushed(
        self, writer: SegmentWriter, name: bytes, trailer: Trailer
    ) -> tuple[Accepted, list[bytes]]:
        """Flush file, then folder, and commit the row meanwhile."""
        writer.rename(self.file_of(name))
        committing = self._workshop.run(self._commit, name, trailer, writer.disk_bytes)
        try:
            writer.sync()
            self.sync_folder()
        except BaseException:
            try:
                writer.abandon()  # before it lands: whoever reads the row finds no file
            finally:
                self._withdraw(committing)
            raise
        return committing.result()

    def _commit(
        self, name: bytes, trailer: Trailer, disk_bytes: int
    ) -> tuple[Accepted, list[bytes]]:
        """Its row, and the names of files whose rows it replaced."""
        return self.database.write(lambda changes: self._enter(changes, name, trailer, disk_bytes))

    def _withdraw(self, committing: "Future[tuple[Accepted, list[bytes]]]") -> None:
        """A row whose file is not durable after all; its sender was not told."""
        if committing.exception() is not None:
            return
        accepted, _ = committing.result()
        if not accepted.known:
            self.database.write(
                lambda changes: changes.execute("DELETE FROM item WHERE item = ?", (accepted.item,))
            )

    def _remove(self, names: Sequence[bytes]) -> None:
        for name in names:
            self.file_of(name).unlink(missing_ok=True)

    def _next(self) -> tuple[bytes, SegmentWriter]:
        try:
            return self._ready.popleft()
        except IndexError:
            return self._made()

    def _made(self) -> tuple[bytes, SegmentWriter]:
        name = secrets.token_bytes(NAME_BYTES)
        path = self.folder / (name.hex() + PART)
        return name, SegmentWriter(path, self._key, self._workshop)

    def _enter(
        self, changes: Transaction, name: bytes, trailer: Trailer, disk_bytes: int
    ) -> tuple[Accepted, list[bytes]]:
        key_hash = self.key_hash(trailer.key)
        rows = changes.rows(_OF_KEY, (key_hash,))
        found = [open_row(self.sealer, row) for row in rows]
        if same := _same(found, trailer):
            return Accepted(same.item, known=True, conflict=bool(same.about.get("conflict"))), []
        is_instance = trailer.kind is BlobKind.INSTANCE
        conflict = is_instance and any(
            each.sha256 != trailer.sha256 and each.state is not ItemState.DROPPED for each in found
        )
        about = {**trailer.about, "conflict": conflict} if is_instance else trailer.about
        item = changes.insert(
            "INSERT INTO item (kind, key_hash, sender, name, size, disk_bytes, received_ms, state,"
            " sealed, ordinal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                trailer.kind,
                key_hash,
                self.sender_hash(trailer.sender),
                name,
                trailer.size,
                disk_bytes,
                trailer.received_ms,
                ItemState.WAITING,
                seal_contents(self.sealer, name, trailer.sha256, about),
                trailer.ordinal or trailer.received_ms,
            ),
        )
        replaced = [
            (each.item, row[_NAME])
            for each, row in zip(found, rows, strict=True)
            if is_instance and each.sha256 == trailer.sha256
        ]
        for number, _ in replaced:
            changes.execute("DELETE FROM item WHERE item = ?", (number,))
        return Accepted(item, known=False, conflict=conflict), [old for _, old in replaced]


def _json(states: Sequence[ItemState]) -> str:
    return msgspec.json.encode(states).decode()


def _same(items: Sequence[Item], trailer: Trailer) -> Item | None:
    """Which of a UID's items a file repeats, so that nothing has to be kept of it.

    An instance: one that waits. Where the collector has said its word, whoever sends the instance
    again may know that it is there no more, or wants it to be looked at again: it is offered again,
    which costs nothing where the collector has it. Of a step only the last message counts: status
    A, then B, then A again is three messages.
    """
    if trailer.kind is BlobKind.INSTANCE:
        candidates = [item for item in items if item.state is ItemState.WAITING]
    else:
        candidates = [item for item in items[-1:] if item.state is not ItemState.DAMAGED]
    return next((item for item in candidates if item.sha256 == trailer.sha256), None)
