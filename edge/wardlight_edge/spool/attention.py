"""What in a spool waits for a person: listed without naming anybody, tried again, or given up.

    12             an item: refused by the collector, damaged on this disk, or kept by the
                   collector on no index, where nobody sees it (cloud-aside)
    aside-1a2b3c   a file that does not open, by the beginning of its name in dicom/aside
    event-3        an event of a procedure step whose row does not open
    commitment-7   a request for storage commitment that was given up, or whose row does not open
    database-1795  a database of the spool that was damaged and set aside, by when that was

What is given up is gone. The cloud is told of each object and each event, in the same transaction:
the uplink takes that from the table ``dropped``. Of what the cloud itself keeps it is told nothing:
that leaves the list of this gateway only. An item leaves its row, so that a modality that
asks for its commitment hears that it is not there.

Errors  StorageError; ConfigError: there is no such entry, or the action would change nothing
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.durable import sync_folder
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.damage import disk_bytes
from wardlight_edge.spool.database import Database, Transaction
from wardlight_edge.spool.rows import ITEM_COLUMNS, open_row
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.segments import SegmentReader
from wardlight_edge.spool.setting_aside import databases_aside, databases_unread
from wardlight_edge.spool.sweep import verified
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import ConfigError, StorageError
from wardlight_shared.set_aside import meaning, word_of

CLOUD_ASIDE: Final = "cloud-aside"
STATES: Final = ("waiting", "refused", "damaged", CLOUD_ASIDE, "aside", "given-up", "dropped")
_SHOWN: Final = 12
_PORTION_BYTES: Final = 1 << 20
_LONGEST_WHY: Final = 250
_IMAGE: Final = "image"
_STEP: Final = "procedure step"
_KINDS: Final = {BlobKind.INSTANCE: _IMAGE, BlobKind.STEP: _STEP}
_GIVEN_UP: Final = "given up by a person"


class Entry(msgspec.Struct, frozen=True):
    """One line. ``since_ms``: when it was received, or set aside (UTC); ``why``: no patient data.

    size  octets of a file, None where there is none
    """

    entry: str
    state: str
    kind: str
    size: int | None
    since_ms: int
    why: str


class Attention:
    """The spool of one gateway; the imaging process and the uplink may run meanwhile."""

    def __init__(self, database: Database, sealer: Sealer, key: bytes) -> None:
        self._database = database
        self._sealer = sealer
        self._key = key
        self._objects = database.path.parent / "objects"
        self._aside = database.path.parent / "aside"

    def entries(self, states: tuple[str, ...], limit: int = 1000) -> list[Entry]:
        """What is in one of these states, oldest first, ``limit`` of each kind at most."""
        found = [*self._items(states, limit), *self._events(states, limit)]
        found += [*self._commitments(states, limit), *self._files(states, limit)]
        found += [*self._kept_in_the_cloud(states, limit), *self._databases(states)]
        return sorted(found, key=lambda each: each.since_ms)

    def retry(self, entry: str) -> str:
        """Give an entry another try; what will happen now, as a sentence."""
        kind, name = _parsed(entry)
        match kind:
            case "aside":
                return self._retry_file(name)
            case "event":
                return self._retry_event(int(name))
            case "commitment":
                return self._retry_commitment(int(name))
            case "database":
                raise ConfigError(f"{entry}: what could be read of it was taken over; drop it")
            case _:
                return self._retry_item(int(name))

    def drop(self, entry: str) -> str:
        """Give an entry up; what has happened, as a sentence."""
        kind, name = _parsed(entry)
        match kind:
            case "aside":
                return self._drop_file(name)
            case "event":
                return self._drop_event(int(name))
            case "commitment":
                return self._drop_commitment(int(name))
            case "database":
                return self._drop_database(name)
            case _:
                return self._drop_item(int(name))

    def _items(self, states: tuple[str, ...], limit: int) -> Iterator[Entry]:
        rows = self._database.rows(
            "SELECT item, state, kind, size, received_ms, reason FROM item"
            " WHERE state IN (SELECT value FROM json_each(?)) ORDER BY item LIMIT ?",
            (_json(states), limit),
        )
        for item, state, kind, size, received_ms, reason in rows:
            why = reason or ("on its way" if state == ItemState.WAITING else "")
            yield Entry(str(item), state, _KINDS[BlobKind(kind)], size, received_ms, why)

    def _kept_in_the_cloud(self, states: tuple[str, ...], limit: int) -> Iterator[Entry]:
        if CLOUD_ASIDE not in states:
            return
        rows = self._database.rows(
            "SELECT item, kind, size, received_ms, reason FROM item"
            " WHERE state = 'delivered' AND reason IS NOT NULL ORDER BY item LIMIT ?",
            (limit,),
        )
        for item, kind, size, received_ms, reason in rows:
            word = word_of(reason)
            why = f"{reason}; the cloud keeps it and nobody sees it: {meaning(word)}"
            yield Entry(str(item), CLOUD_ASIDE, _KINDS[BlobKind(kind)], size, received_ms, why)

    def _events(self, states: tuple[str, ...], limit: int) -> Iterator[Entry]:
        if "aside" not in states:
            return
        sql = "SELECT event, since_ms FROM step_event_aside ORDER BY event LIMIT ?"
        for event, since_ms in self._database.rows(sql, (limit,)):
            why = "its row does not open"
            yield Entry(f"event-{event}", "aside", _STEP, None, since_ms, why)

    def _commitments(self, states: tuple[str, ...], limit: int) -> Iterator[Entry]:
        reasons = {"given-up": "its report was not taken", "damaged": "its row does not open"}
        rows = self._database.rows(
            "SELECT commitment, state, received_ms FROM commitment"
            " WHERE state IN (SELECT value FROM json_each(?)) ORDER BY commitment LIMIT ?",
            (_json(tuple(reasons.keys() & set(states))), limit),
        )
        for number, state, received_ms in rows:
            what = "storage commitment"
            yield Entry(f"commitment-{number}", state, what, None, received_ms, reasons[state])

    def _files(self, states: tuple[str, ...], limit: int) -> Iterator[Entry]:
        if "aside" not in states or not self._aside.is_dir():
            return
        for file in sorted(self._aside.iterdir())[:limit]:
            found = file.stat()
            name, since_ms = f"aside-{file.name[:_SHOWN]}", found.st_mtime_ns // 1_000_000
            yield Entry(name, "aside", "file", found.st_size, since_ms, "its file does not open")

    def _databases(self, states: tuple[str, ...]) -> Iterator[Entry]:
        if "aside" not in states:
            return
        data_dir = self._database.path.parent.parent
        for why, files in (
            ("it was damaged; what could be read was taken over", databases_aside(data_dir)),
            ("it was damaged; the imaging process reads it when it starts next",
             databases_unread(data_dir)),
        ):  # fmt: skip
            for file in files:
                since, size = file.name.rpartition("-")[2], disk_bytes(file)
                yield Entry(f"database-{since}", "aside", "database", size, int(since), why)

    def _retry_item(self, number: int) -> str:
        rows = self._database.rows(
            f"SELECT {ITEM_COLUMNS} FROM item WHERE item = ?",  # noqa: S608 - constants
            (number,),
        )
        if not rows:
            raise ConfigError(f"{number}: no item of this spool")
        state = rows[0][5]
        if state == ItemState.DELIVERED and rows[0][6]:
            raise ConfigError(
                f"{number}: the cloud has it ({rows[0][6]}) and this gateway has no file of it: "
                "have it sent again from the modality as it should be, then `dicom drop` it"
            )
        if state not in (ItemState.REFUSED, ItemState.DAMAGED):
            raise ConfigError(f"{number}: it is {state}, there is nothing to try again")
        try:
            item = open_row(self._sealer, rows[0])
            self._check(self._objects / rows[0][2].hex(), item.sha256, item.size)
        except (OSError, StorageError) as error:
            raise ConfigError(
                f"{number}: it still cannot be read ({_text(error)}): send it again from the "
                "modality, which takes its place"
            ) from error
        self._put_back(
            "UPDATE item SET state = 'waiting', reason = NULL, settled_ms = NULL, disk_bytes = ?"
            " WHERE item = ? AND state = ?",
            (disk_bytes(self._objects / rows[0][2].hex()), number, state),
            f"{number}: there is nothing to try again",
        )
        return f"{number}: it is offered to the collector again"

    def _check(self, file: Path, sha256: bytes, size: int) -> None:
        """Every octet opens and is what was received."""
        digest = hashlib.sha256()
        with SegmentReader(file, self._key) as reader:
            for offset in range(0, reader.size, _PORTION_BYTES):
                digest.update(reader.read(offset, _PORTION_BYTES))
            if (reader.size, digest.digest()) != (size, sha256):
                raise StorageError("its octets are not what was received")

    def _retry_event(self, number: int) -> str:
        def back(changes: Transaction) -> int:
            moved = changes.execute(
                "INSERT INTO step_event (event, name, sealed)"
                " SELECT event, name, sealed FROM step_event_aside WHERE event = ?",
                (number,),
            )
            changes.execute("DELETE FROM step_event_aside WHERE event = ?", (number,))
            return moved

        if not self._database.write(back):
            raise ConfigError(f"event-{number}: no event that was set aside")
        return f"event-{number}: the imaging process reads it again"

    def _retry_commitment(self, number: int) -> str:
        self._put_back(
            "UPDATE commitment SET next_at = 0, attempts = 0,"
            " state = CASE WHEN verdicts IS NULL THEN 'waiting' ELSE 'decided' END"
            " WHERE commitment = ? AND state IN ('given-up', 'damaged')",
            (number,),
            f"commitment-{number}: there is nothing to try again",
        )
        return f"commitment-{number}: its report is tried once more"

    def _put_back(self, sql: str, values: tuple[object, ...], otherwise: str) -> None:
        if not self._database.write(lambda changes: changes.execute(sql, values)):
            raise ConfigError(otherwise)

    def _retry_file(self, beginning: str) -> str:
        file = self._file_aside(beginning)
        try:
            verified(file, self._key)
        except (OSError, StorageError) as error:
            raise ConfigError(
                f"aside-{beginning}: it still does not open ({_text(error)}): have what was sent "
                "at that time sent again; then `dicom drop` it"
            ) from error
        file.replace(self._objects / file.name)
        sync_folder(self._objects)
        return f"aside-{beginning}: it opens; it is entered when the imaging process starts next"

    def _file_aside(self, beginning: str) -> Path:
        files = [*self._aside.glob(f"{beginning}*")] if beginning.isalnum() else []
        if len(files) != 1:
            raise ConfigError(f"aside-{beginning}: {len(files)} files of dicom/aside are named so")
        return files[0]

    def _drop_item(self, number: int) -> str:
        def change(changes: Transaction) -> bytes | None:
            rows = changes.rows(
                "SELECT state, kind, size, received_ms, reason, name FROM item WHERE item = ?",
                (number,),
            )
            if not rows:
                raise ConfigError(f"{number}: no item of this spool")
            state, kind, size, received_ms, reason, name = rows[0]
            is_in_cloud = state == ItemState.DELIVERED and reason
            if state not in (ItemState.REFUSED, ItemState.DAMAGED) and not is_in_cloud:
                raise ConfigError(f"{number}: it is {state}: only what is kept back can be dropped")
            why = f"{_GIVEN_UP}; it was {state}: {reason or 'no reason is known'}"
            changes.execute(
                "UPDATE item SET state = ?, reason = ?, settled_ms = ?, disk_bytes = 0"
                " WHERE item = ?",
                (ItemState.DROPPED, why[:_LONGEST_WHY], _now_ms(), number),
            )
            entry = Entry(str(number), state, _KINDS[BlobKind(kind)], size, received_ms, why)
            if not is_in_cloud:
                _note_loss(changes, entry)
            return None if is_in_cloud else bytes(name)

        name = self._database.write(change)
        if name is None:
            return (
                f"{number}: off this gateway's list; the cloud keeps the file, and lists it until "
                "`wardlight-cloud blobs settle`"
            )
        _remove(self._objects / name.hex())
        return f"{number}: dropped, its room is free; the cloud is told that it is lost"

    def _drop_file(self, beginning: str) -> str:
        file = self._file_aside(beginning)
        found = file.stat()
        since_ms = found.st_mtime_ns // 1_000_000
        name = f"aside-{beginning}"
        entry = Entry(name, "aside", _IMAGE, found.st_size, since_ms, _GIVEN_UP)
        self._database.write(lambda changes: _note_loss(changes, entry))
        _remove(file)
        return f"{name}: dropped; the cloud is told that an image is lost"

    def _drop_event(self, number: int) -> str:
        def change(changes: Transaction) -> bool:
            rows = changes.rows(
                "SELECT since_ms, length(sealed) FROM step_event_aside WHERE event = ?", (number,)
            )
            for since_ms, size in rows:
                entry = Entry(f"event-{number}", "aside", _STEP, size, since_ms, _GIVEN_UP)
                _note_loss(changes, entry)
            changes.execute("DELETE FROM step_event_aside WHERE event = ?", (number,))
            return bool(rows)

        if not self._database.write(change):
            raise ConfigError(f"event-{number}: no event that was set aside")
        return f"event-{number}: dropped; the cloud is told that an event of a step is lost"

    def _drop_commitment(self, number: int) -> str:
        self._put_back(
            "DELETE FROM commitment WHERE commitment = ? AND state IN ('given-up', 'damaged')",
            (number,),
            f"commitment-{number}: there is nothing to drop",
        )
        return f"commitment-{number}: dropped; the modality may ask again"

    def _drop_database(self, since: str) -> str:
        data_dir = self._database.path.parent.parent
        if any(file.name.endswith(f"-{since}") for file in databases_unread(data_dir)):
            raise ConfigError(
                f"database-{since}: it is not read yet; start the imaging process, then drop it"
            )
        files = databases_aside(data_dir)
        found = [file for file in files if file.name.endswith(f"-{since}")]
        if not found:
            raise ConfigError(f"database-{since}: no database that was set aside")
        for suffix in ("-wal", "-shm", ""):
            _remove(found[0].with_name(found[0].name + suffix))
        return f"database-{since}: removed"


def _parsed(entry: str) -> tuple[str, str]:
    """Kind and name of an entry as `dicom items` shows it; the kind of an item is ""."""
    kind, _, name = entry.rpartition("-")
    is_number = name.isascii() and name.isdecimal()
    if kind == "aside" or (is_number and kind in ("", "event", "commitment", "database")):
        return kind, name
    raise ConfigError(f"{entry}: no entry of `wardlight-edge dicom items`")


def _note_loss(changes: Transaction, entry: Entry) -> None:
    changes.execute(
        "INSERT INTO dropped (entry, kind, size, received_ms, why) VALUES (?, ?, ?, ?, ?)",
        (entry.entry, entry.kind, entry.size or 0, entry.since_ms, entry.why[:_LONGEST_WHY]),
    )


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{file.name}: cannot be removed ({error.strerror})") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _json(states: tuple[str, ...]) -> str:
    return msgspec.json.encode(states).decode()


def _text(error: Exception) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)
