"""One throw-away PostgreSQL for the whole test run, and databases on it in milliseconds.

    SCHEMA = Template("schema", build)             # `build` gets a DSN; it runs once a session

    async def test_fact(fresh_database: FreshDatabase) -> None:
        connection = await asyncpg.connect(await fresh_database(SCHEMA))

Each database is a clone of its template and is dropped after the test. The server survives no power
cut (fsync is off, and its files lie in memory where there is room); tests of durability start their
own.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import asyncpg
import pytest

from support.memory_folder import memory_folder
from wardlight_cloud.store.embedded import EmbeddedPostgres


@dataclass(frozen=True)
class Template:
    """A database to clone: a name, unique in the session, and what fills it once."""

    name: str
    build: Callable[[str], Awaitable[None]]


class TestServer:
    """The server of the session and the templates built on it."""

    __test__ = False

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self._built: set[str] = set()

    async def clone(self, template: Template | None) -> str:
        """A new database, a copy of `template` or an empty one; returns its name."""
        source = await self._source(template)
        name = f"test_{secrets.token_hex(8)}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return name

    async def drop(self, name: str) -> None:
        """Remove a database, ending what sessions are left on it."""
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _source(self, template: Template | None) -> str:
        if template is None:
            return "template0"
        name = f"template_{template.name}"
        if name not in self._built:
            await self._execute(f'DROP DATABASE IF EXISTS "{name}"')
            await self._execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            await template.build(self.server.dsn_of(name))
            self._built.add(name)
        return name

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.server.dsn_of("postgres"), timeout=180)
        try:
            await connection.execute(statement, timeout=180)
        finally:
            await connection.close(timeout=180)


@dataclass(frozen=True)
class FreshDatabase:
    """Calls give the DSN of a new database each."""

    server: TestServer
    names: list[str]

    async def __call__(self, template: Template | None = None) -> str:
        name = await self.server.clone(template)
        self.names.append(name)
        return self.server.server.dsn_of(name)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The PostgreSQL of this test run, started on first use."""
    with (
        memory_folder(tmp_path_factory.mktemp("postgres")) as folder,
        EmbeddedPostgres(folder, durable=False) as server,
    ):
        yield TestServer(server)


@pytest.fixture
async def fresh_database(postgres_server: TestServer) -> AsyncIterator[FreshDatabase]:
    """Makes databases for one test and drops them after it."""
    fresh = FreshDatabase(postgres_server, [])
    yield fresh
    for name in fresh.names:
        await postgres_server.drop(name)
