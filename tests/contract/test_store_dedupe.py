"""Nothing is stored twice: ledger, then event id, then row key; on every engine."""

from dataclasses import replace

import pytest

from support.readings import EPOCH, GATEWAY, NOW, SECOND, BatchMaker, Rec, cuff, pulse
from support.store import Place, admit
from wardlight_cloud.store.batch import Detail
from wardlight_cloud.store.postgres import PostgresStore

pytestmark = pytest.mark.either_engine

make = BatchMaker()
EVENT = bytes(range(16))


async def _mantissas(place: Place) -> list[int]:
    rows = await place.execute("SELECT mantissa FROM reading ORDER BY time, ord, mantissa")
    return [row["mantissa"] for row in rows]


async def _aside(place: Place) -> list[tuple[int, int, str]]:
    rows = await place.execute(
        "SELECT seq, mantissa, reason FROM quarantine ORDER BY quarantine_id"
    )
    return [tuple(row) for row in rows]


@pytest.mark.each_engine
async def test_a_batch_sent_again_changes_nothing(place: Place, store: PostgresStore) -> None:
    batch = make(Rec(1, [pulse(NOW, 60)]), Rec(2, cuff(NOW, 120, 80), EVENT))
    (first,) = await store.ingest([batch])
    (again,) = await store.ingest([batch])
    assert (again.rows_stored, again.rows_known, again.records_known) == (0, 0, 2)
    assert (again.ledger, again.commit_seq) == (first.ledger, first.commit_seq)
    assert await _mantissas(place) == [60, 80, 120]


async def test_a_batch_cut_anew_brings_only_what_is_new(place: Place, store: PostgresStore) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 1)]), Rec(2, [pulse(NOW + SECOND, 2)]))])
    (result,) = await store.ingest(
        [make(*(Rec(n, [pulse(NOW + n * SECOND - SECOND, n)]) for n in (2, 3, 4)))]
    )
    assert (result.records_known, result.rows_stored, result.ledger.upto) == (1, 2, 4)
    assert await _mantissas(place) == [1, 2, 3, 4]


async def test_overlapping_batches_in_one_call(place: Place, store: PostgresStore) -> None:
    one = make(Rec(1, [pulse(NOW, 1)]), Rec(2, [pulse(NOW + SECOND, 2)]))
    two = make(Rec(2, [pulse(NOW + SECOND, 2)]), Rec(3, [pulse(NOW + 2 * SECOND, 3)]))
    results = await store.ingest([one, two, one])
    assert [result.records_known for result in results] == [0, 1, 2]
    assert [result.rows_stored for result in results] == [2, 1, 0]
    assert await _mantissas(place) == [1, 2, 3]


async def test_one_seq_twice_in_a_batch_counts_once(place: Place, store: PostgresStore) -> None:
    (result,) = await store.ingest([make(Rec(1, [pulse(NOW, 1)]), Rec(1, [pulse(NOW, 2)]))])
    assert (result.rows_stored, result.records_known) == (1, 1)
    assert await _mantissas(place) == [1]


@pytest.mark.each_engine
async def test_an_event_that_a_device_sends_again(place: Place, store: PostgresStore) -> None:
    """By another gateway, in another epoch, under another seq: the seq is settled all the same."""
    await store.ingest([make(Rec(1, cuff(NOW, 120, 80, ord=256), EVENT))])
    other = BatchMaker(gateway="gw-other", epoch=EPOCH + 1)
    (result,) = await store.ingest([other(Rec(5, cuff(NOW, 120, 80, ord=256), EVENT))])
    assert (result.records_known, result.rows_stored, result.rows_known) == (1, 0, 0)
    assert result.ledger.ranges == ((5, 5),)
    assert await _mantissas(place) == [80, 120]


async def test_an_event_twice_in_one_call(place: Place, store: PostgresStore) -> None:
    batches = [make(Rec(1, [pulse(NOW, 1)], EVENT)), make(Rec(2, [pulse(NOW, 1)], EVENT))]
    results = await store.ingest(batches)
    assert [result.records_known for result in results] == [0, 1]
    assert results[0].ledger.upto == 2
    assert await _mantissas(place) == [1]


async def test_a_known_record_does_not_use_up_its_event_id(
    place: Place, store: PostgresStore
) -> None:
    """The ledger comes first: a record left out by it leaves the event id to the one stored."""
    await store.ingest([make(Rec(1))])
    results = await store.ingest(
        [make(Rec(1, [pulse(NOW, 1)], EVENT)), make(Rec(2, [pulse(NOW, 2)], EVENT))]
    )
    assert [result.rows_stored for result in results] == [0, 1]
    assert await _mantissas(place) == [2]


async def test_the_same_reading_under_another_record_is_known(
    place: Place, store: PostgresStore
) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    (result,) = await store.ingest([make(Rec(2, [pulse(NOW, 60), pulse(NOW + SECOND, 61)]))])
    assert (result.rows_stored, result.rows_known, result.rows_quarantined) == (1, 1, 0)
    assert result.ledger.upto == 2
    assert await _mantissas(place) == [60, 61]


@pytest.mark.each_engine
@pytest.mark.parametrize(
    "other",
    [pulse(NOW, 61), pulse(NOW, 600, scale=-1), pulse(NOW, 0, absent=1)],
    ids=["value", "precision", "absent"],
)
async def test_another_value_on_a_taken_key_goes_to_quarantine(
    place: Place, store: PostgresStore, other: object
) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    (result,) = await store.ingest([make(Rec(2, [other]))])  # type: ignore[list-item]
    assert (result.rows_stored, result.rows_known, result.rows_quarantined) == (0, 0, 1)
    assert result.ledger.upto == 2
    assert await _mantissas(place) == [60]
    ((seq, _, reason),) = await _aside(place)
    assert (seq, reason) == (2, "other-value")
    (latest,) = await store.latest()
    assert latest.mantissa == 60


async def test_two_values_on_one_key_in_one_call(place: Place, store: PostgresStore) -> None:
    batches = [
        make(Rec(1, [pulse(NOW, 60), pulse(NOW, 60)]), Rec(2, [pulse(NOW, 61)])),
        make(Rec(3, [pulse(NOW, 62), pulse(NOW + SECOND, 63)])),
    ]
    results = await store.ingest(batches)
    counts = [(r.rows_stored, r.rows_known, r.rows_quarantined) for r in results]
    assert counts == [(1, 1, 1), (1, 0, 1)]
    assert await _mantissas(place) == [60, 63]
    assert await _aside(place) == [(2, 61, "other-value"), (3, 62, "other-value")]


@pytest.mark.each_engine
async def test_true_readings_of_one_instant_differ_by_ord(
    place: Place, store: PostgresStore
) -> None:
    rows = [*cuff(NOW, 120, 80, ord=256), *cuff(NOW, 122, 81, ord=512)]
    (result,) = await store.ingest([make(Rec(1, rows))])
    assert result.rows_stored == 4
    assert sorted(await _mantissas(place)) == [80, 81, 120, 122]


async def test_details_of_a_quarantined_reading_do_not_speak_for_the_stored_one(
    place: Place, store: PostgresStore
) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    detail = Detail(0, None, None, "2026-03-10T12:00:00", None, ())
    await store.ingest([make(Rec(2, [pulse(NOW, 61, detail=detail)]))])
    assert await place.execute("SELECT 1 FROM reading_detail") == []


async def test_a_gateway_without_ledger_rows_is_still_deduplicated_by_key(
    place: Place, store: PostgresStore
) -> None:
    """A salvaged outbox sends everything again in a new epoch; streams have no event ids."""
    records = [Rec(n, [pulse(NOW + n * SECOND, n)]) for n in range(1, 4)]
    await store.ingest([make(*records)])
    (result,) = await store.ingest([BatchMaker(epoch=EPOCH + 9)(*records)])
    assert (result.rows_stored, result.rows_known, result.records_known) == (0, 3, 0)
    assert await _mantissas(place) == [1, 2, 3]


async def test_days_and_commits_count_each_reading_once(place: Place, store: PostgresStore) -> None:
    """What a query is advised by comes from rows that were stored, not from rows that came."""
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    await store.ingest([make(Rec(2, [pulse(NOW, 60), pulse(NOW + SECOND, 61)]))])
    days = await place.execute("SELECT readings FROM series_day")
    commits = await place.execute("SELECT readings FROM series_commit ORDER BY commit_seq")
    assert [row["readings"] for row in days] == [2]
    assert [row["readings"] for row in commits] == [1, 1]


async def test_forgotten_event_ids_are_new_again(place: Place, store: PostgresStore) -> None:
    """Retention is stated: after it the row key alone guards."""
    record = Rec(1, [pulse(NOW, 60)], EVENT)
    await store.ingest([make(record)])
    (row,) = await place.execute("SELECT seen_at FROM event_seen")
    assert await store.forget_event_ids(older_than=row["seen_at"]) == 0
    assert await store.forget_event_ids(older_than=row["seen_at"] + SECOND) == 1
    (result,) = await store.ingest([make(replace(record, seq=2))])
    assert (result.records_known, result.rows_known) == (0, 1)
    assert (await store.ledger(GATEWAY, EPOCH)).upto == 2
