"""The worklist as this gateway holds it, whole or not at all, and how old it is.

A list that begins anew arrives beside the one that is held and replaces it when its last page is
there, so that a query never meets half a list. Revisions count within an epoch of the cloud's
database: a page of another one does not continue. The age counts from the moment at which the
collector read the list. While the machine that kept it is up it is counted by the monotonic clock;
after a restart the wall clock may have stood still, so until it is synchronised the age is None.

Errors  StorageError
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.spool.age import clock_is_set
from wardlight_edge.spool.database import Database, Transaction
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.errors import StorageError
from wardlight_shared.worklist import WorklistPage

_log = logging.getLogger(__name__)
_STATE: Final = "SELECT generation, revision, coming FROM worklist_state"


class HeldEntry(msgspec.Struct, frozen=True):
    """One scheduled procedure step; ``data_set`` in Explicit VR Little Endian."""

    entry: int
    revision: int
    data_set: bytes


class Freshness(msgspec.Struct, frozen=True):
    """How old the list is.

    as_of_ms  UTC at which the collector read it, by its clock; None = there never was a whole list
    age_s     seconds since then; None = not known: the clock of this machine may have stood still
    """

    as_of_ms: int | None
    age_s: float | None


class WorklistTable:
    """Keeps pages and gives entries; both processes have one."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        clock: Clock,
        *,
        is_set: Callable[[], bool] = clock_is_set,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._is_set = is_set

    def revision(self) -> int:
        """Revision up to which pages are kept; 0 = none."""
        _, revision, coming = self._state()
        return revision if coming is None else coming

    def epoch(self) -> int | None:
        """Epoch that ``revision`` counts in; None = not known."""
        found = self._database.value("SELECT epoch FROM worklist_epoch")
        return None if found is None else int(found)

    def keep(self, page: WorklistPage) -> bool:
        """Take a page over; durable on return. False: it does not continue, and is ignored."""
        return self._database.write(lambda transaction: self._keep(transaction, page))

    def entries(self) -> list[HeldEntry]:
        """What is on the list, ascending by number; a row that does not open is left out."""
        found = self._database.rows(
            "SELECT w.generation, w.entry, w.revision, w.sealed FROM worklist AS w"
            " INNER JOIN worklist_state AS s ON s.generation = w.generation ORDER BY w.entry"
        )
        return [entry for row in found if (entry := self._sound(*row)) is not None]

    def count(self) -> int:
        """How many entries are on the list."""
        return int(
            self._database.value(
                "SELECT count(*) FROM worklist AS w"
                " INNER JOIN worklist_state AS s ON s.generation = w.generation"
            )
        )

    def mark(self) -> tuple[int, int]:
        """Differs whenever ``entries`` may."""
        generation, revision, _ = self._state()
        return generation, revision

    def freshness(self) -> Freshness:
        """How old the list is."""
        rows = self._database.rows(
            "SELECT as_of_ms, kept_ms, kept_mono_ms, kept_boot FROM worklist_state"
            " WHERE as_of_ms > 0"
        )
        if not rows:
            return Freshness(None, None)
        as_of_ms, kept_ms, kept_mono_ms, boot = rows[0]
        if boot == self._clock.boot_id():
            since_kept_ms = self._clock.mono_ms() - kept_mono_ms
            return Freshness(as_of_ms, (max(0, kept_ms - as_of_ms) + since_kept_ms) / 1000)
        age_ms = self._clock.wall_ms() - as_of_ms
        return Freshness(as_of_ms, age_ms / 1000 if self._is_set() and age_ms >= 0 else None)

    def _sound(self, generation: int, entry: int, revision: int, sealed: bytes) -> HeldEntry | None:
        try:
            data_set = self._sealer.open_sealed(_place(generation, entry), sealed)
        except StorageError:
            _log.error("an entry of the worklist does not open", extra={"entry": entry})
            return None
        return HeldEntry(entry, revision, data_set)

    def _state(self) -> tuple[int, int, int | None]:
        rows = self._database.rows(_STATE)
        return rows[0] if rows else (0, 0, None)

    def _keep(self, transaction: Transaction, page: WorklistPage) -> bool:
        rows = transaction.rows(_STATE)
        generation, revision, coming = rows[0] if rows else (0, 0, None)
        begins = page.since == 0
        epoch = transaction.value("SELECT epoch FROM worklist_epoch")
        if not begins and (page.since, page.epoch) != (
            revision if coming is None else coming, epoch
        ):  # fmt: skip
            return False
        is_new = begins or coming is not None
        if begins:
            _forget(transaction, generation + 1)
            transaction.execute("REPLACE INTO worklist_epoch VALUES (1, ?)", (page.epoch,))
        self._write(transaction, generation + is_new, page)
        is_whole = page.upto >= page.newest
        if not is_new:
            _note(transaction, generation, page.upto, None)
        elif is_whole:
            _forget(transaction, generation)
            _note(transaction, generation + 1, page.upto, None)
        else:
            _note(transaction, generation, revision, page.upto)
        if is_whole:
            self._note_age(transaction, page.as_of_ms)
        return True

    def _write(self, transaction: Transaction, generation: int, page: WorklistPage) -> None:
        for each in page.entries:
            place = generation, each.entry
            transaction.execute("DELETE FROM worklist WHERE generation = ? AND entry = ?", place)
            if each.data_set is not None:
                sealed = self._sealer.seal(_place(*place), each.data_set)
                transaction.execute(
                    "INSERT INTO worklist VALUES (?, ?, ?, ?)", (*place, each.revision, sealed)
                )

    def _note_age(self, transaction: Transaction, as_of_ms: int) -> None:
        transaction.execute(
            "UPDATE worklist_state SET as_of_ms = ?, kept_ms = ?, kept_mono_ms = ?, kept_boot = ?",
            (as_of_ms, self._clock.wall_ms(), self._clock.mono_ms(), self._clock.boot_id()),
        )


def _forget(transaction: Transaction, generation: int) -> None:
    transaction.execute("DELETE FROM worklist WHERE generation = ?", (generation,))


def _note(transaction: Transaction, generation: int, revision: int, coming: int | None) -> None:
    transaction.execute(
        "INSERT INTO worklist_state VALUES (1, ?, ?, ?, 0, 0, 0, '')"
        " ON CONFLICT (one) DO UPDATE SET generation = excluded.generation,"
        " revision = excluded.revision, coming = excluded.coming",
        (generation, revision, coming),
    )


def _place(generation: int, entry: int) -> bytes:
    return b"worklist %d %d" % (generation, entry)
