"""The window of batches without ack: which seqs are on their way, and when to send them again.

Pure: time comes in as seconds of any monotonic clock. Acks settle seqs in the outbox; the window
only learns which batches need not be waited for any more.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from wardlight_edge.outbox.base import Choice
from wardlight_edge.outbox.ranges import RangeSet, runs

_JITTER: Final = 0.2


class Batch(msgspec.Struct):
    """One sent envelope. ``open_seqs`` are not settled yet."""

    number: int
    choice: Choice
    size_bytes: int
    sent_s: float
    open_seqs: RangeSet


class Acked(msgspec.Struct, frozen=True):
    """A batch that is settled whole, and how long that took."""

    choice: Choice
    size_bytes: int
    took_s: float


class Window:
    """At most ``limit`` batches; a batch without ack is given up after a growing time.

    The time begins at ``ack_timeout_s``, doubles with each batch given up in a row, ends at
    ``longest_s``, and any progress brings it back.
    """

    def __init__(
        self,
        limit: int,
        *,
        ack_timeout_s: float,
        longest_s: float,
        random_numbers: random.Random | None = None,
    ) -> None:
        self._limit = limit
        self._ack_timeout_s = ack_timeout_s
        self._longest_s = longest_s
        self._random = random_numbers or random.Random()  # noqa: S311 - pauses, not secrets
        self._batches: dict[int, Batch] = {}
        self._next_number = 1
        self._given_up_in_a_row = 0
        self._patience_s = self._new_patience()

    def __len__(self) -> int:
        return len(self._batches)

    def free(self) -> int:
        """Batches that may still be sent."""
        return self._limit - len(self._batches)

    def in_flight_bytes(self, choice: Choice) -> int:
        """Bytes on their way for a choice."""
        return sum(batch.size_bytes for batch in self._batches.values() if batch.choice is choice)

    def next_number(self) -> int:
        """Number for the next envelope."""
        return self._next_number

    def sent(self, choice: Choice, seqs: Iterable[int], size_bytes: int, now_s: float) -> None:
        """Note a batch; ValueError when the window is full."""
        if self.free() <= 0:
            raise ValueError("the window is full")
        number = self._next_number
        self._next_number += 1
        open_seqs = RangeSet(runs(sorted(seqs)))
        self._batches[number] = Batch(number, choice, size_bytes, now_s, open_seqs)

    def acked(
        self, upto: int, ranges: Sequence[tuple[int, int]], rejected: Iterable[int], now_s: float
    ) -> list[Acked]:
        """Take an ack; returns the batches it has completed."""
        spans = [(0, upto), *ranges, *((seq, seq) for seq in rejected)]
        completed: list[Acked] = []
        for batch in list(self._batches.values()):
            before = batch.open_seqs.count
            for first, last in spans:
                batch.open_seqs.remove(first, last)
            if batch.open_seqs.count == before:
                continue
            self._given_up_in_a_row = 0
            self._patience_s = self._new_patience()
            if not batch.open_seqs:
                del self._batches[batch.number]
                took_s = now_s - batch.sent_s
                completed.append(Acked(batch.choice, batch.size_bytes, took_s))
        return completed

    def give_up_late(self, now_s: float) -> list[int]:
        """Give up batches that have waited too long; returns their open seqs, to be sent again."""
        late = [b for b in self._batches.values() if now_s >= b.sent_s + self._patience_s]
        for batch in late:
            del self._batches[batch.number]
        if late:
            self._given_up_in_a_row += 1
            self._patience_s = self._new_patience()
        return sorted(
            seq
            for batch in late
            for first, last in batch.open_seqs
            for seq in range(first, last + 1)
        )

    def next_deadline_s(self) -> float | None:
        """When ``give_up_late`` should be asked; None = nothing is on its way."""
        oldest = min((batch.sent_s for batch in self._batches.values()), default=None)
        return None if oldest is None else oldest + self._patience_s

    def clear(self) -> None:
        """Forget all (the connection is gone)."""
        self._batches.clear()

    def _new_patience(self) -> float:
        doubled = self._ack_timeout_s * 2.0 ** min(self._given_up_in_a_row, 16)
        return min(self._longest_s, doubled) * self._random.uniform(1.0, 1.0 + _JITTER)
