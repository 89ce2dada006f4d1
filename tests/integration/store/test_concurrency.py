"""Several collectors on one database: nothing twice, nothing lost, no reader sees time go back."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

import pytest

from support.postgres import FreshDatabase
from support.readings import EPOCH, GATEWAY, NOW, SECOND, BatchMaker, One, Rec, cuff, pulse
from support.store import SCHEMA, Place, admit, all_rows
from wardlight_cloud.store.batch import IngestBatch, StatusRow
from wardlight_cloud.store.postgres import PostgresStore, migrate, open_postgres
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_shared.errors import StorageError

make = BatchMaker()


async def _count(place: Place) -> int:
    (row,) = await place.execute("SELECT count(*) AS count FROM reading")
    return int(row["count"])


async def test_two_collectors_with_overlapping_batches(native_place: Place) -> None:
    """Each record goes to both at about the same time, cut differently, events included."""
    one, two = await native_place.open(), await native_place.open()
    records = [
        Rec(
            n,
            [pulse(NOW + n * SECOND, n), *cuff(NOW + n * SECOND, n, n, ord=256)],
            bytes([n] * 16) if n % 3 == 0 else None,
        )
        for n in range(1, 121)
    ]
    cut_by_seven = [make(*records[at : at + 7]) for at in range(0, 120, 7)]
    cut_by_five = [make(*records[at : at + 5]) for at in range(0, 120, 5)]

    async def send(store: PostgresStore, batches: Sequence[IngestBatch]) -> int:
        stored = 0
        for at in range(0, len(batches), 2):
            results = await store.ingest(batches[at : at + 2])
            stored += sum(result.rows_stored for result in results)
        return stored

    async with asyncio.timeout(180):
        counts = await asyncio.gather(send(one, cut_by_seven), send(two, cut_by_five[::-1]))
    assert sum(counts) == 360
    assert await _count(native_place) == 360
    assert (await one.ledger(GATEWAY, EPOCH)).upto == 120
    assert await native_place.execute("SELECT 1 FROM quarantine") == []


async def test_collectors_that_meet_the_same_new_names(native_place: Place) -> None:
    """Devices, series and days nobody knows yet, in opposite orders: no deadlock, one id each."""
    stores = [await native_place.open() for _ in range(4)]
    names = [f"ble:0000000000{n:02X}" for n in range(12)]

    def batch(place: int) -> IngestBatch:
        order = names if place % 2 else names[::-1]
        rows = [One("spo2", NOW - n * timedelta(days=40), n, device=d) for n, d in enumerate(order)]
        return BatchMaker(gateway=f"gw-{place:03}")(Rec(1, rows))

    async with asyncio.timeout(180):
        await asyncio.gather(*(s.ingest([batch(n)]) for n, s in enumerate(stores)))
    (row,) = await native_place.execute("SELECT count(*) AS count FROM series")
    assert row["count"] == 12
    assert len((await stores[0].devices())[0]) == 12


async def test_gateways_in_any_order_do_not_block_one_another(native_place: Place) -> None:
    """Calls that name the same gateways and devices in different orders, many times."""
    stores = [await native_place.open() for _ in range(3)]
    gateways = [f"gw-{n:03}" for n in range(6)]

    async def send(store: PostgresStore, turn: int) -> None:
        for n in range(1, 9):
            order = gateways[turn:] + gateways[:turn]
            batches = [
                BatchMaker(gateway=name)(
                    Rec(n * 3 + turn, [pulse(NOW + n * SECOND, n, device=f"serial:{place}")]),
                    statuses=[StatusRow(0, n, f"serial:{place}", "battery", {"percent": n})],
                )
                for place, name in enumerate(order)
            ]
            await store.ingest(batches)

    async with asyncio.timeout(180):
        await asyncio.gather(*(send(store, turn) for turn, store in enumerate(stores)))
    reports = await stores[0].ledger_report()
    assert [report.stored for report in reports] == [24] * 6


async def test_a_reader_never_sees_commits_go_back(native_place: Place) -> None:
    """What has been visible below a commit once is all there ever is below it."""
    stores = [await native_place.open() for _ in range(3)]
    await admit(stores[0])
    reader = await native_place.open()
    is_over = asyncio.Event()

    async def write(store: PostgresStore, first: int) -> None:
        for n in range(first, first + 40):
            await store.ingest([make(Rec(n, [pulse(NOW + n * SECOND, n)]))])

    async def read() -> None:
        seen: list[int] = []
        while not is_over.is_set():
            newest = await reader.commit_seq()
            rows = await native_place.execute(
                "SELECT commit_seq FROM reading WHERE commit_seq <= $1 ORDER BY commit_seq", newest
            )
            found = [row["commit_seq"] for row in rows]
            assert found[: len(seen)] == seen, "a commit appeared below one that was visible"
            seen = found

    reading = asyncio.create_task(read(), name="reader")
    async with asyncio.timeout(180):
        await asyncio.gather(*(write(s, 1 + 100 * n) for n, s in enumerate(stores)))
        is_over.set()
        await reading
    rows = await all_rows(reader, ObservationQuery(order="commit", count=7))
    assert len(rows) == 120
    assert [row.commit_seq for row in rows] == sorted(row.commit_seq for row in rows)


async def test_a_collector_that_is_cut_off_leaves_nothing_and_holds_nothing(
    native_place: Place,
) -> None:
    """Cancelled at every stage of its transaction; the other goes on and stores all."""
    one, two = await native_place.open(), await native_place.open()
    records = [Rec(n, [pulse(NOW + n * SECOND, n)], bytes([n] * 16)) for n in range(1, 41)]
    for n, record in enumerate(records):
        task = asyncio.create_task(one.ingest([make(record)]), name="doomed")
        for _ in range(n):
            await asyncio.sleep(0)  # another step of the loop, so another stage
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    async with asyncio.timeout(180):
        await two.ingest([make(*records)])
    assert await _count(native_place) == 40
    assert (await two.ledger(GATEWAY, EPOCH)).upto == 40


async def test_a_transaction_in_the_way_delays_and_does_not_break(native_place: Place) -> None:
    """Somebody holds the commit lock: readers go on, the writer waits, then stores."""
    store, other = await native_place.open(), await native_place.open()
    await store.ingest([make(Rec(1, [pulse(NOW, 1)]))])
    async with other._connections.transaction() as holder:
        await holder.fetch("SELECT take_commit()")
        writing = asyncio.create_task(
            store.ingest([make(Rec(2, [pulse(NOW + SECOND, 2)]))]), name="writer"
        )
        before = await store.commit_seq()
        assert (await store.ledger(GATEWAY, EPOCH)).upto == 1
        assert not writing.done()
    async with asyncio.timeout(180):
        (result,) = await writing
    assert result.commit_seq > before + 1


async def test_processes_that_start_together_migrate_once(fresh_database: FreshDatabase) -> None:
    dsn = await fresh_database()
    async with asyncio.timeout(180):
        counts = await asyncio.gather(*(migrate(dsn, engine="native") for _ in range(4)))
    assert sorted(counts)[:3] == [0, 0, 0]
    assert max(counts) > 0


async def test_more_calls_than_connections_wait_their_turn(native_place: Place) -> None:
    store = await native_place.open(pool_size=2)
    batches = [
        BatchMaker(gateway=f"gw-{n:03}")(Rec(1, [pulse(NOW, n, device=f"serial:{n}")]))
        for n in range(20)
    ]
    async with asyncio.timeout(180):
        await asyncio.gather(*(store.ingest([batch]) for batch in batches))
    assert await _count(native_place) == 20


async def test_a_closed_store_says_so(fresh_database: FreshDatabase) -> None:
    store = await open_postgres(await fresh_database(SCHEMA))
    await store.close()
    await store.close()
    with pytest.raises(StorageError):
        await store.commit_seq()
