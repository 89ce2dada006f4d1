"""The databases that other tests build on."""

import asyncpg

from support.postgres import FreshDatabase, Template


async def _fill(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE fact (number int); INSERT INTO fact VALUES (7)")
    await connection.close()


SEVEN = Template("seven", _fill)


async def _numbers(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["number"] for row in await connection.fetch("SELECT number FROM fact")]
    finally:
        await connection.close()


async def test_each_database_is_a_clone_of_its_own(fresh_database: FreshDatabase) -> None:
    first, second = await fresh_database(SEVEN), await fresh_database(SEVEN)
    connection = await asyncpg.connect(first)
    await connection.execute("DELETE FROM fact")
    await connection.close()
    assert await _numbers(first) == []
    assert await _numbers(second) == [7]


async def test_without_a_template_the_database_is_empty(fresh_database: FreshDatabase) -> None:
    connection = await asyncpg.connect(await fresh_database())
    assert await connection.fetchval("SELECT count(*) FROM pg_stat_user_tables") == 0
    await connection.close()


async def test_sessions_left_open_do_not_keep_a_database(fresh_database: FreshDatabase) -> None:
    left_open = await asyncpg.connect(await fresh_database(SEVEN))
    await fresh_database.server.drop(fresh_database.names.pop())
    left_open.terminate()
