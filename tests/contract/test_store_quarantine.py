"""What waits in quarantine: doubles, later copies, release, discarding; on every engine."""

from datetime import UTC, datetime, timedelta
from typing import TypedDict

import numpy as np
import pytest

from support.readings import (
    EPOCH,
    GATEWAY,
    NOW,
    SECOND,
    BatchMaker,
    One,
    Rec,
    cuff,
    pulse,
    us,
)
from support.store import Place, admit, all_rows
from wardlight_cloud.store.batch import (
    Detail,
    IngestBatch,
    IngestResult,
    Quarantined,
    WaveformRow,
)
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.quarantine import QuarantineDecision
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_shared.errors import StorageError
from wardlight_shared.model import Flag
from wardlight_shared.records import SeriesKey

pytestmark = pytest.mark.either_engine

make = BatchMaker()
EVENT = bytes(range(16))


class Who(TypedDict):
    """Who decides, and why."""

    decided_by: str
    reason: str


WHO: Who = {"decided_by": "Ops One", "reason": "read off the cuff"}
TOMORROW = datetime.now(UTC) + timedelta(days=1)
DETAIL = Detail(0, 163, -1, "2026-03-10T12:00:00", 7, (("meal", "before"),))


def _aside(*readings: One, detail: Detail | None = None, record: int = 0) -> dict[str, object]:
    """Readings that ingest itself puts aside, as extra fields of a batch."""
    keys = tuple(dict.fromkeys(one.key for one in readings))
    return {
        "series": keys,
        "quarantined": [
            Quarantined(
                record, keys.index(one.key), us(one.time), one.ord, one.mantissa, one.scale,
                one.absent, "future", one.flags, 3 | 1 << 4, 250, detail,
            )
            for one in readings
        ],
    }  # fmt: skip


def _future(seq: int, *readings: One, event: bytes | None = EVENT) -> IngestBatch:
    return make(Rec(seq, (), event), **_aside(*readings))


async def _one(store: PostgresStore, batch: IngestBatch) -> IngestResult:
    (result,) = await store.ingest([batch])
    return result


async def _verdicts(store: PostgresStore, quarantine_id: int) -> list[str]:
    return [each.verdict for each in await store.quarantine_decisions(quarantine_id)]


async def _commits(store: PostgresStore, since: int) -> list[tuple[int, ...]]:
    """What a poller by commit order sees above ``since``."""
    rows = await all_rows(store, ObservationQuery(order="commit"))
    return [tuple(v.mantissa for v in row.values) for row in rows if row.commit_seq > since]


async def test_a_reading_aside_is_listed_with_its_value(store: PostgresStore) -> None:
    await store.ingest([_future(1, *cuff(TOMORROW, 120, 80))])
    found = await store.quarantined()
    assert sorted((each.mantissa, each.unit, each.is_open) for each in found) == [
        (80, "mm[Hg]", True), (120, "mm[Hg]", True),
    ]  # fmt: skip
    assert {(each.gateway, each.epoch, each.seq) for each in found} == {(GATEWAY, EPOCH, 1)}
    assert await store.quarantined(gateway="gw-other") == ()


@pytest.mark.each_engine
async def test_a_later_correct_copy_of_an_event_aside_is_stored(store: PostgresStore) -> None:
    """The device's clock was repaired, or its profile; the device sends its memory again."""
    await admit(store)
    await store.ingest([_future(1, *cuff(TOMORROW, 120, 80))])
    (waiting, _) = await store.quarantined()
    result = await _one(store, make(Rec(2, cuff(NOW, 120, 80), EVENT)))
    assert (result.rows_stored, result.records_known, result.ledger.upto) == (2, 0, 2)
    assert await _commits(store, 0) == [(120, 80)]
    assert await store.quarantined() == ()
    (decision,) = await store.quarantine_decisions(waiting.quarantine_id)
    assert (decision.verdict, decision.decided_by) == ("superseded", "collector")
    again = await _one(store, make(Rec(3, cuff(NOW, 120, 80), EVENT)))
    assert (again.rows_stored, again.records_known) == (0, 1)


async def test_a_double_of_an_event_aside_leaves_no_second_line(store: PostgresStore) -> None:
    """A cuff with a wrong clock sends its memory at each visit; its time is found a bit anew."""
    await store.ingest([_future(1, pulse(TOMORROW, 60))])
    result = await _one(store, _future(2, pulse(TOMORROW + SECOND, 60)))
    assert (result.rows_quarantined, result.rows_known, result.ledger.upto) == (0, 1, 2)
    assert [each.seq for each in await store.quarantined()] == [1]


async def test_a_double_in_one_call_leaves_no_second_line(store: PostgresStore) -> None:
    await store.ingest([_future(1, pulse(TOMORROW, 60)), _future(2, pulse(TOMORROW, 60))])
    assert [each.seq for each in await store.quarantined()] == [1]


async def test_another_value_of_an_event_aside_takes_its_place(store: PostgresStore) -> None:
    """The profile was repaired, and the time is still in the future."""
    await store.ingest([_future(1, pulse(TOMORROW, 60))])
    (first,) = await store.quarantined()
    await store.ingest([_future(2, pulse(TOMORROW, 61))])
    (waiting,) = await store.quarantined()
    assert (waiting.seq, waiting.mantissa) == (2, 61)
    assert await _verdicts(store, first.quarantine_id) == ["superseded"]
    assert len(await store.quarantined(is_open=False)) == 2


async def test_of_two_copies_in_one_call_the_better_one_is_stored(
    place: Place, store: PostgresStore
) -> None:
    batches = [_future(1, pulse(TOMORROW, 60)), make(Rec(2, [pulse(NOW, 60)], EVENT))]
    results = await store.ingest(batches)
    assert [result.rows_stored for result in results] == [0, 1]
    assert results[0].ledger.upto == 2
    assert await store.quarantined() == ()


async def test_an_event_stored_in_part_keeps_its_event_id(store: PostgresStore) -> None:
    """One value stands, the other is aside: a copy would bring nothing new."""
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    both = [pulse(NOW, 61), pulse(NOW + SECOND, 62)]
    await store.ingest([make(Rec(2, both, EVENT))])
    result = await _one(store, make(Rec(3, both, EVENT)))
    assert (result.records_known, result.rows_quarantined) == (1, 0)
    known = await _one(store, make(Rec(4, [pulse(NOW, 60), pulse(NOW, 63)], bytes(16))))
    assert (known.rows_known, known.rows_quarantined) == (1, 1)
    assert (await _one(store, make(Rec(5, [pulse(NOW, 60)], bytes(16))))).records_known == 1


async def test_an_event_aside_for_another_value_may_come_again(store: PostgresStore) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    for seq in (2, 3):
        await store.ingest([make(Rec(seq, [pulse(NOW, 61)], EVENT))])
    (waiting,) = await store.quarantined()
    assert (waiting.seq, waiting.mantissa) == (2, 61)


@pytest.mark.each_engine
async def test_a_released_reading_is_an_ordinary_row_under_a_new_commit(
    place: Place, store: PostgresStore
) -> None:
    """Pollers by commit, live feed, trend and latest value see it; the row says who let it in."""
    await admit(store)
    batch = make(Rec(1, (), EVENT), **_aside(pulse(NOW, 60, flags=int(Flag.LATE)), detail=DETAIL))
    before = (await _one(store, batch)).commit_seq
    (waiting,) = await store.quarantined()
    (decision,) = await store.release_quarantined(waiting.quarantine_id, **WHO)
    assert (decision.verdict, decision.decided_by) == ("released", WHO["decided_by"])
    assert decision.reason == WHO["reason"]
    assert (decision.time, decision.ord) == (NOW, 0)
    assert decision.commit_seq is not None
    assert decision.commit_seq > before
    (row,) = await all_rows(store, ObservationQuery(order="commit"))
    assert row.commit_seq == decision.commit_seq
    assert row.values[0].flags == Flag.LATE | Flag.RELEASED
    about = row.circumstances
    assert (about.error_ms, about.clock, about.offset_min) == (250, 3 | 1 << 4, 60)
    assert (row.device_time, row.context) == (DETAIL.device_time, DETAIL.context)
    (latest,) = await store.latest()
    assert (latest.mantissa, latest.commit_seq) == (60, decision.commit_seq)
    assert await store.refresh_rollups(limit=10) == 1
    assert await store.quarantined() == ()
    (kept,) = await store.quarantined(is_open=False)
    assert kept.quarantine_id == waiting.quarantine_id


async def test_a_release_repeated_changes_nothing(store: PostgresStore) -> None:
    await store.ingest([_future(1, pulse(NOW, 60))])
    (waiting,) = await store.quarantined()
    first = await store.release_quarantined(waiting.quarantine_id, **WHO)
    commit_seq = await store.commit_seq()
    again = await store.release_quarantined(
        waiting.quarantine_id, decided_by="Ops Two", reason="again"
    )
    discarded = await store.discard_quarantined(waiting.quarantine_id, **WHO)
    assert first == again == discarded
    assert await store.commit_seq() == commit_seq


async def test_a_released_event_sent_again_is_known(store: PostgresStore) -> None:
    await store.ingest([_future(1, pulse(NOW, 60))])
    (waiting,) = await store.quarantined()
    await store.release_quarantined(waiting.quarantine_id, **WHO)
    result = await _one(store, make(Rec(2, [pulse(NOW + SECOND, 60)], EVENT)))
    assert (result.rows_stored, result.records_known) == (0, 1)


async def test_what_came_by_another_copy_is_not_stored_again(
    place: Place, store: PostgresStore
) -> None:
    """A line whose event was stored by a copy unseen (as two collectors at once may leave it)."""
    await store.ingest([_future(1, pulse(NOW, 60))])
    (waiting,) = await store.quarantined()
    await place.execute("INSERT INTO event_seen VALUES ($1, now())", EVENT)
    (decision,) = await store.release_quarantined(waiting.quarantine_id, **WHO)
    assert decision.verdict == "superseded"
    assert await place.execute("SELECT 1 FROM reading") == []


async def test_a_release_beside_another_value_keeps_both(store: PostgresStore) -> None:
    """The values of one cuff reading stay one Observation."""
    await admit(store)
    await store.ingest([make(Rec(1, cuff(NOW, 120, 80)), Rec(2, cuff(NOW, 130, 85), EVENT))])
    waiting = await store.quarantined()
    assert len(waiting) == 2
    decisions = await store.release_quarantined(waiting[0].quarantine_id, **WHO)
    assert {each.ord for each in decisions} == {1}
    assert sorted(await _commits(store, 0)) == [(120, 80), (130, 85)]
    assert await store.quarantined() == ()


async def test_a_release_of_what_is_there_already_adds_nothing(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([_future(1, pulse(NOW, 60), event=None)])
    await store.ingest([make(Rec(2, [pulse(NOW, 60)]))])
    (waiting,) = await store.quarantined()
    (decision,) = await store.release_quarantined(waiting.quarantine_id, **WHO)
    assert decision.verdict == "released"
    assert await _commits(store, 0) == [(60,)]


async def test_a_time_in_the_future_is_released_with_its_true_time_only(
    store: PostgresStore,
) -> None:
    await admit(store)
    await store.ingest([_future(1, pulse(TOMORROW, 60), pulse(TOMORROW + 5 * SECOND, 61))])
    waiting = (await store.quarantined())[0].quarantine_id
    with pytest.raises(StorageError, match="give the true time"):
        await store.release_quarantined(waiting, **WHO)
    assert len(await store.quarantined()) == 2
    await store.release_quarantined(waiting, time=NOW, **WHO)
    rows = await all_rows(store, ObservationQuery(order="commit"))
    assert [(row.time, row.circumstances.error_ms) for row in rows] == [
        (NOW, -1),
        (NOW + 5 * SECOND, -1),
    ]
    assert all(row.values[0].flags & Flag.TIME_UNCERTAIN for row in rows)


@pytest.mark.each_engine
async def test_a_time_long_ago_gets_its_partition(store: PostgresStore) -> None:
    await store.ingest([_future(1, pulse(TOMORROW, 60))])
    (waiting,) = await store.quarantined()
    long_ago = datetime(2011, 2, 3, tzinfo=UTC)
    (decision,) = await store.release_quarantined(waiting.quarantine_id, time=long_ago, **WHO)
    assert decision.time == long_ago


async def test_a_discard_keeps_the_record_and_may_be_changed(
    place: Place, store: PostgresStore
) -> None:
    await admit(store)
    await store.ingest([_future(1, pulse(NOW, 60))])
    (waiting,) = await store.quarantined()
    (decision,) = await store.discard_quarantined(waiting.quarantine_id, **WHO)
    assert (decision.verdict, decision.commit_seq, decision.time) == ("discarded", None, None)
    assert await store.quarantined() == ()
    assert len(await place.execute("SELECT 1 FROM quarantine")) == 1
    await store.ingest([_future(2, pulse(TOMORROW, 60))])
    assert await store.quarantined() == (), "a double of what was discarded does not wait again"
    await store.release_quarantined(waiting.quarantine_id, **WHO)
    assert await _verdicts(store, waiting.quarantine_id) == ["discarded", "released"]
    assert await _commits(store, 0) == [(60,)]


async def test_a_waveform_block_can_be_discarded_but_not_released(store: PostgresStore) -> None:
    ecg = (SeriesKey("ble:00000000000A", 1, "mV", None, None, None),)
    for seq in (1, 2):
        samples = np.full(5, seq, "<i2").tobytes()
        block = WaveformRow(0, 0, us(NOW), 250_000, -3, 0, samples, 250)
        await store.ingest([make(Rec(seq), series=ecg, waveforms=[block])])
    (waiting,) = await store.quarantined()
    assert waiting.is_waveform
    with pytest.raises(StorageError, match="waveform"):
        await store.release_quarantined(waiting.quarantine_id, **WHO)
    await store.discard_quarantined(waiting.quarantine_id, **WHO)
    assert await store.quarantined() == ()


@pytest.mark.parametrize("who", [{**WHO, "reason": " "}, {**WHO, "decided_by": "a\0b"}])
async def test_a_decision_names_who_and_why(store: PostgresStore, who: Who) -> None:
    await store.ingest([_future(1, pulse(NOW, 60))])
    (waiting,) = await store.quarantined()
    for decide in (store.release_quarantined, store.discard_quarantined):
        with pytest.raises(ValueError, match="printable"):
            await decide(waiting.quarantine_id, **who)
    assert await store.quarantined() == (waiting,)


async def test_there_is_no_such_line(store: PostgresStore) -> None:
    for decide in (store.release_quarantined, store.discard_quarantined):
        with pytest.raises(StorageError, match="no reading 4711 in quarantine"):
            await decide(4711, **WHO)
    nothing: tuple[QuarantineDecision, ...] = await store.quarantine_decisions(4711)
    assert nothing == ()
