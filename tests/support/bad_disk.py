"""Damage to the files of an outbox, and which records it may have taken.

A record may be lost when a page that held it, as SQLite saw the file, is not what it was. All
others must arrive. The judgement is the test's own: it knows what was sealed, and looks for it in
the bytes.
"""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from wardlight_edge.outbox import trace
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import Cipher
from wardlight_edge.outbox.origin import unframed
from wardlight_shared.records import Origin

PAGE = 4096
FRAME = 24 + PAGE
LOG_HEADER = 32


class Sealed:
    """What was ever sealed: by number, its first number and every row that has held it.

    A row is sealed anew with what stays of it when a part of it goes.
    """

    def __init__(self) -> None:
        self.rows: dict[Origin, tuple[Origin, list[bytes]]] = {}
        self.series: list[bytes] = []  # entries of the dictionary

    def cipher(self) -> type[Cipher]:
        """A Cipher that notes what it seals."""
        rows, series = self.rows, self.series

        class NotingCipher(Cipher):
            def __init__(self, key: bytes, epoch: int) -> None:
                super().__init__(key, epoch)
                self._epoch = epoch

            def seal(
                self, first: int, lane: int, boot: int, records: Sequence[NewRecord]
            ) -> bytearray:
                sealed = super().seal(first, lane, boot, records)
                for seq, record in enumerate(records, first):
                    number = self._epoch, seq
                    of = unframed(record.body)[1] or number
                    rows.setdefault(number, (of, []))[1].append(bytes(sealed))
                return sealed

            def seal_entry(self, table: bytes, number: int, content: bytes) -> bytes:
                sealed = super().seal_entry(table, number, content)
                if table == b"series":
                    series.append(sealed)
                return sealed

        return NotingCipher

    def has_series(self, octets: bytes) -> bool:
        """Whether an entry of the dictionary stands there."""
        return any(entry in octets for entry in self.series)

    def lost(self, before: Mapping[int, bytes], after: Mapping[int, bytes]) -> set[Origin]:
        """First numbers of the rows that can be read no more when pages have changed."""
        gone = [page for page, content in before.items() if after.get(page) != content]
        whole = b"".join(before[page] for page in gone)
        left = b"".join(after[page] for page in gone if page in after)
        if self.has_series(whole) and not self.has_series(b"".join(after.values())):
            # Without a copy of the dictionary nobody knows what was measured.
            whole, left = b"".join(before.values()), b""
        everything = b"".join(before.values())
        newest = [
            (first, next((row for row in reversed(rows) if row in everything), None))
            for first, rows in self.rows.values()
        ]
        # Many records share a row: look for each row once.
        taken = {row for _, row in newest if row and row in whole and row not in left}
        return {first for first, row in newest if row in taken}


class BadDisk:
    """Makes the files in ``folder`` bad, one way at a time."""

    def __init__(self, noise: random.Random, path: Path, sealed: Sealed) -> None:
        self._noise = noise
        self._path = path
        self._sealed = sealed
        self.destroyed: set[Origin] = set()

    def damage(self) -> str:
        """Do something bad, or nothing; say what."""
        ways: dict[str, Callable[[], object]] = {
            "pages": self._pages,
            "tail": self._tail,
            "page-map": self._page_map,
            "all": self._all,
            "gone": self._gone,
            "log": self._log,
            "log-tail": self._log_tail,
            "aside": self._aside,
            "trace": self._trace,
            "nothing": lambda: None,
        }
        weights = [6, 2, 2, 1, 1, 2, 1, 3, 1, 2]
        [how] = self._noise.choices(list(ways), weights)
        ways[how]()
        return how

    def damage_in_use(self) -> None:
        """Pages of the file under a running gateway.

        One copy of the dictionary is spared: without it the rows that the gateway goes on
        accepting could not be read either.
        """
        copies = [page for page, held in view(self._path).items() if self._sealed.has_series(held)]
        self._scatter(self._path, set(self._chosen(3)) - set(copies[-1:]))

    def _pages(self) -> None:
        self._scatter(self._path, self._chosen(4))

    def _chosen(self, end: int) -> list[int]:
        count = self._path.stat().st_size // PAGE
        return self._noise.sample(range(count), min(count, self._noise.randrange(1, end)))

    def _tail(self) -> None:
        size = self._path.stat().st_size
        self._change(self._path, lambda: os.truncate(self._path, self._noise.randrange(size + 1)))

    def _page_map(self) -> None:
        """The pointer map, and something that only it could replace."""
        self._scatter(self._path, {1, *self._chosen(4)})

    def _all(self) -> None:
        self._scatter(self._path, range(self._path.stat().st_size // PAGE))

    def _gone(self) -> None:
        self._change(self._path, self._path.unlink)

    def _log(self) -> None:
        log = self._path.with_name(self._path.name + "-wal")
        if log.exists() and (blocks := log.stat().st_size // PAGE):
            self._scatter(log, [self._noise.randrange(blocks)])

    def _log_tail(self) -> None:
        log = self._path.with_name(self._path.name + "-wal")
        if log.exists():
            cut = self._noise.randrange(log.stat().st_size + 1)
            self._change(log, lambda: os.truncate(log, cut))

    def _aside(self) -> None:
        found = sorted(self._path.parent.glob("*.aside-*-[0-9]"))
        if found:
            file = self._noise.choice(found)
            pages = file.stat().st_size // PAGE
            count = self._noise.choice([1, 2, pages])
            self._scatter(file, self._noise.sample(range(pages), min(pages, count)))

    def _trace(self) -> None:
        file = self._path.with_name(self._path.name + trace.SUFFIX)
        if self._noise.random() < 0.5:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(self._noise.randbytes(60))

    def _scatter(self, file: Path, pages: Collection[int]) -> None:
        def write() -> None:
            with file.open("r+b") as opened:
                for page in pages:
                    opened.seek(page * PAGE)
                    opened.write(self._noise.randbytes(PAGE))

        self._change(file, write)

    def _change(self, file: Path, change: Callable[[], object]) -> None:
        before, held = view(file), _held_by_log(file)
        change()
        after = view(file)
        if file.name.endswith("-wal"):
            # What is left of it may put an older page over a newer one of the file.
            after = {page: content for page, content in after.items() if page not in held}
        self.destroyed |= self._sealed.lost(before, after)


def view(file: Path) -> dict[int, bytes]:
    """Pages as SQLite sees them: those of the file, in front of them those of the log.

    Where it sees nothing (its first page is damaged), the log is laid over the file all the same.
    """
    if file.name.endswith("-wal"):
        file = file.with_name(file.name.removesuffix("-wal"))
    if not file.exists():
        return {}
    folder = file.parent / "looked-at"
    copy_files(file, folder)
    copy = folder / file.name
    try:
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        held: dict[int, bytes] = {}
    except sqlite3.DatabaseError:
        copy_files(file, folder)
        held = _held_by_log(copy.with_name(copy.name + "-wal"))
    whole = copy.read_bytes()
    shutil.rmtree(folder)
    # A page cut short is no page.
    pages = {at // PAGE: whole[at : at + PAGE] for at in range(0, len(whole) - PAGE + 1, PAGE)}
    return {**pages, **held}


def _held_by_log(log: Path) -> dict[int, bytes]:
    """Pages that stand in a log; nothing for another file."""
    if not log.name.endswith("-wal") or not log.exists():
        return {}
    octets = log.read_bytes()
    pages: dict[int, bytes] = {}
    for at in range(LOG_HEADER, len(octets) - FRAME + 1, FRAME):
        if octets[at + 8 : at + 16] == octets[16:24]:  # not of an earlier round
            pages[int.from_bytes(octets[at : at + 4], "big") - 1] = octets[at + 24 : at + FRAME]
    return pages


def copy_files(file: Path, folder: Path) -> None:
    """Copy a database and its log."""
    folder.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        one = file.with_name(file.name + suffix)
        if one.exists():
            shutil.copy(one, folder / one.name)
