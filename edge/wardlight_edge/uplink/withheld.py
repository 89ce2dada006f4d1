"""Records that wait on the gateway because the collector is of an older version. Pure.

A record with an origin may have reached the collector under its first number. Only a collector
that looks there stores it once; an older one would store it a second time, or take the numbers
that a gap names for those of the present epoch. Such records stay leased: they stand in nobody's
way and come back with the next connection, or as soon as a newer collector answers.
"""

from collections.abc import Sequence

from wardlight_edge.outbox.ranges import RangeSet
from wardlight_shared.envelope import VERSION_WITH_ORIGINS
from wardlight_shared.records import Record


class Withheld:
    """Seqs of one epoch that are leased and not sent."""

    def __init__(self) -> None:
        self._seqs = RangeSet()
        self._reads = 1

    @property
    def count(self) -> int:
        """Records that wait."""
        return self._seqs.count

    def sendable(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those that the collector can read; the others are withheld."""
        if self._reads >= VERSION_WITH_ORIGINS:
            return records
        self._seqs.add_all(sorted(one.seq for one in records if one.origin is not None))
        return [one for one in records if one.origin is None]

    def heard(self, reads: int) -> list[range]:
        """The collector says what version it reads; returns the seqs that need not wait longer."""
        self._reads = reads
        if reads < VERSION_WITH_ORIGINS:
            return []
        freed = [range(first, last + 1) for first, last in self._seqs]
        self._seqs.clear()
        return freed

    def forget(self) -> None:
        """The epoch is over."""
        self._seqs.clear()
