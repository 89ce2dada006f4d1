"""Native partitions: made when needed, few however strange the times, pruned by every query."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from support.readings import DEVICE, NOW, SECOND, BatchMaker, One, Rec, pulse
from support.store import Place, admit, all_rows
from wardlight_cloud.store.queries import ObservationQuery, TimeBound

make = BatchMaker()
DAY = timedelta(days=1)
PARTITIONS = (
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
    "WHERE inhparent = 'reading'::regclass ORDER BY 1"
)


async def _names(place: Place) -> list[str]:
    return [row["name"] for row in await place.execute(PARTITIONS)]


async def test_days_since_the_store_was_made_and_months_before(native_place: Place) -> None:
    store = await native_place.open()
    await native_place.execute("UPDATE partition_plan SET daily_from = '2026-03-01'")
    times = [
        datetime(2026, 3, 10, 0, 0, tzinfo=UTC), datetime(2026, 3, 10, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1971, 1, 1, tzinfo=UTC),
    ]  # fmt: skip
    await store.ingest([make(Rec(1, [pulse(time, n) for n, time in enumerate(times)]))])
    assert await _names(native_place) == [
        "reading_200001", "reading_202602", "reading_20260301", "reading_20260310",
        "reading_before_2000",
    ]  # fmt: skip
    (row,) = await native_place.execute("SELECT count(*) AS count FROM reading")
    assert row["count"] == len(times)


async def test_a_device_with_random_dates_makes_few_partitions(native_place: Place) -> None:
    store = await native_place.open()
    times = [datetime(1970, 1, 2, tzinfo=UTC) + n * 97 * DAY for n in range(200)]
    await store.ingest([make(Rec(1, [pulse(time, n) for n, time in enumerate(times)]))])
    assert len(await _names(native_place)) < 12 * 24


async def test_coming_days_are_made_ahead(native_place: Place) -> None:
    store = await native_place.open()
    await store.prepare_partitions(days_ahead=7)
    (row,) = await native_place.execute(
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') AS day"
    )
    names = await _names(native_place)
    assert f"reading_{row['day']}" in names
    assert len(names) == 9  # and the one before 2000


async def test_a_dropped_partition_is_made_again(native_place: Place) -> None:
    """Somebody applied a retention of their own while the collector remembered the day."""
    store = await native_place.open()
    await store.ingest([make(Rec(1, [pulse(NOW, 1)]))])
    (name,) = [name for name in await _names(native_place) if name != "reading_before_2000"]
    await native_place.execute(f"DROP TABLE {name}")
    (result,) = await store.ingest([make(Rec(2, [pulse(NOW + SECOND, 2)]))])
    assert result.rows_stored == 1
    assert name in await _names(native_place)


async def test_making_a_partition_waits_for_no_reader_and_no_writer(native_place: Place) -> None:
    """Long transactions on other days go on; the new day is there at once."""
    store, other = await native_place.open(), await native_place.open()
    await store.ingest([make(Rec(1, [pulse(NOW, 1)]))])
    async with other._connections.transaction() as busy:
        await busy.fetch("SELECT count(*) FROM reading")
        await busy.execute(
            "INSERT INTO reading SELECT time + interval '1 s', commit_seq, mantissa, flags, "
            "series_id, ord, error_ms, gateway_id, scale, absent, offset_min, clock FROM reading"
        )
        async with asyncio.timeout(180):
            await store.ingest([make(Rec(2, [pulse(NOW - 3 * DAY, 2)]))])
    (row,) = await native_place.execute("SELECT count(*) AS count FROM reading")
    assert row["count"] == 3


async def test_a_page_opens_only_the_days_it_needs(native_place: Place) -> None:
    """120 days of one reading a minute; a page of the newest, without a bound, touches few."""
    store = await native_place.open(pool_size=1)
    ward = await admit(store)
    await native_place.execute("UPDATE partition_plan SET daily_from = '2025-01-01'")
    for month in range(4):
        rows = [
            pulse(NOW - (month * 30 + day) * DAY - n * 60 * SECOND, n)
            for day in range(30)
            for n in range(120)
        ]
        await store.ingest([make(Rec(month + 1, rows))])
    assert len(await _names(native_place)) > 110
    await native_place.execute("ANALYZE")

    async def touched(query: ObservationQuery) -> int:
        await native_place.execute("SELECT pg_stat_force_next_flush()")
        await native_place.execute("SELECT pg_stat_reset()")
        await store.observations(query)
        await native_place.execute("SELECT pg_stat_force_next_flush()")
        (row,) = await native_place.execute(
            "SELECT count(*) AS count FROM pg_stat_user_indexes "
            "WHERE idx_scan > 0 AND relname LIKE 'reading\\_2%'"
        )
        (seq,) = await native_place.execute(
            "SELECT coalesce(sum(seq_scan), 0)::int AS count FROM pg_stat_user_tables "
            "WHERE relname LIKE 'reading\\_2%'"
        )
        assert seq["count"] == 0
        return int(row["count"])

    assert await touched(ObservationQuery(patients=(ward.patient,), count=100)) <= 2
    bounds = (TimeBound("ge", NOW - 60 * DAY), TimeBound("lt", NOW - 59 * DAY))
    assert await touched(ObservationQuery(patients=(ward.patient,), times=bounds, count=100)) <= 2
    deep = ObservationQuery(patients=(ward.patient,), order="oldest", count=100)
    assert await touched(deep) <= 2


@pytest.mark.parametrize("order", ["newest", "oldest", "commit"])
async def test_sparse_series_over_years_are_read_whole(native_place: Place, order: str) -> None:
    store = await native_place.open()
    ward = await admit(store)
    await native_place.execute("UPDATE partition_plan SET daily_from = '2024-01-01'")
    weights = [
        One("body_weight", NOW - n * 7 * DAY, 700 + n, -1, device=DEVICE) for n in range(100)
    ]
    for at in range(0, 100, 10):
        await store.ingest(
            [make(*(Rec(at + n + 1, [w]) for n, w in enumerate(weights[at : at + 10])))]
        )
    query = ObservationQuery(
        patients=(ward.patient,), order=order, count=30  # type: ignore[arg-type]
    )  # fmt: skip
    rows = await all_rows(store, query)
    found = [row.values[0].mantissa for row in rows]
    assert sorted(found) == list(range(700, 800))
