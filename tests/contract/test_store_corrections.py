"""Corrections and withdrawals take the place of what they are about; on every engine."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Final

import pytest

from support.readings import EPOCH, GATEWAY, NOW, SECOND, BatchMaker, One, Rec, cuff, pulse
from support.store import Place, admit, all_rows
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.store.batch import Detail
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.queries import ObservationQuery, TimeBound
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

pytestmark = pytest.mark.either_engine

make = BatchMaker()
OTHER: Final = "ble:00000000000B"
INVALID: Final = CODE_BY_ABSENT[Absent.INVALID]
BY_COMMIT: Final = ObservationQuery(order="commit")
HOUR: Final = timedelta(hours=1)


def _told(one: One, status: str | None = None, *, at: str = "2026-03-10T13:00:00") -> One:
    """A reading with the time its sender gave, and what it says of one sent before."""
    context = () if status is None else (("status", status),)
    flag = {None: 0, "corrected": int(Flag.CORRECTED)}.get(status, int(Flag.WITHDRAWN))
    return replace(one, flags=one.flags | flag, detail=Detail(0, None, None, at, None, context))


def _first(value: int = 60, **more: object) -> One:
    return _told(pulse(NOW, value, ord=256, **more))


def _corrected(value: int = 70, **more: object) -> One:
    """Timed by its own receipt: what it is about was told within minutes of being measured."""
    return _told(pulse(NOW + 40 * SECOND, value, **{"ord": 512, **more}), "corrected")


def _withdrawn(status: str = "wrong", **more: object) -> One:
    one = pulse(NOW + 50 * SECOND, 0, absent=INVALID, **{"ord": 768, **more})
    return _told(one, status)


def _values(rows: list[ObservationRow]) -> list[int | None]:
    return [None if (value := row.values[0]).absent else value.mantissa for row in rows]


def _status(row: ObservationRow) -> str:
    text = observation(row).decode()
    return text.split('"status":"')[1].split('"')[0]


async def _shown(store: PostgresStore) -> list[tuple[int | None, str]]:
    rows = await all_rows(store, BY_COMMIT)
    return list(zip(_values(rows), map(_status, rows), strict=True))


async def _kept(place: Place) -> list[tuple[int, str]]:
    """Values that were superseded, and by which kind of statement."""
    rows = await place.execute(
        "SELECT s.mantissa, c.status FROM superseded AS s "
        "JOIN correction AS c USING (correction_id) ORDER BY superseded_id"
    )
    return [tuple(row) for row in rows]


async def _latest(store: PostgresStore) -> list[int | None]:
    return [None if row.absent else row.mantissa for row in await store.latest()]


async def _trend(store: PostgresStore) -> list[float]:
    (series,) = {row.series_id for row in await store.latest()}
    points = await store.trend(series, start=NOW - HOUR, end=NOW + HOUR, max_points=1000)
    return [point.mean for point in points if point.count]


@pytest.mark.each_engine
async def test_a_correction_takes_the_place_of_its_original(
    place: Place, store: PostgresStore
) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    (before,) = await all_rows(store, BY_COMMIT)
    (result,) = await store.ingest([make(Rec(2, [_corrected(70)]))])
    (after,) = await all_rows(store, BY_COMMIT)
    assert (result.rows_stored, result.rows_known, result.rows_quarantined) == (1, 0, 0)
    assert (after.observation_id, after.time) == (before.observation_id, NOW)
    assert after.commit_seq == result.commit_seq > before.commit_seq
    assert (_values([after]), _status(after)) == ([70], "corrected")
    assert (after.context, after.device_time) == (
        (("status", "corrected"),), "2026-03-10T13:00:00",
    )  # fmt: skip
    assert await _kept(place) == [(60, "corrected")]
    assert (await _latest(store), await _trend(store)) == ([70], [70.0])


async def test_a_pull_of_changes_brings_it_again(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    (before,) = await all_rows(store, BY_COMMIT)
    await store.ingest([make(Rec(2, [_corrected(70)]))])
    since = TimeBound("gt", before.stored_at)
    for order in ("newest", "oldest", "commit"):
        query = ObservationQuery(stored=(since,), order=order)
        assert _values(await all_rows(store, query)) == [70], order
        assert await store.observation_count(query) == 1
    (found,) = await all_rows(store, ObservationQuery(ids=(before.observation_id,)))
    assert _values([found]) == [70]


@pytest.mark.each_engine
@pytest.mark.parametrize("status", ["deleted", "wrong"])
async def test_a_withdrawal_leaves_no_value_anywhere(
    place: Place, store: PostgresStore, status: str
) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW - SECOND, 55)]))])
    await store.ingest([make(Rec(2, [_first(60)]))])
    assert await _latest(store) == [60]
    since = await store.commit_seq()
    await store.ingest([make(Rec(3, [_withdrawn(status)]))])
    assert await _shown(store) == [(55, "final"), (None, "entered-in-error")]
    assert (await _latest(store), await _trend(store)) == ([55], [55.0])
    assert [row.mantissa for row in await store.latest(since=since)] == [55]
    (row,) = [row for row in await all_rows(store, BY_COMMIT) if row.values[0].absent]
    shown = json.loads(observation(row))
    assert not {"valueQuantity", "component"} & set(shown)
    assert shown["status"] == "entered-in-error"
    assert await _kept(place) == [(60, status)]


@pytest.mark.each_engine
async def test_what_stood_before_is_told_in_order(store: PostgresStore) -> None:
    """Also the mark of a withdrawal, which nobody kept; nothing from before a wrong patient."""
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    await store.ingest([make(Rec(2, [_corrected(70)]))])
    await store.ingest([make(Rec(3, [_withdrawn("deleted")]))])
    await store.ingest([make(Rec(4, [_corrected(80, ord=1024)]))])

    async def told() -> list[tuple[int | None, str]]:
        (row,) = (await store.observations(BY_COMMIT)).rows
        rows = list(await store.observation_versions(row))
        assert rows[-1] is row
        assert {each.observation_id for each in rows} == {row.observation_id}
        seqs = [each.commit_seq for each in rows]
        assert seqs == sorted(set(seqs))
        commits = await store.commits(seqs)
        assert [commits[seq].stored_at for seq in seqs] == [each.stored_at for each in rows]
        return list(zip(_values(rows), map(_status, rows), strict=True))

    expected = [(60, "final"), (70, "corrected"), (None, "entered-in-error"), (80, "corrected")]
    assert await told() == expected
    await store.ingest([make(Rec(5, [_withdrawn("wrong", ord=1280)]))])
    assert await told() == [(None, "entered-in-error")]
    await store.ingest([make(Rec(6, [_corrected(90, ord=1536)]))])
    assert await told() == [(None, "entered-in-error"), (90, "corrected")]


async def test_a_withdrawn_value_that_was_the_only_one(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    await store.ingest([make(Rec(2, [_withdrawn()]))])
    assert (await _latest(store), await _trend(store)) == ([None], [])
    await store.ingest([make(Rec(3, [pulse(NOW - HOUR / 2, 58)]))])
    assert (await _latest(store), await _trend(store)) == ([58], [58.0])


async def test_a_withdrawn_value_hides_its_number_as_sent(
    place: Place, store: PostgresStore
) -> None:
    await admit(store)
    for seq, status, mantissa in ((1, None, 371), (2, "deleted", 0)):
        one = _told(
            One("body_temperature", NOW, mantissa, -1, ord=seq * 256, raw_unit="[degF]"), status
        )
        assert one.detail is not None
        detail = replace(one.detail, raw_mantissa=988, raw_scale=-1)
        await store.ingest([make(Rec(seq, [replace(one, detail=detail)]))])
    (row,) = await all_rows(store, BY_COMMIT)
    assert (_values([row]), row.raw) == ([None], None)
    assert b"98.8" not in observation(row)
    (kept,) = await place.execute("SELECT mantissa, raw_mantissa FROM superseded")
    assert tuple(kept) == (371, 988)


@pytest.mark.parametrize("status", ["corrected", "wrong"])
async def test_before_its_original(place: Place, store: PostgresStore, status: str) -> None:
    await admit(store)
    statement = _corrected(70) if status == "corrected" else _withdrawn(status)
    await store.ingest([make(Rec(2, [statement]))])
    expected: list[tuple[int | None, str]] = [(70, "corrected")] if status == "corrected" else []
    assert await _shown(store) == expected
    (result,) = await store.ingest([make(Rec(1, [_first(60)]))])
    assert result.rows_stored == 1
    expected = expected or [(None, "entered-in-error")]
    assert await _shown(store) == expected
    assert await _latest(store) == [value for value, _ in expected]
    assert await _trend(store) == [70.0] * (status == "corrected")
    assert await _kept(place) == [(60, status)]
    # It has had its original: a reading that is told later stands for itself.
    await store.ingest([make(Rec(3, [_told(pulse(NOW, 90, ord=1024))]))])
    assert await _shown(store) == [*expected, (90, "final")]


@pytest.mark.each_engine
async def test_whatever_order_they_come_in_the_last_one_told_holds(store: PostgresStore) -> None:
    """One gateway, one epoch: seqs say what was told when."""
    records = (
        Rec(1, [_first(60)]),
        Rec(2, [_corrected(70)]),
        Rec(3, [_corrected(80, ord=1280)]),
    )
    for number, order in enumerate(permutations(records)):
        ward = await admit(store, device=f"ble:0000000001{number:02}")
        for rec in order:
            one = replace(rec.readings[0], device=f"ble:0000000001{number:02}")
            seq = rec.seq + 10 * number
            await store.ingest([make(Rec(seq, [one]))])
        query = ObservationQuery(patients=(ward.patient,))
        rows = await all_rows(store, query)
        assert [*zip(_values(rows), map(_status, rows), strict=True)] == [(80, "corrected")], order
        assert [row.mantissa for row in await store.latest([ward.patient])] == [80], order


async def test_all_of_them_in_one_call(place: Place, store: PostgresStore) -> None:
    await admit(store)
    one = make(Rec(1, [_first(60)]), Rec(2, [_corrected(70)]))
    two = make(Rec(3, [_corrected(80, ord=1280)]), Rec(4, [pulse(NOW - SECOND, 50)]))
    results = await store.ingest([one, two])
    assert [result.rows_stored for result in results] == [2, 2]
    assert sorted(await _shown(store), key=str) == [(50, "final"), (80, "corrected")]
    assert await _latest(store) == [80]
    assert await _kept(place) == [(60, "corrected")]


async def test_a_correction_of_a_correction_and_its_withdrawal(
    place: Place, store: PostgresStore
) -> None:
    await admit(store)
    said = ([_first(60)], [_corrected(70)], [_corrected(80, ord=1280)], [_withdrawn()])
    seen = []
    for seq, readings in enumerate(said, 1):
        await store.ingest([make(Rec(seq, readings))])
        seen += await _shown(store)
    assert seen == [
        (60, "final"), (70, "corrected"), (80, "corrected"), (None, "entered-in-error"),
    ]  # fmt: skip
    assert await _kept(place) == [(60, "corrected"), (70, "corrected"), (80, "wrong")]
    await store.ingest([make(Rec(5, [_corrected(66, ord=1536)]))])
    assert await _shown(store) == [(66, "corrected")]
    assert len({row.observation_id for row in await all_rows(store, BY_COMMIT)}) == 1


@pytest.mark.parametrize("event_id", [bytes(range(16)), None], ids=["named", "forgotten"])
async def test_a_correction_that_comes_twice(
    place: Place, store: PostgresStore, event_id: bytes | None
) -> None:
    """Known by its event id, and where that was forgotten by its own key."""
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    await store.ingest([make(Rec(2, [_corrected(70)], event_id))])
    await store.ingest([make(Rec(3, [_corrected(80, ord=1280)]))])
    (result,) = await store.ingest([make(Rec(4, [_corrected(70)], event_id))])
    assert result.records_known + result.rows_known == 1
    assert result.rows_stored == 0
    assert await _shown(store) == [(80, "corrected")]
    (aside,) = await store.ingest([make(Rec(5, [_corrected(71)]))])
    assert (aside.rows_stored, aside.rows_quarantined) == (0, 1)
    assert await _shown(store) == [(80, "corrected")]
    assert await _kept(place) == [(60, "corrected"), (70, "corrected")]


async def test_a_correction_twice_in_one_call(place: Place, store: PostgresStore) -> None:
    """Timed differently, without an event id; and one that says something else."""
    await admit(store)
    again = replace(_corrected(70), time=NOW + 41 * SECOND)
    other = replace(_corrected(71), time=NOW + 42 * SECOND)
    batch = make(Rec(1, [_first(60)]), Rec(2, [_corrected(70)]), Rec(3, [again]), Rec(4, [other]))
    (result,) = await store.ingest([batch])
    assert (result.rows_stored, result.rows_known, result.rows_quarantined) == (2, 1, 1)
    assert await _shown(store) == [(70, "corrected")]


async def test_a_device_time_of_any_length(store: PostgresStore) -> None:
    await admit(store)
    at = "Ж" * 5000
    lone = _told(pulse(NOW, 70, ord=512), "corrected", at=at)
    await store.ingest([make(Rec(1, [_told(pulse(NOW, 60, ord=256), at=at)]), Rec(2, [lone]))])
    assert await _shown(store) == [(60, "final"), (70, "corrected")]


async def test_an_original_that_comes_again(place: Place, store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    await store.ingest([make(Rec(2, [_corrected(70)]))])
    other = BatchMaker(epoch=EPOCH + 1)
    (result,) = await store.ingest([other(Rec(1, [_first(60)]))])
    assert (result.rows_stored, result.rows_known, result.rows_quarantined) == (0, 1, 0)
    late = replace(_first(60), time=NOW + 3 * SECOND)  # timed anew
    await store.ingest([other(Rec(2, [late]))])
    assert await _shown(store) == [(70, "corrected")]
    assert {value for value, _ in await _kept(place)} == {60}


async def test_others_are_untouched(place: Place, store: PostgresStore) -> None:
    """Another patient, another metric, another moment, another user of the device."""
    ward, neighbour = await admit(store), await admit(store, device=OTHER)
    stored = [
        _first(60),
        replace(_first(62), device=OTHER),
        _told(pulse(NOW + SECOND, 63, ord=1024), at="2026-03-10T13:00:01"),
        _told(One("spo2", NOW, 97, ord=256)),
        replace(_first(64), user=2),
    ]
    await store.ingest([make(Rec(1, stored))])
    since = await store.commit_seq()
    await store.ingest([make(Rec(2, [_withdrawn()]))])
    assert await _kept(place) == [(60, "wrong")]
    rows = await all_rows(store, ObservationQuery(patients=(ward.patient,)))
    values = sorted(value for value in _values(rows) if value is not None)
    assert values == [63, 64, 97]
    assert _values(await all_rows(store, ObservationQuery(patients=(neighbour.patient,)))) == [62]
    assert await store.latest([neighbour.patient], since=since) == ()


async def test_a_test_corrects_no_patient(place: Place, store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    await store.ingest([make(Rec(2, [_corrected(70, flags=int(Flag.TEST))]))])
    assert (await _shown(store), await _latest(store)) == ([(60, "final")], [60])
    assert await _kept(place) == []


async def test_without_a_time_of_its_sender_it_stands_for_itself(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    one = _corrected(70)
    assert one.detail is not None
    lone = replace(one, detail=replace(one.detail, device_time=None))
    await store.ingest([make(Rec(2, [lone]))])
    assert await _shown(store) == [(60, "final"), (70, "corrected")]


async def test_one_side_of_a_pressure(place: Place, store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_told(one) for one in cuff(NOW, 210, 80, ord=256)]))])
    (before,) = await all_rows(store, BY_COMMIT)
    systolic = _told(cuff(NOW + SECOND, 120, 80, ord=512)[0], "corrected")
    await store.ingest([make(Rec(2, [systolic]))])
    (after,) = await all_rows(store, BY_COMMIT)
    assert after.observation_id == before.observation_id
    assert ([value.mantissa for value in after.values], _status(after)) == ([120, 80], "corrected")
    diastolic = _told(replace(cuff(NOW, 0, 0, ord=768)[1], absent=INVALID), "deleted")
    await store.ingest([make(Rec(3, [diastolic]))])
    (last,) = await all_rows(store, BY_COMMIT)
    assert [bool(value.absent) for value in last.values] == [False, True]
    assert _status(last) == "corrected"
    assert await _kept(place) == [(210, "corrected"), (80, "deleted")]


async def test_a_wrong_unit_is_corrected_too(place: Place, store: PostgresStore) -> None:
    """The Observation in the wrong unit is entered in error, the one in the right unit stands."""
    await admit(store)
    metric = "glucose_capillary_whole_blood"
    first = _told(One(metric, NOW, 62, ord=256, scale=-1, unit="mg/dL"))
    await store.ingest([make(Rec(1, [first]))])
    right = _told(One(metric, NOW, 62, ord=512, scale=-1, unit="mmol/L"), "corrected")
    await store.ingest([make(Rec(2, [right]))])
    assert sorted(await _shown(store), key=str) == [(62, "corrected"), (None, "entered-in-error")]
    again = _told(One(metric, NOW, 63, ord=768, scale=-1, unit="mmol/L"), "corrected")
    await store.ingest([make(Rec(3, [again]))])
    gone = _told(One(metric, NOW, 0, ord=1024, absent=INVALID, unit="mg/dL"), "deleted")
    await store.ingest([make(Rec(4, [gone]))])
    assert {status for _, status in await _shown(store)} == {"entered-in-error"}
    assert await _kept(place) == [(62, "corrected"), (62, "corrected"), (63, "deleted")]


async def test_both_units_in_one_message(place: Place, store: PostgresStore) -> None:
    await admit(store)
    metric = "glucose_capillary_whole_blood"

    def both(ord_: int, mass: int, moles: int, status: str | None = None) -> list[One]:
        return [
            _told(One(metric, NOW, mass, ord=ord_, unit="mg/dL"), status),
            _told(One(metric, NOW, moles, ord=ord_, unit="mmol/L"), status),
        ]

    await store.ingest([make(Rec(1, both(256, 90, 5)))])
    await store.ingest([make(Rec(2, both(512, 108, 6, "corrected")))])
    assert sorted(await _shown(store)) == [(6, "corrected"), (108, "corrected")]
    await store.ingest([make(Rec(3, both(768, 126, 7, "corrected")), Rec(4, []))])
    assert sorted(await _shown(store)) == [(7, "corrected"), (126, "corrected")]


async def test_an_early_value_goes_with_the_final_one(place: Place, store: PostgresStore) -> None:
    await admit(store)
    early = _told(pulse(NOW, 58, ord=2048, flags=int(Flag.EARLY)))
    await store.ingest([make(Rec(1, [early]), Rec(2, [_first(60)]))])
    first = {row.observation_id: _values([row]) for row in await all_rows(store, BY_COMMIT)}
    await store.ingest([make(Rec(3, [_corrected(70)]))])
    rows = await all_rows(store, BY_COMMIT)
    now = {(*first[row.observation_id], *_values([row]), _status(row)) for row in rows}
    assert now == {(60, 70, "corrected"), (58, None, "entered-in-error")}


async def test_of_the_values_of_an_event_each_has_its_own(
    place: Place, store: PostgresStore
) -> None:
    """Two probes of one monitor, told together and corrected together."""
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60), replace(_first(61), ord=257)]))])
    await store.ingest([make(Rec(2, [_corrected(70), _corrected(71, ord=513)]))])
    assert await _shown(store) == [(70, "corrected"), (71, "corrected")]
    assert await _kept(place) == [(60, "corrected"), (61, "corrected")]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_where_nobody_can_tell_which_is_meant(
    place: Place, store: PostgresStore, order: tuple[int, int]
) -> None:
    """One of two probes is corrected: no wire position says which. Nothing is guessed."""
    await admit(store)
    records = {
        1: Rec(1, [_first(60), replace(_first(61), ord=257)]),
        2: Rec(2, [_corrected(70)]),
    }
    for seq in order:
        await store.ingest([make(records[seq])])
    assert sorted(await _shown(store)) == [(60, "final"), (61, "final"), (70, "corrected")]
    assert await _kept(place) == []


async def test_two_values_of_one_minute_and_a_correction_of_one(
    place: Place, store: PostgresStore
) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]), Rec(2, [_told(pulse(NOW, 61, ord=4096))]))])
    await store.ingest([make(Rec(3, [_corrected(70)]))])
    assert sorted(await _shown(store)) == [(60, "final"), (61, "final"), (70, "corrected")]
    assert await _kept(place) == []
    await store.ingest([make(Rec(4, [_withdrawn()]))])  # of the wrong patient are all of them
    assert {status for _, status in await _shown(store)} == {"entered-in-error"}
    assert await _kept(place) == [(60, "wrong"), (61, "wrong"), (70, "wrong")]


async def test_one_value_told_in_two_messages_goes_altogether(
    place: Place, store: PostgresStore
) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]), Rec(2, [_told(pulse(NOW, 60, ord=4096))]))])
    await store.ingest([make(Rec(3, [_corrected(70)]))])
    assert sorted(await _shown(store), key=str) == [(70, "corrected"), (None, "entered-in-error")]
    assert (await _latest(store), await _kept(place)) == ([70], [(60, "corrected")] * 2)


@pytest.mark.each_engine
async def test_rollups_are_rebuilt(place: Place, store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60), pulse(NOW + SECOND, 64)]))])
    await store.ingest([make(Rec(2, [pulse(NOW + 60 * SECOND, 10)]))])
    await store.refresh_rollups(limit=100)
    await store.ingest([make(Rec(3, [_corrected(70)]))])
    assert await _curve(store) == [(2, 64.0, 70.0)]
    await store.refresh_rollups(limit=100)
    assert await _curve(store) == [(2, 64.0, 70.0)]
    hours = await place.execute("SELECT readings, absent, minimum, maximum, total FROM rollup_1h")
    assert [tuple(row) for row in hours] == [(3, 0, 10.0, 70.0, 144.0)]
    await store.ingest([make(Rec(4, [_withdrawn()]))])
    for _ in range(2):
        assert await _curve(store) == [(1, 64.0, 64.0)]
        await store.refresh_rollups(limit=100)


async def _curve(store: PostgresStore) -> list[tuple[int, float, float]]:
    (series,) = {row.series_id for row in await store.latest()}
    end = NOW + timedelta(minutes=1)
    points = await store.trend(series, start=NOW, end=end, max_points=1)  # too many to be raw
    return [(point.count, point.minimum, point.maximum) for point in points]


async def test_another_gateway_tells_of_it(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60)]))])
    other = BatchMaker(gateway="gw-other", epoch=EPOCH + 1)
    await store.ingest([other(Rec(1, [_corrected(70)]))])
    assert await _shown(store) == [(70, "corrected")]


async def test_the_report_counts_them_as_stored(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest(
        [make(Rec(1, [_first(60)]), Rec(2, [_corrected(70)]), Rec(3, [_withdrawn()]))]
    )
    (report,) = await store.ledger_report(GATEWAY)
    assert (report.recorded, report.stored, report.missing) == (3, 3, ())


@pytest.mark.each_engine
async def test_a_correction_a_day_later_of_an_old_value(place: Place, store: PostgresStore) -> None:
    """What came since stays the latest; the wrong value's day is drawn anew."""
    await admit(store)
    newer = _told(pulse(NOW + 20 * HOUR, 66, ord=4096), at="2026-03-11T09:00:00")
    await store.ingest([make(Rec(1, [_first(60)]), Rec(2, [newer]))])
    since = await store.commit_seq()
    moment: datetime = NOW + 21 * HOUR
    await store.ingest([make(Rec(3, [_told(pulse(moment, 70, ord=512), "corrected")]))])
    assert await store.latest(since=since) == ()
    assert (await _latest(store), await _trend(store)) == ([66], [70.0])
    (stood,) = await place.execute("SELECT time, ord, mantissa FROM reading WHERE mantissa = 70")
    assert tuple(stood) == (NOW, 256, 70)


@pytest.mark.each_engine
@pytest.mark.parametrize(
    "place", [pytest.param("timescale", marks=pytest.mark.timescale)], indirect=True
)
async def test_an_original_in_a_compressed_chunk(place: Place, store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [_first(60), pulse(NOW + SECOND, 61)]))])
    assert await place.execute("SELECT compress_chunk(c) FROM show_chunks('reading') AS c")
    await store.ingest([make(Rec(2, [_corrected(70)]))])
    assert sorted(await _shown(store)) == [(61, "final"), (70, "corrected")]
    assert await _kept(place) == [(60, "corrected")]
    await store.refresh_rollups(limit=100)
    assert await _curve(store) == [(2, 61.0, 70.0)]
