"""The collector's ledgers in memory: which records are new, and what is told to be removed.

The rules of the ingest transaction for records without event id, for campaigns of thousands of
rounds; tests/property/edge_uplink/test_damaged_outbox.py holds both against one another.
"""

from collections import defaultdict
from collections.abc import Sequence

from wardlight_cloud.store.batch import IngestBatch, LedgerState
from wardlight_edge.outbox.ranges import RangeSet


class MemoryLedgers:
    """One gateway's ledgers by epoch, and the mantissas of the readings that were stored."""

    def __init__(self) -> None:
        self.stored: dict[int, RangeSet] = defaultdict(RangeSet)
        self.removed: dict[int, RangeSet] = defaultdict(RangeSet)
        self.mantissas: list[int] = []

    async def ingest(self, batches: Sequence[IngestBatch]) -> list[LedgerState]:
        """As one transaction; the states of the batches' own ledgers."""
        return [self._ingest(batch) for batch in batches]

    def _ingest(self, batch: IngestBatch) -> LedgerState:
        assert not batch.rejected
        assert not any(batch.event_ids)
        new = {place for place, seq in enumerate(batch.seqs.tolist()) if self._enter(batch, seq)}
        rows = zip(
            batch.readings.record_of_row.tolist(), batch.readings.mantissa.tolist(), strict=True
        )
        self.mantissas += [mantissa for place, mantissa in rows if place in new]
        for gap in batch.gaps:
            if gap.record in new:
                for first, last in gap.seqs:
                    self.removed[batch.epoch_of_gap(gap)].add(first, last)
        return self._state(batch)

    def _enter(self, batch: IngestBatch, seq: int) -> bool:
        """Enter a record under its numbers; whether none of them was known."""
        names = [(batch.epoch, seq)]
        epoch, first = batch.origins.get(seq, (0, 0))
        if first:
            names.append((epoch, first))
        is_known = any(number in self.stored[of] for of, number in names)
        for of, number in names:
            self.stored[of].add(number, number)
        return not is_known

    def _state(self, batch: IngestBatch) -> LedgerState:
        settled = RangeSet([*self.stored[batch.epoch], *self.removed[batch.epoch]])
        ranges = list(settled)
        upto = ranges.pop(0)[1] if ranges and ranges[0][0] == 1 else 0
        return LedgerState(batch.gateway, batch.epoch, upto, tuple(ranges), ())
