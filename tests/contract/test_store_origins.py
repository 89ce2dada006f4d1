"""A record accepted first under another epoch is stored once, whichever of its copies comes first.

E1 is the epoch of an outbox file that was damaged, E2 and E3 those of the files that followed.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.readings import EPOCH, GATEWAY, NOW, SECOND, BatchMaker, Rec, pulse, us
from support.store import Place
from wardlight_cloud.store.batch import GapRow, IngestBatch, Rejected
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.postgres.sources import settlement, split
from wardlight_shared.records import Origin

pytestmark = pytest.mark.either_engine

E1, E2, E3 = EPOCH, EPOCH + 1, EPOCH + 2
MS = SECOND / 1000
ENDLESS = (1 << 62) - 1


def sent(epoch: int, seq: int, value: int, origin: Origin | None = None) -> IngestBatch:
    """One stream sample; every sending resolves its time anew, so the row key tells nothing."""
    make = BatchMaker(epoch=epoch)
    reading = pulse(NOW + value * SECOND + (epoch - EPOCH) * 7 * MS, value)
    return make(Rec(seq, [reading]), origins={} if origin is None else {seq: origin})


async def values(place: Place) -> list[int]:
    rows = await place.execute("SELECT mantissa FROM reading ORDER BY mantissa, time")
    return [row["mantissa"] for row in rows]


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("calls", ["one call each", "one call"])
async def test_three_copies_in_any_order_are_one_record(
    place: Place, store: PostgresStore, order: tuple[int, ...], calls: str
) -> None:
    copies = [sent(E1, 5, 60), sent(E2, 9, 60, (E1, 5)), sent(E3, 2, 60, (E1, 5))]
    arriving = [copies[one] for one in order]
    if calls == "one call":
        results = await store.ingest(arriving)
    else:
        results = [result for one in arriving for result in await store.ingest([one])]
    assert await values(place) == [60]
    assert [one.rows_stored for one in results] == [1, 0, 0]
    assert [one.records_known for one in results] == [0, 1, 1]
    for epoch, seq in ((E1, 5), (E2, 9), (E3, 2)):
        state = await store.ledger(GATEWAY, epoch)
        assert state.ranges == ((seq, seq),), "every copy is acknowledged under its own number"


@pytest.mark.each_engine
async def test_one_origin_twice_in_a_batch_is_one_record(
    place: Place, store: PostgresStore
) -> None:
    """An interrupted salvage that began again after a second damage sends a row twice."""
    make = BatchMaker(epoch=E3)
    rows = [Rec(seq, [pulse(NOW + seq * SECOND, 60 + seq)]) for seq in (1, 2, 3)]
    origins = {1: (E1, 5), 2: (E2, 5), 3: (E1, 5)}
    (result,) = await store.ingest([make(*rows, origins=origins)])
    assert (result.rows_stored, result.records_known, result.ledger.upto) == (2, 1, 3)
    assert await values(place) == [61, 62]


async def test_an_origin_of_another_gateway_is_another_record(
    place: Place, store: PostgresStore
) -> None:
    await store.ingest([sent(E1, 5, 60)])
    other = BatchMaker(gateway="gw-other", epoch=E2)
    reading = pulse(NOW, 61, device="ble:00000000000B")
    (result,) = await store.ingest([other(Rec(1, [reading]), origins={1: (E1, 5)})])
    assert result.rows_stored == 1
    assert await values(place) == [60, 61]


async def test_a_dead_letter_is_kept_once(place: Place, store: PostgresStore) -> None:
    letter = Rejected(5, "no such metric", b"body")
    again = Rejected(8, "no such metric", b"body")
    make = BatchMaker(epoch=E2)
    await store.ingest([BatchMaker(epoch=E1)(rejected=[letter])])
    (result,) = await store.ingest([make(rejected=[again], origins={8: (E1, 5)})])
    assert (result.ledger.ranges, result.ledger.rejected) == (((8, 8),), ())
    rows = await place.execute("SELECT epoch, seq FROM dead_letter")
    assert [tuple(row) for row in rows] == [(E1, 5)]


async def test_a_salvaged_dead_letter_is_entered_under_both_numbers(
    place: Place, store: PostgresStore
) -> None:
    make = BatchMaker(epoch=E2)
    letters = [Rejected(8, "bad", b"x"), Rejected(9, "bad", b"x")]
    (result,) = await store.ingest([make(rejected=letters, origins={8: (E1, 5), 9: (E1, 5)})])
    assert result.ledger.ranges == ((8, 9),)
    (late,) = await store.ingest([BatchMaker(epoch=E1)(rejected=[Rejected(5, "bad", b"x")])])
    assert late.records_known == 1
    rows = await place.execute("SELECT epoch, seq FROM dead_letter")
    assert [tuple(row) for row in rows] == [(E2, 8)]


async def test_a_gap_names_numbers_of_its_origin(store: PostgresStore) -> None:
    """A tombstone that was salvaged must not settle the present epoch's records of that number."""
    await store.note_hello(GATEWAY, E1, 40, "1")
    gap = GapRow(0, us(NOW), us(NOW), None, "thinned", 3, ((2, 4),))
    (result,) = await store.ingest(
        [BatchMaker(epoch=E2)(Rec(7), gaps=[gap], origins={7: (E1, 30)})]
    )
    assert result.ledger.ranges == ((7, 7),)
    old, new = await store.ledger_report(GATEWAY)
    assert (dict(old.removed), old.stored, dict(new.removed)) == ({"thinned": 3}, 1, {})
    (stored,) = await store.ingest([sent(E2, 3, 60)])
    assert stored.rows_stored == 1


async def test_a_loss_without_end_counts_what_was_recorded(store: PostgresStore) -> None:
    """Of 10 recorded 3 arrived and 2 were salvaged; the gap names all that did not come back."""
    await store.note_hello(GATEWAY, E1, 10, "1")
    await store.ingest([sent(E1, seq, seq) for seq in (1, 2, 6)])
    gap = GapRow(0, us(NOW), us(NOW), None, "corrupt", 0, ((1, 6), (8, 8), (10, ENDLESS)))
    await store.ingest([BatchMaker(epoch=E2)(Rec(1), gaps=[gap], origins={1: (E1, 0)})])
    await store.ingest([sent(E2, 2, 7, (E1, 7)), sent(E2, 3, 9, (E1, 9))])
    old, new = await store.ledger_report(GATEWAY)
    assert (old.recorded, old.stored, dict(old.removed), old.missing) == (10, 5, {"corrupt": 5}, ())
    assert (new.stored, dict(new.removed), new.missing) == (3, {}, ())


@pytest.mark.each_engine
async def test_what_was_under_way_when_it_was_given_up_is_stored(store: PostgresStore) -> None:
    gap = GapRow(0, us(NOW), us(NOW), None, "corrupt", 0, ((1, ENDLESS),))
    await store.ingest([BatchMaker(epoch=E2)(Rec(1), gaps=[gap], origins={1: (E1, 0)})])
    (late,) = await store.ingest([sent(E1, 4, 60)])
    assert (late.rows_stored, late.records_known) == (1, 0)
    old, _ = await store.ledger_report(GATEWAY)
    assert (old.recorded, old.stored, dict(old.removed)) == (4, 1, {"corrupt": 3})


class _Names:
    """A dictionary that knows one gateway."""

    def gateway_id(self, gateway: str) -> int:
        return 1


def _batches(copies: list[tuple[int, int, int]], sizes: list[int]) -> list[IngestBatch]:
    """Copies (record, epoch, seq), cut into batches of one epoch each; epoch 1 has no origins."""
    found: list[IngestBatch] = []
    left = list(copies)
    for size in [*sizes, *[1] * len(copies)]:
        part = [one for one in left[:size] if one[1] == left[0][1]] if left else []
        left = [one for one in left if one not in part]
        if part:
            part.sort(key=lambda one: one[2])
            origins = {seq: (1, record) for record, epoch, seq in part if epoch > 1}
            records = [Rec(seq) for _, _, seq in part]
            found.append(BatchMaker(epoch=part[0][1])(*records, origins=origins))
    return found


@hypothesis_settings(max_examples=200)
@given(data=st.data())
def test_any_copies_in_any_order_and_any_cut(data: st.DataObject) -> None:
    """Pure: each of some records is new exactly once over all calls, and settled in each epoch."""
    copies = [
        (record, epoch, record if epoch == 1 else record + 10 * epoch)
        for record in data.draw(st.sets(st.integers(1, 8), min_size=1))
        for epoch in data.draw(st.sets(st.integers(1, 4), min_size=1))
    ]
    again = data.draw(st.lists(st.sampled_from(copies), max_size=4))
    arriving = data.draw(st.permutations(copies)) + again
    batches = _batches(list(dict.fromkeys(arriving)), data.draw(st.lists(st.integers(1, 5))))
    calls = data.draw(st.lists(st.integers(1, 3)))
    ledgers: dict[tuple[int, int], list[tuple[int, int]]] = {}
    new: list[int] = []
    while batches:
        call, batches = batches[: (size := calls.pop() if calls else 2)], batches[size:]
        records = split(call, _Names(), ledgers)  # type: ignore[arg-type]
        for each in records:
            for seq in each.batch.seqs[each.is_new].tolist():
                new.append(each.batch.origins.get(seq, (1, seq))[1])
        settled = settlement(records)
        for gateway_id, epoch, _, first, last in zip(*settled.columns(), strict=True):
            ranges = ledgers.setdefault((gateway_id, epoch), [])
            ranges[:] = sorted({*ranges, *((one, one) for one in range(first, last + 1))})
    assert sorted(new) == sorted({record for record, _, _ in copies})
    for _, epoch, seq in copies:
        assert (seq, seq) in ledgers[1, epoch]
    assert np.all([len(ranges) == len(set(ranges)) for ranges in ledgers.values()])
