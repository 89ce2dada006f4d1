"""ReadStore.observations: what is found, in which order, and on which page; on every engine."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from support.readings import DEVICE, GATEWAY, NOW, SECOND, BatchMaker, One, Rec, cuff, pulse, wire
from support.store import Place, admit, all_rows
from wardlight_cloud.store.observation_rows import (
    Circumstances,
    Kind,
    ObservationRow,
    Origin,
    Value,
)
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.queries import ObservationQuery, TimeBound

pytestmark = pytest.mark.either_engine

make = BatchMaker()
DAY = timedelta(days=1)
OTHER_DEVICE = "ble:00000000000B"


def numbers(rows: list[ObservationRow]) -> list[int]:
    """The first number of each Observation."""
    return [row.values[0].mantissa for row in rows]


async def _fill(store: PostgresStore, count: int, *, step: timedelta = SECOND) -> None:
    records = [Rec(n, [pulse(NOW + n * step, n)]) for n in range(1, count + 1)]
    await store.ingest([make(*records)])


@pytest.mark.each_engine
async def test_one_observation_with_all_its_facts(store: PostgresStore) -> None:
    ward = await admit(store)
    one = pulse(NOW, 613, scale=-1, flags=1 << 20)
    (result,) = await store.ingest([make(Rec(1, [one]))])
    (row,) = await all_rows(store, ObservationQuery())
    assert row == ObservationRow(
        observation_id=row.observation_id,
        circumstances=Circumstances(
            origin=Origin(wire("pulse_rate_oximeter"), ward.patient, ward.device, None, None),
            kinds=(Kind(wire("pulse_rate_oximeter"), -1, 0, "/min", 1 << 20),),
            gateway=GATEWAY,
            offset_min=60,
            clock=0x13,
            error_ms=250,
            device=DEVICE,
        ),
        mantissas=(613,),
        time_us=int(NOW.timestamp()) * 1_000_000,
        device_time=None,
        raw=None,
        context=(),
        commit_seq=result.commit_seq,
        stored_at=row.stored_at,
    )
    assert row.values == [Value(wire("pulse_rate_oximeter"), 613, -1, 0, "/min", 1 << 20)]
    assert row.time.tzinfo is not None
    assert row.stored_at.tzinfo is not None


async def test_an_id_is_stable_opaque_and_found_again(store: PostgresStore) -> None:
    await admit(store)
    await _fill(store, 3)
    rows = await all_rows(store, ObservationQuery())
    ids = [row.observation_id for row in rows]
    assert len(set(ids)) == 3
    assert all(len(name) <= 64 and name.isalnum() for name in ids)
    assert [row.observation_id for row in await all_rows(store, ObservationQuery())] == ids
    (found,) = await all_rows(store, ObservationQuery(ids=(ids[1],)))
    assert found == rows[1]
    both = await all_rows(store, ObservationQuery(ids=(ids[2], ids[0], ids[0]), order="oldest"))
    assert both == [rows[2], rows[0]]


FOREIGN = (
    "", "a" * 26, "0" * 26, "../../x", "A" * 26, "é" * 26, "a" * 25 + "b", "7ac3b477-1543-4878"
)  # fmt: skip


async def test_a_foreign_id_finds_nothing(store: PostgresStore) -> None:
    await admit(store)
    await _fill(store, 1)
    for name in FOREIGN:
        assert (await store.observations(ObservationQuery(ids=(name,)))).rows == (), name


async def test_ids_obey_the_other_filters(store: PostgresStore) -> None:
    ward = await admit(store)
    await _fill(store, 2)
    rows = await all_rows(store, ObservationQuery())
    ids = tuple(row.observation_id for row in rows)
    assert await all_rows(store, ObservationQuery(ids=ids, patients=(uuid4(),))) == []
    assert await all_rows(store, ObservationQuery(ids=ids, patients=(ward.patient,))) == rows
    late = (TimeBound("gt", NOW + SECOND),)
    assert numbers(await all_rows(store, ObservationQuery(ids=ids, times=late))) == [2]
    assert await all_rows(store, ObservationQuery(ids=ids, metrics=(wire("spo2"),))) == []


@pytest.mark.parametrize("order", ["newest", "oldest", "commit"])
async def test_ids_page_in_every_order(store: PostgresStore, order: str) -> None:
    await admit(store)
    await _fill(store, 5)
    ids = tuple(row.observation_id for row in await all_rows(store, ObservationQuery()))
    query = ObservationQuery(ids=ids, order=order, count=2)  # type: ignore[arg-type]
    expected = [5, 4, 3, 2, 1] if order == "newest" else [1, 2, 3, 4, 5]
    assert numbers(await all_rows(store, query)) == expected


@pytest.mark.each_engine
@pytest.mark.parametrize("order", ["newest", "oldest", "commit"])
async def test_pages_join_without_gap_or_repeat(store: PostgresStore, order: str) -> None:
    """Several series, panels and rows at one instant, over several days."""
    await admit(store)
    records = []
    for n in range(1, 8):
        time = NOW - n * 11 * timedelta(hours=1)
        records.append(Rec(n, [pulse(time, n), One("spo2", time, n), *cuff(time, n, n)]))
    await store.ingest([make(*records[:3])])
    await store.ingest([make(*records[3:])])
    for count in (1, 2, 3, 7, 50):
        query = ObservationQuery(order=order, count=count)  # type: ignore[arg-type]
        rows = await all_rows(store, query)
        keys = [(row.observation_id, row.origin.metric) for row in rows]
        assert len(set(keys)) == len(keys) == 21, count
        times = [row.time for row in rows]
        if order == "commit":
            commits = [row.commit_seq for row in rows]
            assert commits == sorted(commits), count
        else:
            assert times == sorted(times, reverse=order == "newest"), count


async def test_newest_is_the_reverse_of_oldest(store: PostgresStore) -> None:
    await admit(store)
    rows = [One(metric, NOW, 1, ord=ord_) for metric in ("spo2", "heart_rate") for ord_ in (0, 5)]
    await store.ingest([make(Rec(1, rows))])
    newest = await all_rows(store, ObservationQuery(count=3))
    oldest = await all_rows(store, ObservationQuery(count=3, order="oldest"))
    assert newest == oldest[::-1]
    assert len(newest) == 4


async def test_a_full_last_page_says_that_it_is_the_last(store: PostgresStore) -> None:
    await admit(store)
    await _fill(store, 4)
    page = await store.observations(ObservationQuery(count=4))
    assert (len(page.rows), page.next) == (4, None)
    page = await store.observations(ObservationQuery(count=3))
    assert page.next is not None


@pytest.mark.parametrize("order", ["newest", "oldest", "commit"])
async def test_rows_that_arrive_between_pages_neither_shift_nor_repeat(
    store: PostgresStore, order: str
) -> None:
    await admit(store)
    records = [Rec(n, [pulse(NOW + n * SECOND, n)]) for n in (1, 3, 5, 7, 9)]
    await store.ingest([make(*records)])
    query = ObservationQuery(order=order, count=2)  # type: ignore[arg-type]
    first = await store.observations(query)
    late = [Rec(n, [pulse(NOW + n * SECOND, n)]) for n in (0, 2, 4, 6, 8, 10)]
    await store.ingest([make(*(replace(rec, seq=rec.seq + 100) for rec in late))])
    rest = await all_rows(store, replace(query, after=first.next))
    seen = numbers(list(first.rows)) + numbers(rest)
    assert len(seen) == len(set(seen))
    assert {1, 3, 5, 7, 9} <= set(seen)
    if order == "newest":
        assert seen == sorted(seen, reverse=True)
    if order == "oldest":
        assert seen == sorted(seen)
        assert seen[2:] == [4, 5, 6, 7, 8, 9, 10]
    if order == "commit":
        assert seen == [1, 3, 5, 7, 9, 0, 2, 4, 6, 8, 10]


async def test_a_cursor_of_another_search_or_store_is_refused(store: PostgresStore) -> None:
    ward = await admit(store)
    await _fill(store, 3)
    query = ObservationQuery(patients=(ward.patient,), count=1)
    page = await store.observations(query)
    assert page.next is not None
    tampered = bytes([*page.next[:-1], page.next[-1] ^ 1])
    for bad in (tampered, page.next[:-1], b"", b"x" * 40):
        with pytest.raises(ValueError, match="cursor"):
            await store.observations(replace(query, after=bad))
    for other in (
        replace(query, patients=(uuid4(),)),
        replace(query, order="oldest"),
        replace(query, metrics=(2,)),
        replace(query, times=(TimeBound("ge", NOW),)),
    ):
        with pytest.raises(ValueError, match="cursor"):
            await store.observations(replace(other, after=page.next))
    assert len((await store.observations(replace(query, after=page.next, count=50))).rows) == 2


async def test_a_cursor_tells_nothing(store: PostgresStore) -> None:
    """It stands in URLs: neither time nor value nor id may be read out of it."""
    ward = await admit(store)
    await _fill(store, 2)
    query = ObservationQuery(patients=(ward.patient,), count=1)
    first = await store.observations(query)
    second = await store.observations(query)
    assert first.next is not None
    assert second.next is not None
    assert first.next != second.next


async def test_blood_pressure_is_one_observation_with_components(store: PostgresStore) -> None:
    await admit(store)
    time = NOW
    rows = [
        One("mean_bp", time, 93), One("diastolic_bp", time, 80), One("systolic_bp", time, 120),
        One("pulse_rate_nibp", time, 66),
    ]  # fmt: skip
    await store.ingest([make(Rec(1, rows))])
    found = await all_rows(store, ObservationQuery())
    panel = next(row for row in found if row.origin.metric == wire("blood_pressure"))
    assert [(v.metric, v.mantissa, v.unit) for v in panel.values] == [
        (wire("systolic_bp"), 120, "mm[Hg]"),
        (wire("diastolic_bp"), 80, "mm[Hg]"),
        (wire("mean_bp"), 93, "mm[Hg]"),
    ]
    assert panel.raw is None
    assert {row.origin.metric for row in found} == {wire("blood_pressure"), wire("pulse_rate_nibp")}


async def test_components_join_by_time_and_ord_only(store: PostgresStore) -> None:
    """Two cuff readings of one minute are two Observations; an absent component stays absent."""
    await admit(store)
    first = cuff(NOW, 120, 80, ord=256)
    second = (One("systolic_bp", NOW, 131, ord=512), One("diastolic_bp", NOW, 0, ord=512, absent=2))
    third = (One("systolic_bp", NOW + SECOND, 140),)
    await store.ingest([make(Rec(1, first), Rec(2, second), Rec(3, third))])
    rows = await all_rows(store, ObservationQuery(order="oldest", count=1))
    assert [[(v.mantissa, v.absent) for v in row.values] for row in rows] == [
        [(120, 0), (80, 0)],
        [(131, 0), (0, 2)],
        [(140, 0)],
    ]


async def test_metric_filter_means_the_observation(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [*cuff(NOW, 120, 80), pulse(NOW, 60)]))])

    async def found(**filters: tuple[int, ...]) -> set[int]:
        query = ObservationQuery(**filters)  # type: ignore[arg-type]
        return {row.origin.metric for row in await all_rows(store, query)}

    panel, systolic, rate = wire("blood_pressure"), wire("systolic_bp"), wire("pulse_rate_oximeter")
    assert await found(metrics=(panel,)) == {panel}
    assert await found(metrics=(systolic,)) == set()
    assert await found(metrics=(rate, panel)) == {panel, rate}
    assert await found(component_metrics=(systolic,)) == {panel}
    assert await found(component_metrics=(panel,)) == {panel}
    assert await found(component_metrics=(systolic, rate)) == {panel, rate}
    assert await found(component_metrics=(wire("mean_bp"),)) == set()
    assert await found(metrics=(rate,), component_metrics=(systolic,)) == set()


@pytest.mark.each_engine
@pytest.mark.parametrize("order", ["newest", "oldest", "commit"])
async def test_a_panel_found_by_one_component_has_all(store: PostgresStore, order: str) -> None:
    await admit(store)
    records = [Rec(n, cuff(NOW + n * SECOND, 100 + n, 60 + n)) for n in range(5)]
    await store.ingest([make(*(replace(rec, seq=rec.seq + 1) for rec in records))])
    query = ObservationQuery(
        component_metrics=(wire("diastolic_bp"),), count=2, order=order  # type: ignore[arg-type]
    )  # fmt: skip
    rows = await all_rows(store, query)
    found = sorted(tuple(v.mantissa for v in row.values) for row in rows)
    assert found == [(100 + n, 60 + n) for n in range(5)]


async def test_filters_by_device_and_patient(store: PostgresStore) -> None:
    one, two = await admit(store), await admit(store, device=OTHER_DEVICE)
    await store.ingest([make(Rec(1, [pulse(NOW, 1), pulse(NOW, 2, device=OTHER_DEVICE)]))])

    async def found(query: ObservationQuery) -> list[int]:
        return sorted(numbers(await all_rows(store, query)))

    assert await found(ObservationQuery()) == [1, 2]
    assert await found(ObservationQuery(patients=(one.patient,))) == [1]
    assert await found(ObservationQuery(patients=(one.patient, two.patient))) == [1, 2]
    assert await found(ObservationQuery(devices=(two.device,))) == [2]
    assert await found(ObservationQuery(devices=(two.device,), patients=(one.patient,))) == []
    assert await found(ObservationQuery(patients=(uuid4(),))) == []


async def test_an_empty_filter_matches_nothing(store: PostgresStore) -> None:
    await admit(store)
    await _fill(store, 1)
    for field in ("patients", "devices", "metrics", "component_metrics", "ids"):
        query = ObservationQuery(**{field: ()})  # type: ignore[arg-type]
        page = await store.observations(query)
        assert (page.rows, page.next) == ((), None), field


BOUNDS: tuple[tuple[list[tuple[str, int]], list[int]], ...] = (
    ([("ge", 2)], [2, 3, 4]),
    ([("gt", 2)], [3, 4]),
    ([("le", 2)], [1, 2]),
    ([("lt", 2)], [1]),
    ([("ge", 2), ("lt", 4)], [2, 3]),
    ([("ge", 2), ("le", 2)], [2]),
    ([("gt", 2), ("lt", 3)], []),
    ([("ge", 4), ("lt", 2)], []),
)


@pytest.mark.each_engine
@pytest.mark.parametrize("order", ["newest", "oldest", "commit"])
async def test_time_bounds(store: PostgresStore, order: str) -> None:
    await admit(store)
    await _fill(store, 4)
    for bounds, expected in BOUNDS:
        times = tuple(TimeBound(op, NOW + n * SECOND) for op, n in bounds)  # type: ignore[arg-type]
        query = ObservationQuery(times=times, order=order)  # type: ignore[arg-type]
        assert sorted(numbers(await all_rows(store, query))) == expected, bounds


@pytest.mark.each_engine
async def test_bounds_at_the_ends_of_the_calendar(store: PostgresStore) -> None:
    await admit(store)
    await _fill(store, 2)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for low, high in (("ge", "le"), ("gt", "lt")):
        times = (TimeBound(low, first), TimeBound(high, last))  # type: ignore[arg-type]
        assert numbers(await all_rows(store, ObservationQuery(times=times))) == [2, 1]
        page = await store.observations(ObservationQuery(stored=times))
        assert len(page.rows) == 2
    assert await all_rows(store, ObservationQuery(times=(TimeBound("gt", last),))) == []


async def test_bounds_distinguish_microseconds(store: PostgresStore) -> None:
    await admit(store)
    tick = timedelta(microseconds=1)
    await store.ingest([make(Rec(1, [pulse(NOW + n * tick, n) for n in range(3)]))])
    query = ObservationQuery(times=(TimeBound("gt", NOW), TimeBound("lt", NOW + 2 * tick)))
    assert numbers(await all_rows(store, query)) == [1]


async def test_a_battery_is_nobodys_vital_sign(store: PostgresStore) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [One("battery", NOW, 80), pulse(NOW, 60)]))])
    assert numbers(await all_rows(store, ObservationQuery())) == [60]


@pytest.mark.each_engine
async def test_a_silent_patient_is_found_far_back(place: Place, store: PostgresStore) -> None:
    """Few readings over years: no time bound, every order, small pages."""
    ward = await admit(store)
    times = [NOW - n * 97 * DAY for n in range(9)]
    await store.ingest([make(*(Rec(n, [pulse(t, n)]) for n, t in enumerate(times, 1)))])
    for order, expected in (("newest", list(range(1, 10))), ("oldest", list(range(9, 0, -1)))):
        query = ObservationQuery(
            patients=(ward.patient,), order=order, count=2  # type: ignore[arg-type]
        )  # fmt: skip
        assert numbers(await all_rows(store, query)) == expected


async def test_users_of_one_device_are_kept_apart(store: PostgresStore) -> None:
    device = await store.put_device(DEVICE)
    first = await admit(store, user=1)
    second = await admit(store, user=2)
    rows = [pulse(NOW, n, user=n, ord=n) for n in (1, 2, 3)] + [pulse(NOW, 9)]
    await store.ingest([make(Rec(1, rows))])
    assert numbers(await all_rows(store, ObservationQuery(patients=(first.patient,)))) == [1]
    (row,) = await all_rows(store, ObservationQuery(patients=(second.patient,)))
    assert (row.values[0].mantissa, row.origin.user, row.origin.device_id) == (2, 2, device)
    # A user whom nobody has assigned, and a reading without a user, belong to nobody.
    assert sorted(numbers(await all_rows(store, ObservationQuery()))) == [1, 2]
