"""The series dictionary: numbers for series keys, kept in memory and, sealed, in the file.

``number`` and ``entries`` are called on the event loop, the rest on the writer's thread; the two
share only a deque and dicts that grow, whose single operations are atomic in CPython.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.errors import StorageError
from wardlight_shared.records import SeriesKey

_TABLE = b"series"
_JUMP = 1 << 20  # far above any number that a damaged dictionary can have given


class Dictionary:
    """Series of one outbox; numbers stay the same when a damaged file is replaced."""

    def __init__(self) -> None:
        self._numbers: dict[SeriesKey, int] = {}
        self._entries: dict[int, SeriesEntry] = {}
        self._new: deque[SeriesEntry] = deque()
        self._next = 1

    def number(self, key: SeriesKey) -> int:
        """Number of ``key``; a new one waits for the next transaction."""
        number = self._numbers.get(key)
        if number is None:
            number = self._next
            self._enter(number, key)
            self._new.append(self._entries[number])
        return number

    def entries(self, numbers: Sequence[int]) -> list[SeriesEntry]:
        """Entries of known numbers; unknown ones are left out."""
        return [self._entries[number] for number in numbers if number in self._entries]

    def knows(self, numbers: Iterable[int]) -> bool:
        """Whether every number has an entry."""
        return all(number in self._entries for number in numbers)

    def restore(self, series: Mapping[int, SeriesKey], *, complete: bool) -> None:
        """Enter what a file held; after an incomplete read no lost number is given again."""
        for number, key in series.items():
            self._enter(number, key)
        if not complete:
            self._next += _JUMP

    def write_new(self, database: Database, cipher: Cipher) -> int:
        """Insert what waits (inside a transaction); pass the result to ``written`` after COMMIT."""
        waiting = len(self._new)
        if waiting:
            self._write(database, cipher, [self._new[place] for place in range(waiting)])
        return waiting

    def write_all(self, database: Database, cipher: Cipher) -> None:
        """Insert every entry into a new file (inside a transaction)."""
        self._write(database, cipher, list(self._entries.values()))

    def written(self, count: int) -> None:
        """The transaction with the first ``count`` waiting entries was committed."""
        for _ in range(count):
            self._new.popleft()

    def _enter(self, number: int, key: SeriesKey) -> None:
        self._entries[number] = SeriesEntry(number, key)
        self._numbers[key] = number
        self._next = max(self._next, number + 1)

    def _write(self, database: Database, cipher: Cipher, entries: Sequence[SeriesEntry]) -> None:
        rows = [
            (one.number, cipher.seal_entry(_TABLE, one.number, msgspec.msgpack.encode(one.key)))
            for one in entries
        ]
        for table in ("series", "series_copy"):
            database.insert_many(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", rows)  # noqa: S608 - names from the line above


def read_series(database: Database, cipher: Cipher) -> tuple[dict[int, SeriesKey], bool]:
    """Return what both copies hold together, and whether at least one of them was whole."""
    found: dict[int, SeriesKey] = {}
    whole = [_read_copy(database, cipher, table, found) for table in ("series", "series_copy")]
    return found, any(whole)


def _read_copy(database: Database, cipher: Cipher, table: str, found: dict[int, SeriesKey]) -> bool:
    whole = True
    try:
        for number, sealed in database.stream(f"SELECT number, sealed FROM {table}"):  # noqa: S608 - two fixed names
            try:
                content = cipher.open_entry(_TABLE, number, sealed)
                found[number] = msgspec.msgpack.decode(content, type=SeriesKey)
            except (DamagedRow, msgspec.MsgspecError, TypeError):
                whole = False
    except StorageError:
        return False
    return whole
