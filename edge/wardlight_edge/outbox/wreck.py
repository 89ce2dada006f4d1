"""Reading what is left of a damaged outbox file.

SQLite stops at the first damaged page it meets; ``Wreck`` steps over it to the next row that can
be reached. A damaged first page (the one most often written) is replaced by that of an empty
outbox: tables are always made in the same order, so they stand on the same pages. Whether a row
is genuine is decided by its authentication, not by where it was found.
"""

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import PAGE_BYTES, Database, Row
from wardlight_edge.outbox.dictionary import read_series
from wardlight_edge.outbox.file import carry_over, read_epoch
from wardlight_shared.errors import OutboxCorrupt, StorageError
from wardlight_shared.records import SeriesKey
from wardlight_shared.timestamps import Anchor

_SIZE_OFFSET: Final = 28  # SQLite file format 1.3.7, in-header database size
_FARTHEST: Final = 1 << 62
_COUNT_TABLES: Final = "SELECT count(*) FROM sqlite_schema WHERE name IN ('record', 'meta')"


class OldRow(msgspec.Struct, frozen=True):
    """One row of an old file, opened."""

    seq: int
    lane: int
    event_id: bytes | None
    boot: int
    mono_ms: int
    wall_ms: int
    body: bytes


class Portion(msgspec.Struct, frozen=True):
    """Rows with seq < ``next_seq`` that were not read before; ``lost`` could not be read."""

    rows: list[OldRow]
    next_seq: int
    lost: int
    is_last: bool


class Wreck:
    """An old outbox file, open for reading as far as it goes."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open; OutboxCorrupt when nothing of it can be read."""
        self._database = _open(path)
        try:
            self.epoch = read_epoch(self._database)
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

    def highest(self) -> int:
        """The newest seq ever given, as far as the file tells."""
        found = 0
        for sql in (
            "SELECT value FROM meta WHERE name = 'highest'",
            "SELECT max(seq) FROM record",
            "SELECT max(seq) FROM rejected",
        ):
            try:
                found = max(found, int(self._database.value(sql) or 0))
            except (StorageError, ValueError, TypeError):
                continue
        return found

    def read(self, next_seq: int, highest: int, most: int) -> Portion:
        """Up to ``most`` rows from ``next_seq`` on."""
        found: list[Row] = []
        try:
            for row in self._select(next_seq, most):
                if row[0] < next_seq:
                    raise OutboxCorrupt("rows out of order")
                found.append(row)
                next_seq = row[0] + 1
        except StorageError:
            return self._step_over(found, next_seq, highest)
        rows, lost = self._opened(found)
        return Portion(rows, next_seq, lost, is_last=len(found) < most)

    def rejected(self) -> list[OldRow]:
        """Rows that the collector had refused, as far as they can be read."""
        found: list[Row] = []
        with suppress(StorageError):  # the collector has these records in its dead-letter table
            found.extend(self._database.stream("SELECT seq, event_id, body FROM rejected"))
        return self._opened(found)[0]

    def _select(self, next_seq: int, most: int) -> Generator[Row, None, None]:
        sql = "SELECT seq, event_id, body FROM record WHERE seq >= ? ORDER BY seq LIMIT ?"
        return self._database.stream(sql, (next_seq, most))

    def _step_over(self, found: list[Row], next_seq: int, highest: int) -> Portion:
        """The page with ``next_seq`` is damaged: go on at the first row that can be reached."""
        rows, lost = self._opened(found)
        beyond = self._reachable_after(next_seq, highest)
        gap_end = highest + 1 if beyond is None else beyond
        lost += max(0, gap_end - next_seq)
        return Portion(rows, max(gap_end, next_seq), lost, is_last=beyond is None)

    def _reachable_after(self, seq: int, highest: int) -> int | None:
        """The first row at or after ``seq`` that SQLite can seek to; None = none up to the end."""
        step = 1
        while self._seek(seq + step) is _BLOCKED:
            if seq + step > highest:
                return None
            step *= 2
        low, high = step // 2, step  # seq + low is blocked (or where we stand), seq + high is not
        while high - low > 1:
            middle = (low + high) // 2
            if self._seek(seq + middle) is _BLOCKED:
                low = middle
            else:
                high = middle
        reached = self._seek(seq + high)
        return reached if isinstance(reached, int) and reached <= _FARTHEST else None

    def _seek(self, seq: int) -> "int | _Blocked | None":
        try:
            rows = list(self._select(seq, 1))
        except StorageError:
            return _BLOCKED
        if rows and rows[0][0] < seq:
            return _BLOCKED
        return int(rows[0][0]) if rows else None

    def _opened(self, found: list[Row]) -> tuple[list[OldRow], int]:
        rows: list[OldRow] = []
        lost = 0
        for seq, hidden, sealed in found:
            try:
                lane, boot, mono_ms, wall_ms, body = self.cipher.open(seq, sealed)
            except (DamagedRow, TypeError):
                lost += 1
                continue
            event_id = self.cipher.show_ids([hidden])[0] if _is_id(hidden) else None
            rows.append(OldRow(seq, lane, event_id, boot, mono_ms, wall_ms, body))
        return rows, lost


class _Blocked:
    """SQLite cannot reach this place."""


_BLOCKED: Final = _Blocked()


def _is_id(hidden: object) -> bool:
    return isinstance(hidden, bytes) and len(hidden) == 16


def _open(path: Path) -> Database:
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


def _mend_first_page(path: Path) -> None:
    """Put the first page of an empty outbox in place of a damaged one; the old page is kept."""
    page = bytearray(_first_page_of_empty(path.with_name(path.name + ".template")))
    pages = max(1, path.stat().st_size // PAGE_BYTES)
    page[_SIZE_OFFSET : _SIZE_OFFSET + 4] = pages.to_bytes(4, "big")
    with path.open("r+b") as file:
        path.with_name(path.name + ".page1").write_bytes(file.read(PAGE_BYTES))
        file.seek(0)
        file.write(page)


def _first_page_of_empty(path: Path) -> bytes:
    database = Database(path)
    try:
        with database.transaction():
            database.create_schema()
    finally:
        database.close()
    with path.open("rb") as file:
        page = file.read(PAGE_BYTES)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return page
