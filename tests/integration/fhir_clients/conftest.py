"""One served ward for the tests of a file."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.postgres import TestServer
from support.served_clients import Served, served_clients
from support.served_ward import WARD


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """Started once for the file."""
    name = await postgres_server.clone(WARD)
    dsn = postgres_server.server.dsn_of(name)
    async with served_clients(dsn, tmp_path_factory.mktemp("clients")) as served:
        yield served
    await postgres_server.drop(name)
