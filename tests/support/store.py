"""Stores for tests: on native partitions and on TimescaleDB, each test on an empty one.

What hardly differs between them, as its tables or its statements are the same, is marked
`either_engine`: its TimescaleDB form, whose server is slow, waits for `make test-long`. What is
marked `each_engine` inside such a file does not wait.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from support.postgres import FreshDatabase, Template
from support.readings import DEVICE, NOW
from support.timescale_server import WebAssemblyServer, own_server_dsn, when_free
from wardlight_cloud.store.base import Assignment, Patient, Store
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.postgres import PostgresStore, migrate, open_postgres
from wardlight_cloud.store.queries import ObservationQuery


async def _build(dsn: str) -> None:
    await migrate(dsn, engine="native")


SCHEMA: Final = Template("store", _build)
ENGINES: Final = ("native", pytest.param("timescale", marks=pytest.mark.timescale))


@pytest.hookimpl(tryfirst=True)  # before what is long is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What either engine proves is proved by the quick one, and in the campaigns by both."""
    for item in items:
        if _waits(item) and item.get_closest_marker("timescale"):
            item.add_marker(pytest.mark.long)


def _waits(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("either_engine")) and not item.get_closest_marker(
        "each_engine"
    )


@dataclass
class Place:
    """A database with an empty store, and the stores that a test opens in it."""

    dsn: str
    takes_sessions: bool = True
    opened: list[PostgresStore] = field(default_factory=list)

    async def open(self, *, pool_size: int = 4) -> PostgresStore:
        """Another store on the same database, as another process would open it."""
        if self.opened and not self.takes_sessions:
            pytest.skip("this TimescaleDB build takes one session")
        store = await when_free(lambda: open_postgres(self.dsn, pool_size=pool_size))
        self.opened.append(store)
        return store

    async def execute(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Look into the database, or change it behind the store's back."""
        if self.opened:
            async with self.opened[0]._connections.acquire() as connection:
                rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
                return rows
        own = await when_free(lambda: asyncpg.connect(self.dsn))
        try:
            return await own.fetch(statement, *arguments)
        finally:
            await own.close()

    async def close(self) -> None:
        """Close what is open."""
        while self.opened:
            await self.opened.pop().close()


@pytest.fixture(scope="session")
def web_assembly_server() -> Iterator[Callable[[], WebAssemblyServer]]:
    """Starts the WebAssembly TimescaleDB of the session on first use."""
    servers: list[WebAssemblyServer] = []

    def started() -> WebAssemblyServer:
        if not servers:
            servers.append(WebAssemblyServer().__enter__())
        return servers[0]

    yield started
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
async def native_place(fresh_database: FreshDatabase) -> AsyncIterator[Place]:
    """An empty store on native partitions."""
    async with _native_place(fresh_database) as place:
        yield place


@asynccontextmanager
async def _native_place(fresh_database: FreshDatabase) -> AsyncIterator[Place]:
    place = Place(await fresh_database(SCHEMA))
    yield place
    await place.close()


@asynccontextmanager
async def _timescale_place(started: Callable[[], WebAssemblyServer]) -> AsyncIterator[Place]:
    """An empty store on TimescaleDB."""
    dsn = own_server_dsn()
    if dsn is None:
        server = started()
        await server.prepare()
        place = Place(server.dsn, takes_sessions=False)
        with server.types_asked_once():
            yield place
        await place.close()
        return
    async with _database_on(dsn) as own:
        await migrate(own, engine="timescale")
        place = Place(own)
        yield place
        await place.close()


@asynccontextmanager
async def _database_on(dsn: str) -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(8)}"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        yield urlsplit(dsn)._replace(path=f"/{name}").geturl()
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture(params=ENGINES)
async def place(
    request: pytest.FixtureRequest,
    fresh_database: FreshDatabase,
    web_assembly_server: Callable[[], WebAssemblyServer],
) -> AsyncIterator[Place]:
    """An empty store on each engine."""
    is_native = request.param == "native"
    made = _native_place(fresh_database) if is_native else _timescale_place(web_assembly_server)
    async with made as place:
        yield place


@pytest.fixture
async def store(place: Place) -> PostgresStore:
    """A store on each engine."""
    return await place.open()


@dataclass(frozen=True)
class Ward:
    """A patient with one device, assigned since long ago."""

    patient: UUID
    device: UUID
    assignment: Assignment


def patient(family: str = "Testperson", given: str = "One", **more: object) -> Patient:
    """A patient of the register."""
    fields: dict[str, object] = {
        "patient_id": uuid4(), "family": family, "given": given, "birth_date": None,
        "gender": "unknown", "identifiers": (), "commit_seq": 0, "updated_at": NOW,
    }  # fmt: skip
    return Patient(**{**fields, **more})  # type: ignore[arg-type]


async def admit(
    store: Store,
    *,
    device: str = DEVICE,
    user: int | None = None,
    since: datetime = NOW - timedelta(days=3650),
) -> Ward:
    """A new patient who has the device."""
    made = await store.put_patient(patient())
    device_id = await store.put_device(device)
    assignment = await store.assign(device_id, made.patient_id, user=user, valid_from=since)
    return Ward(made.patient_id, device_id, assignment)


def plain(row: ObservationRow) -> ObservationRow:
    """What the contract says of a row, whatever else the store keeps in it."""
    return ObservationRow(*(getattr(row, name) for name in ObservationRow.__struct_fields__))


async def all_rows(store: Store, query: ObservationQuery) -> list[ObservationRow]:
    """All pages of a search; fails when a page repeats the one before."""
    rows: list[ObservationRow] = []
    after = query.after
    seen: set[bytes] = set()
    while True:
        page = await store.observations(_following(query, after))
        rows += map(plain, page.rows)
        if page.next is None:
            return rows
        assert page.rows, "an empty page that says there is more"
        assert page.next not in seen
        seen.add(page.next)
        after = page.next


def _following(query: ObservationQuery, after: bytes | None) -> ObservationQuery:
    return replace(query, after=after)
