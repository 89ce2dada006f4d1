"""Reading what is left of a damaged outbox file.

SQLite stops at the first damaged page it meets; ``Wreck`` then reads the leaves below it itself
(leaves.py) and goes on at the next row that SQLite can reach. Whether a row is genuine is decided
by its authentication, not by where it was found.
"""

from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from wardlight_edge.outbox import trace
from wardlight_edge.outbox.cipher import ID_BYTES, Cipher, DamagedRow
from wardlight_edge.outbox.database import Row
from wardlight_edge.outbox.dictionary import read_series
from wardlight_edge.outbox.file import carry_over, read_before
from wardlight_edge.outbox.leaves import Leaves
from wardlight_edge.outbox.mending import epoch_of, open_damaged
from wardlight_edge.outbox.origin import unframed
from wardlight_edge.outbox.packing import MOST_RECORDS, ONE_MORE
from wardlight_edge.outbox.portion import Found, OldRow, Portion
from wardlight_shared.errors import OutboxCorrupt, StorageError
from wardlight_shared.records import SeriesKey
from wardlight_shared.timestamps import Anchor

_FARTHEST: Final = 1 << 40
_HIGHEST: Final = (
    "SELECT value FROM meta WHERE name = 'highest'",
    "SELECT seq + ((kind >> 4) & 31) FROM record ORDER BY seq DESC LIMIT 1",
    "SELECT max(seq) FROM rejected",
    # An index holds seqs too, on pages of its own.
    "SELECT max(seq) FROM record INDEXED BY record_event WHERE event_id IS NOT NULL",
    "SELECT max(seq) FROM record INDEXED BY record_alarm WHERE queue = 0",
)


class Wreck:
    """An old outbox file, open for reading as far as it goes."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open; OutboxCorrupt when nothing of it can be read."""
        self._path = path
        self._leaves: Leaves | None = None
        self._database = open_damaged(path)
        try:
            self.epoch = epoch_of(path, self._database)
        except BaseException:
            self.close()
            raise
        self.cipher = Cipher(key, self.epoch)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def series(self) -> tuple[dict[int, SeriesKey], bool]:
        """The dictionary, and whether it is whole."""
        return read_series(self._database, self.cipher)

    def boots_and_anchors(self) -> tuple[dict[int, str], list[Anchor]]:
        """Boot names and anchors that can be read."""
        return carry_over(self._database, self.cipher)

    def before(self) -> tuple[int, ...]:
        """The epoch, and those that the file comes after, from the file and from its trace."""
        known = trace.read(self._path)
        try:
            written = read_before(self._database)
        except StorageError:
            written = ()
        return trace.one_after_another(
            [self.epoch], () if known is None else known.lineage, written
        )

    def salvages(self) -> dict[str, tuple[int, int, int, int]]:
        """(next_seq, expected, recovered, lost) of files whose rows this one was taking over."""
        sql = "SELECT file, next_seq, expected, recovered, lost FROM salvage"
        found: dict[str, tuple[int, int, int, int]] = {}
        with suppress(StorageError):  # then they are taken over again from their beginning
            for file, *numbers in self._database.stream(sql):
                if all(isinstance(number, int) for number in numbers):
                    found[str(file)] = (numbers[0], numbers[1], numbers[2], numbers[3])
        return found

    def highest(self) -> int:
        """The newest seq ever given, as far as the file tells."""
        found = 0
        for sql in _HIGHEST:
            try:
                found = max(found, int(self._database.value(sql) or 0))
            except (StorageError, ValueError, TypeError):
                continue
        return found

    def read(self, next_seq: int, highest: int, most: int) -> Portion:
        """Rows from ``next_seq`` on, until they hold ``most`` records."""
        found = Found(next_seq)
        try:
            with closing(self._select(next_seq, most)) as rows:
                for row in rows:
                    if row[0] < next_seq:
                        raise OutboxCorrupt("rows out of order")
                    self._enter(found, row)
                    next_seq = row[0] + 1
                    if len(found.rows) >= most:
                        return found.portion(is_last=False)
        except StorageError:
            # sqlite3 looks one row ahead: the row before the damage is still to be had.
            while self._seek(found.next_seq) == found.next_seq:
                self._enter(found, next(self._select(found.next_seq, 1)))
            return self._step_over(found, highest, most)
        return found.portion(is_last=found.looked_at < most)

    def rejected(self) -> list[OldRow]:
        """Rows that the collector had refused, as far as they can be read."""
        found: list[OldRow] = []
        with suppress(StorageError):  # the collector has these records in its dead-letter table
            for row in self._database.stream("SELECT seq, event_id, body FROM rejected"):
                found += self._opened(*row)
        return found

    def _select(self, next_seq: int, most: int) -> Generator[Row, None, None]:
        sql = "SELECT seq, kind, event_id, body FROM record WHERE seq >= ? ORDER BY seq LIMIT ?"
        return self._database.stream(sql, (next_seq, most))

    def _enter(self, found: Found, row: Row) -> None:
        """Enter what a row holds; where it cannot be read, what it can have held is lost."""
        seq, kind, hidden, sealed = row
        rows = self._opened(seq, hidden, sealed)
        if rows:
            found.add(rows)
            return
        more = (kind // ONE_MORE) % MOST_RECORDS if isinstance(kind, int) else 0
        following = self._seek(seq + 1) if more else None
        if isinstance(following, int):
            more = min(more, following - seq - 1)
        found.lose(seq, more)

    def _step_over(self, found: Found, highest: int, most: int) -> Portion:
        """Rows from there on cannot be reached: read their leaves, go on behind them."""
        next_seq = found.next_seq
        beyond = self._reachable_after(next_seq)
        last = _FARTHEST if beyond is None else beyond - 1
        hidden, is_whole_gap = self._hidden(next_seq, last, most)
        if not is_whole_gap:
            last = hidden[-1].seq
        elif beyond is None:
            # The end of the file is damaged. Where it does not tell its newest seq, at least one
            # row more is missing than was found.
            known = hidden[-1].seq if hidden else next_seq - 1
            last = highest if highest >= max(known, 1) else known + 1
        lost = found.lost + last + 1 - next_seq - len(hidden)
        is_last = is_whole_gap and beyond is None
        return Portion(found.rows + hidden, last + 1, lost, is_last=is_last)

    def _hidden(self, first: int, last: int, most: int) -> tuple[list[OldRow], bool]:
        """Genuine records on leaves that SQLite cannot reach, each once; whether that is all.

        Stops behind a row, so that the next portion begins with one.
        """
        found = Found(first)
        for seq, hidden, sealed in self._leaves_in_use().rows(first, last):
            if len(found.rows) >= most:
                return found.rows, False
            rows = self._opened(seq, hidden, sealed)
            found.add([row for row in rows if row.seq <= last])
        return found.rows, True

    def _leaves_in_use(self) -> Leaves:
        if self._leaves is None:
            with suppress(StorageError):
                self._database.truncate_log()
            self._leaves = Leaves(self._path)
        return self._leaves

    def _reachable_after(self, seq: int) -> int | None:
        """The first row after ``seq`` that SQLite can seek to; None = none."""
        step = 1
        while self._seek(seq + step) is _BLOCKED:
            step *= 2
            if seq + step > _FARTHEST:
                return None
        low, high = step // 2, step  # seq + low is blocked (or where we stand), seq + high is not
        while high - low > 1:
            middle = (low + high) // 2
            if self._seek(seq + middle) is _BLOCKED:
                low = middle
            else:
                high = middle
        reached = self._seek(seq + high)
        return reached if isinstance(reached, int) else None

    def _seek(self, seq: int) -> "int | _Blocked | None":
        try:
            rows = list(self._select(seq, 1))
        except StorageError:
            return _BLOCKED
        if rows and rows[0][0] < seq:
            return _BLOCKED
        return int(rows[0][0]) if rows else None

    def _opened(self, first: int, hidden: object, sealed: bytes) -> list[OldRow]:
        """The records of a row; none when it is not genuine."""
        try:
            held = self.cipher.open(first, sealed)
        except (DamagedRow, TypeError):
            return []
        event_id = None
        if isinstance(hidden, bytes) and len(hidden) == ID_BYTES:
            event_id = self.cipher.show_ids([hidden])[0]
        rows: list[OldRow] = []
        for seq, (mono_ms, wall_ms, framed) in enumerate(held.records, first):
            body, origin = unframed(framed)
            origin = origin or (self.epoch, seq)
            rows.append(OldRow(seq, held.lane, event_id, held.boot, mono_ms, wall_ms, body, origin))
        return rows


class _Blocked:
    """SQLite cannot reach this place."""


_BLOCKED: Final = _Blocked()
