"""What is read of an old outbox file at a time. Pure."""

from collections.abc import Sequence

import msgspec

from wardlight_shared.records import Origin


class OldRow(msgspec.Struct, frozen=True):
    """One record of an old file, opened; ``origin``: where it was accepted first."""

    seq: int
    lane: int
    event_id: bytes | None
    boot: int
    mono_ms: int
    wall_ms: int
    body: bytes
    origin: Origin


class Portion(msgspec.Struct, frozen=True):
    """Records below ``next_seq`` that were not read before.

    lost  records that could not be read; where a whole page was lost, the seqs it may have held
    """

    rows: list[OldRow]
    next_seq: int
    lost: int
    is_last: bool

    def without(self, first: int) -> list[tuple[int, int]]:
        """Runs of seqs from ``first`` to the end of the portion that ``rows`` do not hold."""
        found: list[tuple[int, int]] = []
        for row in self.rows:
            if row.seq > first:
                found.append((first, row.seq - 1))
            first = row.seq + 1
        if first < self.next_seq:
            found.append((first, self.next_seq - 1))
        return found


class Found:
    """What a portion has so far; ``next_seq``: behind the last row."""

    def __init__(self, next_seq: int) -> None:
        self.rows: list[OldRow] = []
        self.next_seq = next_seq
        self.lost = 0
        self.looked_at = 0

    def add(self, rows: Sequence[OldRow]) -> None:
        """Records of one row; what is known already is the same."""
        self.looked_at += 1
        new = [row for row in rows if row.seq >= self.next_seq]
        if new:
            self.rows += new
            self.next_seq = new[-1].seq + 1

    def lose(self, seq: int, more: int) -> None:
        """A row that cannot be read."""
        self.looked_at += 1
        self.lost += more + 1
        self.next_seq = seq + more + 1

    def portion(self, *, is_last: bool) -> Portion:
        """The portion, as it is now."""
        return Portion(self.rows, self.next_seq, self.lost, is_last=is_last)
