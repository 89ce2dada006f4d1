"""Which records of a call are new: by ledger, by event id, and within the call itself. Pure.

Order of the rules (DESIGN 4): (gateway, epoch, seq) in the ledger, then the same with the record's
origin, then the event id. A record that its origin or event id shows to be known is left out, and
its seq still counts as stored. What is stored is entered under both of its numbers, so it does not
matter which of two copies comes first (docs/decisions/012).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.store.batch import IngestBatch, Rejected
from wardlight_cloud.store.postgres.dictionary import NO_LEDGER_EPOCH, Dictionary
from wardlight_cloud.store.postgres.ledgers import (
    LedgerKey,
    Range,
    Settled,
    Settlement,
    repeated,
    runs,
    within,
)
from wardlight_cloud.store.postgres.rows import BoolMask, Source
from wardlight_shared.envelope import MAX_SEQ
from wardlight_shared.records import Origin


@dataclass(slots=True)
class Records:
    """The records of one batch.

    is_open   not settled before
    is_new    to be stored
    rejected  dead letters to keep
    letters   seqs of dead letters that are open but known by their origin
    firsts    first numbers under which open records are entered too
    """

    batch: IngestBatch
    gateway_id: int
    is_open: BoolMask
    is_new: BoolMask
    rejected: list[Rejected]
    letters: list[int]
    firsts: list[tuple[Settled, Origin]]

    @property
    def ledger(self) -> LedgerKey | None:
        """None for a batch that has dead letters and no ledger."""
        if self.batch.epoch == NO_LEDGER_EPOCH:
            return None
        return self.gateway_id, self.batch.epoch

    @property
    def known_count(self) -> int:
        """Records that were there already, by seq or by event id."""
        letters = len(self.batch.rejected) - len(self.rejected)
        return int(np.count_nonzero(~self.is_new)) + letters

    @property
    def has_news(self) -> bool:
        """Whether the database has anything to write for this batch."""
        return bool(self.is_open.any() or self.rejected or self.letters)


def spans_of(batches: Sequence[IngestBatch], dictionary: Dictionary) -> dict[LedgerKey, Range]:
    """Least and greatest seq of each ledger in the call, in the order in which to lock them."""
    spans: dict[LedgerKey, Range] = {}
    for batch in batches:
        if batch.epoch == NO_LEDGER_EPOCH:
            continue
        gateway_id = dictionary.gateway_id(batch.gateway)
        seqs = [int(batch.seqs[0]), int(batch.seqs[-1])] if len(batch.seqs) else []
        seqs += [letter.seq for letter in batch.rejected]
        _widen(spans, (gateway_id, batch.epoch), seqs or [1])
        for epoch, seq in batch.origins.values():
            _widen(spans, (gateway_id, epoch), [max(1, seq)])
    return dict(sorted(spans.items()))


def _widen(spans: dict[LedgerKey, Range], key: LedgerKey, seqs: Sequence[int]) -> None:
    low, high = min(min(seqs), MAX_SEQ), min(max(seqs), MAX_SEQ)
    first, last = spans.get(key, (low, high))
    spans[key] = min(first, low), max(last, high)


def split(
    batches: Sequence[IngestBatch],
    dictionary: Dictionary,
    known: Mapping[LedgerKey, Sequence[Range]],
) -> list[Records]:
    """Leave out what the ledgers have, and what an earlier batch of the call brings."""
    seen: dict[LedgerKey, list[Range]] = {key: list(ranges) for key, ranges in known.items()}
    found: list[Records] = []
    for batch in batches:
        gateway_id = dictionary.gateway_id(batch.gateway)
        ranges = seen.get((gateway_id, batch.epoch), [])
        letters = _open_letters(batch, ranges)
        is_open = ~(within(batch.seqs, ranges) | repeated(batch.seqs))
        if letters:
            is_open &= ~np.isin(batch.seqs, [letter.seq for letter in letters])
        records = Records(batch, gateway_id, is_open, is_open.copy(), letters, [], [])
        if batch.origins:
            _leave_out_by_origin(records, seen)
        found.append(records)
        if batch.epoch != NO_LEDGER_EPOCH:
            added = runs(batch.seqs[is_open]) + [(each.seq, each.seq) for each in letters]
            seen[gateway_id, batch.epoch] = _union([*ranges, *added])
    return found


def _leave_out_by_origin(records: Records, seen: dict[LedgerKey, list[Range]]) -> None:
    """Leave out what a ledger has under the record's first number; enter the others there."""
    batch = records.batch
    for epoch in sorted({epoch for epoch, _ in batch.origins.values()}):
        key = records.gateway_id, epoch
        firsts = {seq: first for seq, (of, first) in batch.origins.items() if of == epoch and first}
        ranges = seen.get(key, [])
        numbers = np.array([firsts.get(seq, 0) for seq in batch.seqs.tolist()], np.int64)
        has_origin = records.is_open & (numbers > 0)
        is_fresh = has_origin & _first_of_each(numbers, has_origin, ranges)
        records.is_new &= ~has_origin | is_fresh
        entered = set(numbers[is_fresh].tolist())
        records.firsts += [(Settled.STORED, (epoch, first)) for first in sorted(entered)]
        for letter in records.rejected:
            first = firsts.get(letter.seq)
            if first is None:
                continue
            if first in entered or within(np.array([first]), ranges).any():
                records.letters.append(letter.seq)
            else:
                records.firsts.append((Settled.REJECTED, (epoch, first)))
                entered.add(first)
        seen[key] = _union([*ranges, *((first, first) for first in entered)])
    if records.letters:
        records.rejected = [one for one in records.rejected if one.seq not in records.letters]


def _first_of_each(
    numbers: NDArray[np.int64], chosen: BoolMask, ranges: Sequence[Range]
) -> BoolMask:
    """Of the chosen numbers, in any order, those that no range holds and no place before has."""
    places = np.flatnonzero(chosen)
    is_first = np.zeros(len(numbers), np.bool_)
    is_first[places[np.unique(numbers[places], return_index=True)[1]]] = True
    return is_first & ~within(numbers, ranges)


def _open_letters(batch: IngestBatch, ranges: Sequence[Range]) -> list[Rejected]:
    by_seq: dict[int, Rejected] = {}
    for letter in batch.rejected:
        by_seq.setdefault(letter.seq, letter)
    if batch.epoch == NO_LEDGER_EPOCH or not by_seq:
        return list(by_seq.values())
    seqs = np.array(list(by_seq), np.int64)
    taken = within(seqs, ranges)
    return [
        letter for letter, is_taken in zip(by_seq.values(), taken.tolist(), strict=True)
        if not is_taken
    ]  # fmt: skip


def _union(ranges: list[Range]) -> list[Range]:
    """Ranges in order, joined where they touch."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def leave_out_repeated_events(records: Sequence[Records]) -> set[bytes]:
    """Of records with one event id keep the first; returns all event ids that are left.

    A copy that goes to quarantine makes room for one that does not.
    """
    kept: dict[bytes, tuple[int, int]] = {}
    aside = {(n, row.record) for n, each in enumerate(records) for row in each.batch.quarantined}
    for n, each in enumerate(records):
        for place, event_id in enumerate(each.batch.event_ids):
            if event_id is None or not each.is_new[place]:
                continue
            first = kept.setdefault(event_id, (n, place))
            if first == (n, place):
                continue
            is_better = first in aside and (n, place) not in aside
            other, other_place = first if is_better else (n, place)
            records[other].is_new[other_place] = False
            kept[event_id] = (n, place) if is_better else first
    return set(kept)


def leave_out_known_events(records: Sequence[Records], known: set[bytes]) -> None:
    """Leave out the records whose event id the database has."""
    for each in records:
        for place, event_id in enumerate(each.batch.event_ids):
            if event_id in known:
                each.is_new[place] = False


def settlement(records: Sequence[Records]) -> Settlement:
    """What the call settles; removed ranges come with the gaps that tell of them."""
    settled = Settlement()
    for each in records:
        ledger = each.ledger
        if ledger is None:
            continue
        settled.add(ledger, Settled.STORED, runs(each.batch.seqs[each.is_open]))
        settled.add(ledger, Settled.STORED, ((seq, seq) for seq in each.letters))
        settled.add(ledger, Settled.REJECTED, ((one.seq, one.seq) for one in each.rejected))
        for gap in each.batch.gaps:
            if each.is_new[gap.record]:
                of = each.gateway_id, each.batch.epoch_of_gap(gap)
                settled.add(of, Settled.REMOVED, gap.seqs)
        for kind, (epoch, seq) in each.firsts:
            settled.add((each.gateway_id, epoch), kind, [(seq, seq)])
    return settled


def row_sources(records: Sequence[Records], dictionary: Dictionary) -> list[Source]:
    """What ``rows.gather`` needs."""
    return [
        Source(each.batch, each.gateway_id, dictionary.series_ids(each.batch), each.is_new)
        for each in records
    ]
