"""Kept days: a page of texts always says what the rows say, whatever happens in between."""

import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final, Self

import pytest

from support.readings import NOW, SECOND, BatchMaker, One, Rec, cuff, pulse, wire
from support.store import Place, admit, patient
from wardlight_cloud.store.batch import Detail
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.observation_texts import Form, PatientDay
from wardlight_cloud.store.postgres import PostgresStore, observation_texts
from wardlight_cloud.store.queries import ObservationQuery, TimeBound
from wardlight_shared.errors import StorageError
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

pytestmark = pytest.mark.either_engine

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
METRICS: Final = ("pulse_rate_oximeter", "systolic_bp", "diastolic_bp", "glucose_cgm")


def _texts(rows: Sequence[ObservationRow]) -> list[bytes]:
    """All that a row says."""
    return [
        repr((row.observation_id, row.circumstances, row.mantissas, row.time_us, row.device_time,
              row.raw, row.context, row.commit_seq, row.stored_at)).encode()
        for row in rows
    ]  # fmt: skip


FORM: Final = Form(b"one", _texts)


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation_texts, "_SETTLED", timedelta())


async def _anew(store: PostgresStore, query: ObservationQuery) -> list[bytes]:
    """What the rows say, page after page."""
    texts: list[bytes] = []
    while True:
        page = await store.observations(query)
        texts += _texts(page.rows)
        if page.next is None:
            return texts
        query = replace(query, after=page.next)


async def _paged(
    store: PostgresStore, query: ObservationQuery
) -> tuple[list[bytes], set[PatientDay]]:
    """What the pages of texts say, and the days that were written anew for them."""
    texts: list[bytes] = []
    unkept: set[PatientDay] = set()
    while True:
        page = await store.observation_texts(query, FORM)
        assert len(page.texts) <= query.count
        for identity, text in page.texts:
            assert identity.encode() in text
            texts.append(text)
        unkept |= set(page.unkept)
        if page.next is None:
            return texts, unkept
        query = replace(query, after=page.next)


@pytest.mark.each_engine
async def test_a_kept_day_answers_until_something_comes_to_it(store: PostgresStore) -> None:
    make = BatchMaker()
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60), *cuff(NOW + HOUR, 120, 80)]))])
    day = PatientDay(ward.patient, NOW.date())
    query = ObservationQuery(
        patients=(ward.patient,), times=(TimeBound("ge", NOW - HOUR), TimeBound("lt", NOW + DAY))
    )
    first, unkept = await _paged(store, query)
    assert (len(first), day in unkept) == (2, True)
    assert await store.keep_day(day, FORM)
    assert await _paged(store, query) == (first, {replace(day, day=day.day + DAY)})
    assert (await _paged(store, replace(query, count=1)))[0] == first
    other = Form(b"other", _texts)
    assert day in (await store.observation_texts(query, other)).unkept
    await store.ingest([make(Rec(2, [pulse(NOW + 2 * HOUR, 61)]))])
    second, unkept = await _paged(store, query)
    assert (len(second), day in unkept) == (3, True)


async def test_a_change_of_whose_it_is_ends_it(store: PostgresStore) -> None:
    make = BatchMaker()
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    day = PatientDay(ward.patient, NOW.date())
    query = ObservationQuery(
        patients=(ward.patient,), times=(TimeBound("ge", NOW), TimeBound("lt", NOW + HOUR))
    )
    assert await store.keep_day(day, FORM)
    assert len((await _paged(store, query))[0]) == 1
    (assignment,) = await store.assignments()
    await store.unassign(assignment.assignment_id, valid_to=NOW - HOUR)
    assert (await _paged(store, query))[0] == []
    assert await store.keep_day(day, FORM)
    assert await _paged(store, query) == ([], set()), "readings of nobody"


@pytest.mark.each_engine
async def test_a_reading_taken_out_of_another_day_ends_it(store: PostgresStore) -> None:
    """Told again with another receipt, behind midnight: the day before lost its reading."""
    make = BatchMaker()
    ward = await admit(store)
    late = datetime(2026, 3, 10, 23, 59, 50, tzinfo=UTC)
    told = Detail(0, None, None, "2026-03-10T23:59:50", None, ())
    corrected = replace(told, context=(("status", "deleted"),))
    await store.ingest([make(Rec(1, [pulse(late, 60, ord=256, detail=told)]))])
    day = PatientDay(ward.patient, late.date())
    query = ObservationQuery(
        patients=(ward.patient,), times=(TimeBound("ge", late - HOUR), TimeBound("lt", late + HOUR))
    )
    assert await store.keep_day(day, FORM)
    gone = pulse(
        late + 40 * SECOND, 0, ord=512, detail=corrected,
        absent=CODE_BY_ABSENT[Absent.INVALID], flags=int(Flag.WITHDRAWN),
    )  # fmt: skip
    await store.ingest([make(Rec(2, [gone]))])
    assert (await _paged(store, query))[0] == await _anew(store, query)


async def test_a_day_is_kept_when_it_is_over_by_an_hour(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = BatchMaker()
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    day = PatientDay(ward.patient, NOW.date())
    end = datetime.combine(day.day + DAY, time(), UTC)
    for now, is_kept in ((end + HOUR - SECOND, False), (end + HOUR, True)):
        monkeypatch.setattr(observation_texts, "datetime", _clock(now))
        assert await store.keep_day(day, FORM) is is_kept


def _clock(now: datetime) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Self:
            assert tz is UTC
            return cls.fromtimestamp(now.timestamp(), UTC)

    return Clock


async def test_days_that_are_not_worth_it(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = BatchMaker()
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW + place * SECOND, 60) for place in range(5)]))])
    day = PatientDay(ward.patient, NOW.date())
    assert not await store.keep_day(replace(day, day=datetime.now(UTC).date()), FORM)
    assert not await store.keep_day(replace(day, day=day.day - DAY), FORM), "nothing is there"
    monkeypatch.setattr(observation_texts, "MOST", 4)
    assert not await store.keep_day(day, FORM)
    monkeypatch.setattr(observation_texts, "MOST", 5)
    monkeypatch.setattr(observation_texts, "_SETTLED", HOUR)
    assert not await store.keep_day(day, FORM), "it came just now"


def _some(rng: random.Random, seq: int) -> Rec:
    """A record of readings of two devices over four days."""
    device = rng.choice(("ble:00000000000A", "ble:00000000000B"))
    time = NOW + rng.randrange(-2 * 86_400, 2 * 86_400) * SECOND
    kind = rng.randrange(3)
    if kind == 0:
        return Rec(seq, cuff(time, rng.randrange(90, 180), rng.randrange(50, 90), device=device))
    if kind == 1:
        unit = rng.choice(("mg/dL", "mmol/L"))
        return Rec(
            seq, [One("glucose_cgm", time, rng.randrange(60, 200), device=device, unit=unit)]
        )
    return Rec(seq, [pulse(time, rng.randrange(50, 99), device=device, ord=rng.randrange(2))])


def _asked(rng: random.Random, whose: object) -> ObservationQuery:
    lo = NOW + rng.randrange(-60, 30) * HOUR
    pairs = [(wire("glucose_cgm"), "mmol/L")]
    metrics = tuple(wire(name) for name in METRICS if rng.random() < 0.6)
    return ObservationQuery(
        patients=(whose,),  # type: ignore[arg-type]
        metrics=(*metrics, wire("blood_pressure")) if rng.random() < 0.5 else None,
        component_metrics=metrics if rng.random() < 0.3 and metrics else None,
        other_units=tuple(pairs) if rng.random() < 0.3 else (),
        times=(TimeBound("ge", lo), TimeBound("lt", lo + rng.randrange(1, 72) * HOUR)),
        order=rng.choice(("newest", "oldest")),
        count=rng.randrange(1, 12),
    )


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_pages_say_what_the_rows_say(
    place: Place, store: PostgresStore, seed: int
) -> None:
    rng = random.Random(seed)
    make = BatchMaker()
    ward = await admit(store)
    second = await store.put_device("ble:00000000000B")
    await store.assign(second, ward.patient, user=None, valid_from=NOW - 365 * DAY)
    other = (await store.put_patient(patient())).patient_id
    seq = 0
    from_kept = 0
    for _ in range(12):
        recs = [_some(rng, seq := seq + 1) for _ in range(rng.randrange(1, 12))]
        await store.ingest([make(*recs)])
        if rng.random() < 0.25:
            with contextlib.suppress(StorageError):  # another assignment holds that time
                await store.assign(
                    rng.choice((ward.device, second)), rng.choice((ward.patient, other)),
                    user=None, valid_from=NOW + rng.randrange(-24, 24) * HOUR,
                )  # fmt: skip
        for query in (_asked(rng, ward.patient) for _ in range(6)):
            texts, unkept = await _paged(store, query)
            assert texts == await _anew(store, query), query
            from_kept += bool(texts) and not unkept
            for day in sorted(unkept, key=lambda each: each.day):
                if rng.random() < 0.7:
                    await store.keep_day(day, FORM)
    assert from_kept > 3
    assert len(await place.execute("SELECT FROM kept_day")) > 2
