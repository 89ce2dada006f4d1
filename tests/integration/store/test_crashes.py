"""The server dies and comes back: calls fail with StorageError, acknowledged data is there."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.readings import EPOCH, GATEWAY, NOW, SECOND, BatchMaker, Rec, pulse
from support.store import admit, all_rows
from support.waiting import wait_until
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.postgres import PostgresStore, migrate, open_postgres
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_shared.errors import StorageError

make = BatchMaker()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A durable server of this test's own."""
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        yield server


async def _answers(store: PostgresStore) -> bool:
    try:
        await store.commit_seq()
    except StorageError:
        return False
    return True


async def test_kill_9_under_load_loses_nothing_acknowledged(server: EmbeddedPostgres) -> None:
    await migrate(server.dsn, engine="native")
    store = await open_postgres(server.dsn)
    await admit(store)
    acknowledged = 0
    try:
        for _ in range(3):

            async def write() -> None:
                nonlocal acknowledged
                while True:
                    n = acknowledged + 1
                    (result,) = await store.ingest([make(Rec(n, [pulse(NOW + n * SECOND, n)]))])
                    acknowledged = result.ledger.upto

            goal = acknowledged + 20
            writing = asyncio.create_task(write(), name="writer")
            await wait_until(lambda goal=goal: acknowledged >= goal)  # type: ignore[misc]
            await asyncio.to_thread(server.kill)
            with pytest.raises(StorageError):
                await asyncio.wait_for(writing, 180)
            assert not await store.is_ready()
            await asyncio.to_thread(server.start)
            await wait_until(lambda: _answers(store))
        state = await store.ledger(GATEWAY, EPOCH)
        assert state.upto >= acknowledged
        rows = await all_rows(store, ObservationQuery(order="oldest", count=1000))
        assert [row.values[0].mantissa for row in rows] == list(range(1, state.upto + 1))
        assert await store.is_ready()
    finally:
        await store.close()


async def test_a_listener_learns_that_its_connection_is_lost(server: EmbeddedPostgres) -> None:
    await migrate(server.dsn, engine="native")
    store = await open_postgres(server.dsn)
    try:
        async with store.changes() as changes:
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            await asyncio.to_thread(server.kill)
            with pytest.raises(StorageError):
                await asyncio.wait_for(waiting, 180)
    finally:
        await store.close()


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    dsn = f"postgresql://nobody@/nothing?host={tmp_path}&port=5432"
    with pytest.raises(StorageError, match="no connection"):
        await open_postgres(dsn)
    with pytest.raises(StorageError, match="no connection"):
        await migrate(dsn)
