"""MaintenanceStore: one leader, rollups that are what the rows say; on every engine."""

from datetime import UTC, datetime, timedelta

from support.readings import NOW, SECOND, BatchMaker, Rec, pulse
from support.store import Place
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.postgres.migrations import known_migrations
from wardlight_shared.model import Flag

make = BatchMaker()
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def _rollup(place: Place, table: str) -> list[tuple[object, ...]]:
    rows = await place.execute(
        f"SELECT bucket, readings, absent, total, minimum, maximum FROM {table} ORDER BY bucket"
    )
    return [tuple(row) for row in rows]


async def test_one_leader_at_a_time(store: PostgresStore) -> None:
    async with store.leadership("rollups") as first:
        assert first
        async with store.leadership("rollups") as second:
            assert not second
        async with store.leadership("partitions") as other:
            assert other
        assert await store.commit_seq() == 0  # the leader can work
    async with store.leadership("rollups") as again:
        assert again


async def test_rollups_hold_sum_count_least_and_greatest(
    place: Place, store: PostgresStore
) -> None:
    hour = NOW.replace(minute=0)
    rows = [
        pulse(hour, 610, scale=-1), pulse(hour + 59 * SECOND, 63),
        pulse(hour + SECOND, 0, absent=8),
        pulse(hour + MINUTE, 5, scale=1), pulse(hour + 2 * MINUTE, 0, absent=1),
        pulse(hour + 3 * MINUTE, 99, flags=int(Flag.DEMO)),
    ]  # fmt: skip
    await store.ingest([make(Rec(1, rows))])
    assert await store.refresh_rollups(limit=10) == 1
    assert await _rollup(place, "rollup_1m") == [
        (hour, 2, 1, 124.0, 61.0, 63.0),
        (hour + MINUTE, 1, 0, 50.0, 50.0, 50.0),
        (hour + 2 * MINUTE, 0, 1, None, None, None),
    ]
    assert await _rollup(place, "rollup_1h") == [(hour, 3, 2, 174.0, 50.0, 63.0)]


async def _with_invalid(place: Place, store: PostgresStore) -> None:
    """A minute of which one number does not hold, and one of which none does."""
    hour = NOW.replace(minute=0)
    bad = int(Flag.INVALID | Flag.QUESTIONABLE)
    rows = [
        pulse(hour, 60), pulse(hour + SECOND, 300, flags=bad),
        pulse(hour + MINUTE, 400, flags=int(Flag.INVALID)),
        pulse(hour + 2 * MINUTE, 66, flags=int(Flag.QUESTIONABLE | Flag.EARLY)),
    ]  # fmt: skip
    await store.ingest([make(Rec(1, rows))])


async def _without_invalid(place: Place) -> None:
    hour = NOW.replace(minute=0)
    assert await _rollup(place, "rollup_1m") == [
        (hour, 1, 1, 60.0, 60.0, 60.0),
        (hour + MINUTE, 0, 1, None, None, None),
        (hour + 2 * MINUTE, 1, 0, 66.0, 66.0, 66.0),
    ]
    assert await _rollup(place, "rollup_1h") == [(hour, 2, 2, 126.0, 60.0, 66.0)]


async def test_what_the_device_calls_invalid_has_no_number(
    place: Place, store: PostgresStore
) -> None:
    await _with_invalid(place, store)
    await store.refresh_rollups(limit=10)
    await _without_invalid(place)


async def test_an_upgrade_makes_anew_what_was_counted_wrongly(
    place: Place, store: PostgresStore
) -> None:
    """Up to version 30 rollups counted numbers that do not hold."""
    await _with_invalid(place, store)
    await store.refresh_rollups(limit=10)
    has_own = store._database.engine.has_own_rollups
    if has_own:  # as such a version left them
        await place.execute(
            "UPDATE rollup_1m SET readings = readings + absent, absent = 0, total = 700,"
            " minimum = 1, maximum = 400 WHERE absent > 0"
        )
        await place.execute(
            "UPDATE rollup_1h SET readings = 4, absent = 0, total = 1466, maximum = 400"
        )
    variant = "own" if has_own else "continuous"
    (step,) = [m for m in known_migrations() if (m.number, m.variant) == (31, variant)]
    async with store._connections.transaction() as connection:
        await connection.execute(step.text)
    await store.refresh_rollups(limit=10)
    await _without_invalid(place)


async def test_refreshing_goes_on_where_it_stopped_and_ends(
    place: Place, store: PostgresStore
) -> None:
    rows = [pulse(NOW - n * HOUR, n) for n in range(7)]
    await store.ingest([make(Rec(1, rows))])
    done = [await store.refresh_rollups(limit=3) for _ in range(4)]
    assert done == [3, 3, 1, 0]
    assert len(await _rollup(place, "rollup_1h")) == 7
    assert await store.refresh_rollups(limit=3) == 0


async def test_late_and_repeated_work_gives_the_same(place: Place, store: PostgresStore) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 60), pulse(NOW + 5 * MINUTE, 61)]))])
    await store.refresh_rollups(limit=10)
    first = await _rollup(place, "rollup_1m")
    await place.execute(
        "UPDATE rollup_progress SET commit_seq = 0, series_id = 0, bucket = 'epoch'"
    )
    assert await store.refresh_rollups(limit=10) == 1
    assert await _rollup(place, "rollup_1m") == first
    late = [pulse(NOW + SECOND, 80), pulse(NOW - 400 * 24 * HOUR, 40)]
    await store.ingest([make(Rec(2, late))])
    assert await store.refresh_rollups(limit=10) == 2
    minutes = await _rollup(place, "rollup_1m")
    assert [(row[1], row[3]) for row in minutes] == [(1, 40.0), (2, 140.0), (1, 61.0)]


async def test_coming_days_have_a_place(place: Place, store: PostgresStore) -> None:
    await store.prepare_partitions(days_ahead=3)
    await store.prepare_partitions(days_ahead=3)
    await store.ingest([make(Rec(1, [pulse(datetime.now(UTC), 60)]))])
    (row,) = await place.execute("SELECT count(*) AS count FROM reading")
    assert row["count"] == 1
