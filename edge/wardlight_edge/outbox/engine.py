"""The outbox without threads: every operation on the open file, and what follows when one fails.

Disk full      nothing of the transaction was stored: refuse, give the reserve back, thin
Damaged file   set it aside, begin a new file (new epoch), repeat the operation there, salvage
Other I/O      refuse; the file is closed, opened and checked again by the next operation
One bad row    remove it and append a gap record "corrupt" that names its seq

Synchronous; the writer's thread only, but for ``may_wait``, ``anchors`` and ``status``.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from wardlight_edge.clock import Clock
from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox.accepting import Accepting
from wardlight_edge.outbox.base import Choice, Level, NewRecord, OutboxStatus
from wardlight_edge.outbox.database import DiskFull
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.lifecycle import Lifecycle
from wardlight_edge.outbox.open_outbox import OpenOutbox
from wardlight_edge.outbox.progress import CORRUPT
from wardlight_edge.outbox.settlement import Settlement
from wardlight_edge.outbox.space import Space
from wardlight_edge.outbox.upkeep import Upkeep
from wardlight_shared.errors import ConfigError, OutboxCorrupt, OutboxFull, StorageError
from wardlight_shared.records import Record
from wardlight_shared.timestamps import Anchor

_T = TypeVar("_T")
_Results = list[list[int] | StorageError]
_LOG_BYTES: Final = 3 << 20
_CLOSED: Final = OutboxStatus(0, 0, 0, 0, 0, 0, 0, None, 0, 0, 0, Level.NORMAL, 0, 0, 0, 0, False)

_log = logging.getLogger(__name__)


class Engine:
    """One outbox on disk."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        settings: OutboxSettings,
        clock: Clock,
        *,
        live_age_ms: int,
        dictionary: Dictionary,
    ) -> None:
        self._path = path
        self._quota_bytes = settings.quota_bytes
        self._clock = clock
        self._lifecycle = Lifecycle(
            path, key, settings, clock, live_age_ms=live_age_ms, dictionary=dictionary
        )
        self._space = Space(path, settings)
        # On a full disk a checkpoint writes into what the reserve gives back.
        self._log_bytes = min(_LOG_BYTES, settings.quota_bytes // 16, settings.reserve_bytes // 2)
        self._current: OpenOutbox | None = None
        self._upkeep = Upkeep(self._space)
        self._accepting = Accepting(path, self._space, self._upkeep)
        self._refused = self._settled = 0
        self.epoch = self.boot = 0

    def open(self) -> None:
        """Open or make the file; ConfigError or StorageError when that cannot be."""
        self._open()

    def close(self) -> None:
        """Close the file."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def append(self, calls: Sequence[Sequence[NewRecord]]) -> _Results:
        """Accept calls in one transaction; each gets its seqs or the error it was refused with."""
        results = self._accept(calls)
        refused = [place for place, one in enumerate(results) if isinstance(one, OutboxFull)]
        if self._accepting.wants_room and self._make_room(is_refused=bool(refused)):
            again = self._accept([calls[place] for place in refused])
            for place, result in zip(refused, again, strict=True):
                results[place] = result
        for records, result in zip(calls, results, strict=True):
            if isinstance(result, StorageError):
                self._refused += len(records)
        return results

    def take(self, choice: Choice, max_records: int, max_bytes: int) -> list[Record]:
        """Lease waiting records."""

        def operation(now: OpenOutbox) -> list[Record]:
            now_ms = self._clock.mono_ms()
            records, damaged = now.rows.take(
                choice, now_ms=now_ms, max_records=max_records, max_bytes=max_bytes
            )
            if damaged:
                try:
                    now.bury(damaged)
                except StorageError:
                    firsts = [first for first, _ in damaged]
                    now.rows.give_back([*firsts, *(one.seq for one in records)])  # nobody has them
                    raise
            return records

        return self._run(operation)

    def give_back(self, seqs: Sequence[int] | None) -> None:
        """End leases."""
        self._run(lambda now: now.rows.give_back(seqs))

    def settle(self, epoch: int, what: Settlement) -> int | None:
        """Remove one part of what was committed under ``epoch``; the total after the last part.

        None = call again. Nothing is removed when that epoch is over.
        """

        def operation(now: OpenOutbox) -> int:
            return what.step(now.rows) if epoch == now.file.epoch else what.drop()

        removed = self._removing(operation)
        self._settled += removed
        what.removed += removed
        return what.removed if what.is_done else None

    def forget(self, seqs: Sequence[int]) -> int:
        """Drop rejected records."""
        return self._removing(lambda now: now.rows.forget(seqs))

    def add_anchor(self, anchor: Anchor) -> None:
        """Keep a clock anchor; those of boots without rows go when nothing waits."""

        def operation(now: OpenOutbox) -> None:
            is_empty = now.rows.records == 0
            now.file.add_anchor(anchor, forget_other_boots=is_empty)

        self._run(operation)

    def renew_epoch(self, cause: str) -> None:
        """Set the file aside and accept its rows again under a new epoch."""
        self._replace(self._open(), cause)

    @property
    def has_work(self) -> bool:
        """Whether ``rest`` has something to do at once."""
        now = self._current
        return now is not None and self._upkeep.may_salvage(now)

    def rest(self) -> bool:
        """Do one step of the work that waits for a quiet moment; True = there is more."""
        return self._run(self._rest)

    # ---------------------------------------------------------------- operations

    def _rest(self, now: OpenOutbox) -> bool:
        has_more = self._upkeep.step(now)
        now.note_log()
        return has_more

    def _accept(self, calls: Sequence[Sequence[NewRecord]]) -> _Results:
        """One transaction."""
        try:
            return list(self._run(lambda now: self._accepting.append(now, calls)))
        except DiskFull as error:
            return [OutboxFull(str(error))] * len(calls)
        except StorageError as error:
            return [error] * len(calls)

    def _make_room(self, *, is_refused: bool) -> bool:
        """Room for the next records; what was accepted stays accepted when this fails."""
        try:
            return self._run(lambda now: self._accepting.make_room(now, is_refused=is_refused))
        except (StorageError, ConfigError) as error:
            _log.error("no room could be made", extra={"error": str(error)})
            return False

    # ---------------------------------------------------------------- failures

    def _open(self) -> OpenOutbox:
        if self._current is None:
            self._space.hold_reserve()
            try:
                return self._enter(self._lifecycle.open())
            except DiskFull:
                self._space.run_out()
                return self._enter(self._lifecycle.open())
        return self._current

    def _enter(self, opened: OpenOutbox) -> OpenOutbox:
        self._current = opened
        self.epoch, self.boot = opened.file.epoch, opened.file.boot
        opened.database.allow_log(self._log_bytes)
        self._space.measure(opened.database)
        return opened

    def _replace(self, now: OpenOutbox, cause: str) -> OpenOutbox:
        expected = now.rows.records
        self.close()
        return self._enter(self._lifecycle.replace(cause, expected))

    def _run(self, operation: Callable[[OpenOutbox], _T]) -> _T:
        now = self._open()
        try:
            now.check_in_place()
            result = operation(now)
        except OutboxCorrupt as error:
            _log.error("outbox damaged: set aside", extra={"error": str(error)})
            now = self._replace(now, CORRUPT)
            result = operation(now)
        except DiskFull:
            self._space.run_out()
            raise
        except (OutboxFull, ConfigError):
            raise
        except StorageError:
            self.close()
            raise
        now.note()
        return result

    def _removing(self, operation: Callable[[OpenOutbox], int]) -> int:
        """A removal: on a full disk it runs again with the reserve given back."""
        try:
            count = self._run(operation)
        except DiskFull:
            count = self._run(operation)
        if count:
            self._space.measure(self._open().database)
        return count

    # ---------------------------------------------------------------- figures

    def may_wait(self, choice: Choice) -> bool:
        """False = surely nothing waits for ``choice``. Any thread."""
        now = self._current
        return now is None or now.waiting.may_wait(choice)

    def anchors(self) -> list[Anchor]:
        """Clock anchors. Any thread."""
        now = self._current
        return [] if now is None else now.file.anchors

    def status(self) -> OutboxStatus:
        """Counters. Any thread; between two operations of the writer they fit each other."""
        now = self._current
        if now is None:
            return _CLOSED
        rows, measured = now.rows, self._space.measured
        return OutboxStatus(
            epoch=now.file.epoch,
            boot=now.file.boot,
            records=rows.records,
            leased=rows.leased.count,
            rejected=rows.rejected,
            lowest=rows.lowest,
            highest=rows.highest,
            oldest_wall_ms=rows.oldest_wall_ms,
            size_bytes=measured.size_bytes,
            quota_bytes=self._quota_bytes,
            free_disk_bytes=measured.free_disk_bytes,
            level=self._space.level,
            appended=self._accepting.appended,
            refused=self._refused,
            settled=self._settled,
            thinned=self._upkeep.thinned,
            salvaging=now.salvage.is_running,
        )
