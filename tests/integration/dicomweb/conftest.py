"""An archive over a real store for the tests of a file: its processes start once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.image_archive import WARD, Archive, opened_archive
from support.postgres import TestServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    """An archive, empty at the beginning of a file."""
    name = await postgres_server.clone(WARD)
    folder = tmp_path_factory.mktemp("archive")
    async with opened_archive(postgres_server.server.dsn_of(name), folder) as opened:
        yield opened
    await postgres_server.drop(name)
