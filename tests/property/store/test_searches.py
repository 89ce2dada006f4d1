"""Every search finds what a plain filter over all stored readings finds, page by page."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.postgres import FreshDatabase
from support.readings import NOW, BatchMaker, One, Rec, cuff, wire
from support.store import SCHEMA, Place, all_rows, patient
from wardlight_cloud.store.postgres import PostgresStore, open_postgres
from wardlight_cloud.store.queries import ObservationQuery, TimeBound

HOUR = timedelta(hours=1)
DEVICES = ("ble:0000000000A1", "ble:0000000000A2")
PANEL, SYSTOLIC = wire("blood_pressure"), wire("systolic_bp")
METRICS = (wire("spo2"), wire("heart_rate"), PANEL, SYSTOLIC)


@dataclass(frozen=True)
class Stored:
    """An Observation as the test knows it, by its commit's place in the order of commits."""

    device: str
    metric: int
    time: datetime
    ord: int


@dataclass(frozen=True)
class World:
    """A filled store and what is in it."""

    place: Place
    store: PostgresStore
    stored: tuple[Stored, ...]
    patients: dict[str, UUID]
    device_ids: dict[str, UUID]


async def _world(fresh_database: FreshDatabase) -> World:
    """Two patients; readings over two months in mixed order, several commits."""
    place = Place(await fresh_database(SCHEMA))
    store = await open_postgres(place.dsn, pool_size=2)
    place.opened.append(store)
    patients, device_ids = {}, {}
    for device in DEVICES:
        made = await store.put_patient(patient())
        device_ids[device] = await store.put_device(device)
        patients[device] = made.patient_id
        await store.assign(
            device_ids[device], made.patient_id, user=None, valid_from=NOW - 4000 * HOUR
        )
    stored: list[Stored] = []
    make = BatchMaker()
    for n in range(1, 49):
        device = DEVICES[n % 2]
        time = NOW - (n * 37 % 61) * 23 * HOUR
        rows: list[One] = []
        if n % 3 == 0:
            rows += cuff(time, n, n, device=device, ord=n % 4)
            stored.append(Stored(device, PANEL, time, n % 4))
        else:
            name = ("spo2", "heart_rate")[n % 5 % 2]
            rows.append(One(name, time, n, device=device, ord=n))
            stored.append(Stored(device, wire(name), time, n))
        await store.ingest([make(Rec(n, rows))])
    return World(place, store, tuple(stored), patients, device_ids)


few_days = st.builds(
    lambda hours, length: (
        TimeBound("ge", NOW - hours * HOUR),
        TimeBound("lt", NOW - (hours - length) * HOUR),
    ),
    st.integers(0, 1450),
    st.integers(0, 72),
)
bounds = few_days | st.lists(
    st.builds(
        lambda op, hours: TimeBound(op, NOW - hours * HOUR),
        st.sampled_from(["lt", "le", "gt", "ge"]),
        st.integers(0, 1450),
    ),
    max_size=2,
).map(tuple)
queries = st.fixed_dictionaries(
    {
        "of": st.none() | st.sampled_from(DEVICES),
        "by_device": st.booleans(),
        "metrics": st.none() | st.sets(st.sampled_from(METRICS), min_size=1).map(tuple),
        "component_metrics": st.none() | st.sets(st.sampled_from(METRICS), min_size=1).map(tuple),
        "times": bounds,
        "order": st.sampled_from(["newest", "oldest", "commit", "latest"]),
        "count": st.integers(1, 60),
    }
)


# Each example fills a database; the campaign of `make test-long` fills many.
EXAMPLES = 8 if settings().max_examples <= 100 else 300


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=st.lists(queries, min_size=10, max_size=10))
@pytest.mark.timeout(600)
async def test_searches_agree_with_a_plain_filter(
    fresh_database: FreshDatabase, choices: list[dict[str, object]]
) -> None:
    world = await _world(fresh_database)
    try:
        for choice in choices:
            await _compare(world, choice)
    finally:
        await world.place.close()


async def _compare(world: World, choice: dict[str, object]) -> None:
    device = choice["of"]
    narrow: dict[str, tuple[UUID, ...]] = {}
    if isinstance(device, str):
        ids = world.device_ids if choice["by_device"] else world.patients
        narrow = {"devices" if choice["by_device"] else "patients": (ids[device],)}
    rest = {key: value for key, value in choice.items() if key not in ("of", "by_device")}
    query = ObservationQuery(**narrow, **rest)  # type: ignore[arg-type]
    rows = await all_rows(world.store, query)
    names = {made: name for name, made in world.device_ids.items()}
    found = [(names[row.origin.device_id], row.origin.metric, row.time) for row in rows]
    expected = [
        (each.device, each.metric, each.time)
        for each in world.stored
        if _matches(each, query, device)
    ]
    assert sorted(found) == sorted(expected)
    assert await world.store.observation_count(query) == len(expected)
    assert len({row.observation_id for row in rows}) == len(rows)
    _check_order(query.order, [row.time for row in rows], [row.commit_seq for row in rows])


def _matches(each: Stored, query: ObservationQuery, device: object) -> bool:
    parts = {each.metric, SYSTOLIC} if each.metric == PANEL else {each.metric}
    return (
        device in (None, each.device)
        and (query.metrics is None or each.metric in query.metrics)
        and (query.component_metrics is None or bool(parts & set(query.component_metrics)))
        and all(_holds(bound, each.time) for bound in query.times)
    )


def _holds(bound: TimeBound, time: datetime) -> bool:
    return {
        "lt": time < bound.instant,
        "le": time <= bound.instant,
        "gt": time > bound.instant,
        "ge": time >= bound.instant,
    }[bound.op]


def _check_order(
    order: Literal["newest", "oldest", "commit", "latest"],
    times: list[datetime],
    commits: list[int],
) -> None:
    if order in ("commit", "latest"):
        assert commits == sorted(commits, reverse=order == "latest")
    else:
        assert times == sorted(times, reverse=order == "newest")
