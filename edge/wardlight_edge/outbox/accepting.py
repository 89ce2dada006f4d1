"""Accepting records where there is room; what does not fit makes others go, or is refused.

Two operations: what the first has committed is final, whatever becomes of the second.
"""

from collections.abc import Sequence
from pathlib import Path

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.batch import body_bytes
from wardlight_edge.outbox.open_outbox import OpenOutbox
from wardlight_edge.outbox.space import Space
from wardlight_edge.outbox.upkeep import Upkeep
from wardlight_shared.errors import OutboxFull

Accepted = list[list[int] | OutboxFull]


class Accepting:
    """Appends calls in one transaction; ``appended`` counts the records accepted."""

    def __init__(self, path: Path, space: Space, upkeep: Upkeep) -> None:
        self._path = path
        self._space = space
        self._upkeep = upkeep
        self.appended = 0

    def append(self, now: OpenOutbox, calls: Sequence[Sequence[NewRecord]]) -> Accepted:
        """The seqs of each call, or why it was refused. Nothing fails after the COMMIT.

        Raises DiskFull or another StorageError: then nothing of any call was stored.
        """
        if self._space.is_out:
            full = f"{self._path}: the disk is full; free some space"
            return [OutboxFull(full) for _ in calls]
        before = now.rows.highest
        moment = now.moment()
        results = now.rows.append(
            calls, boot=moment.boot, now_ms=moment.mono_ms, room_bytes=self._space.room_bytes
        )
        self.appended += now.rows.highest - before
        self._space.added(now.rows.appended_bytes)
        for records, result in zip(calls, results, strict=True):
            if isinstance(result, OutboxFull):
                self._space.refused(body_bytes(records))
        return results

    @property
    def wants_room(self) -> bool:
        """Whether ``make_room`` has something to do: then before anything else is accepted."""
        return not self._space.is_out and (self._space.is_due or self._space.wants_thinning)

    def make_room(self, now: OpenOutbox, *, is_refused: bool) -> bool:
        """Measure, and thin: a step, or all there is for calls that were refused.

        Returns whether these are to be tried again.
        """
        if self._space.is_due:
            self._space.measure(now.database)
        if is_refused:
            removed = self._upkeep.thin(now)
            while removed and self._upkeep.thin(now):
                pass
            return bool(removed)
        if self._space.wants_thinning:
            self._upkeep.thin(now)
        return False
