"""Connections between calls: kept, handed on, replaced, closed; on a real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from support.postgres import FreshDatabase
from support.store import SCHEMA
from support.waiting import wait_until
from wardlight_cloud.store.postgres.idle import Borrowed, IdleConnections

WHO = "SELECT pg_backend_pid()"


@pytest.fixture
async def pool(fresh_database: FreshDatabase) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    dsn = await fresh_database(SCHEMA)
    async with asyncpg.create_pool(dsn, min_size=0, max_size=2) as pool:
        yield pool


@pytest.fixture
async def idle(pool: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[IdleConnections]:
    idle = IdleConnections(pool, wait_s=20, idle_s=600)
    yield idle
    await idle.close()


async def _who(idle: IdleConnections) -> int:
    async with Borrowed(idle) as connection:
        found: int = await connection.fetchval(WHO)
        return found


async def test_the_next_call_gets_the_same_connection(idle: IdleConnections) -> None:
    assert len({await _who(idle) for _ in range(5)}) == 1


async def test_calls_wait_for_one_another_when_all_are_in_use(idle: IdleConnections) -> None:
    found = await asyncio.gather(*(_who(idle) for _ in range(20)))
    assert len(set(found)) == 2


async def test_waiting_ends(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    idle = IdleConnections(pool, wait_s=0.5, idle_s=600)
    async with pool.acquire(), pool.acquire():  # both are in use; making them may take its time
        with pytest.raises(TimeoutError):
            await _who(idle)
    await _who(idle)  # both are there now: nothing to wait for
    await idle.close()


async def test_a_call_that_failed_leaves_no_transaction_behind(idle: IdleConnections) -> None:
    async def fail() -> None:
        async with Borrowed(idle) as connection:
            await connection.execute("BEGIN")
            await connection.execute("SELECT 1/0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    async with Borrowed(idle) as connection:
        assert not connection.is_in_transaction()


async def test_a_cancelled_call_leaves_no_statement_behind(idle: IdleConnections) -> None:
    async def sleep() -> None:
        async with Borrowed(idle) as connection:
            begun.set()
            await connection.execute("SELECT pg_sleep(60)")

    begun = asyncio.Event()
    task = asyncio.create_task(sleep())
    async with asyncio.timeout(180):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.gather(*(_who(idle) for _ in range(4)))


async def test_a_connection_that_the_server_ended_is_not_handed_out(
    pool: "asyncpg.Pool[asyncpg.Record]", idle: IdleConnections
) -> None:
    async with Borrowed(idle) as one, Borrowed(idle) as other:
        victim = await one.fetchval(WHO)
        await other.fetchval("SELECT pg_terminate_backend($1)", victim)
        await wait_until(lambda: pool.get_size() == 1)
    assert victim not in await asyncio.gather(*(_who(idle) for _ in range(4)))


async def test_one_that_ends_between_two_calls_is_not_handed_out(
    pool: "asyncpg.Pool[asyncpg.Record]", idle: IdleConnections
) -> None:
    victim = await _who(idle)
    async with pool.acquire() as other:
        await other.fetchval("SELECT pg_terminate_backend($1)", victim)
        await wait_until(lambda: pool.get_size() == 1)
    assert await _who(idle) != victim


async def test_what_is_not_used_is_closed(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    idle = IdleConnections(pool, wait_s=20, idle_s=0.05)
    await _who(idle)
    await wait_until(lambda: pool.get_size() == 0)
    await _who(idle)
    await idle.close()


def _break(connection: Any) -> None:
    """What the driver does when a message breaks the protocol: it closes, and tells no pool."""
    connection._protocol.abort()


async def test_one_that_broke_between_two_calls_frees_its_place(idle: IdleConnections) -> None:
    for _ in range(5):  # the pool has two places
        async with Borrowed(idle) as connection:
            pass
        _break(connection)
    async with asyncio.timeout(180), Borrowed(idle) as one, Borrowed(idle) as other:
        assert await one.fetchval(WHO) != await other.fetchval(WHO)


async def test_one_that_broke_and_is_swept_frees_its_place(
    pool: "asyncpg.Pool[asyncpg.Record]",
) -> None:
    idle = IdleConnections(pool, wait_s=20, idle_s=0.05)
    async with Borrowed(idle) as one, Borrowed(idle) as other:
        pass
    _break(one)
    _break(other)
    async with asyncio.timeout(180), pool.acquire() as again:
        assert await again.fetchval("SELECT 1") == 1
    await idle.close()


async def test_a_connection_serves_as_many_queries_as_the_pool_allows(
    fresh_database: FreshDatabase,
) -> None:
    dsn = await fresh_database(SCHEMA)
    async with asyncpg.create_pool(dsn, min_size=0, max_size=1, max_queries=8) as pool:
        idle = IdleConnections(pool, wait_s=20, idle_s=600, calls=4)
        found = [await _who(idle) for _ in range(16)]
        await idle.close()
    assert len(set(found)) > 1
    assert found[:4] == found[:1] * 4


async def test_closing_gives_all_back(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    idle = IdleConnections(pool, wait_s=20, idle_s=600)
    async with Borrowed(idle) as connection:
        await _who(idle)
        await idle.close()
        await connection.fetchval(WHO)
    async with asyncio.timeout(180):
        await pool.close()
