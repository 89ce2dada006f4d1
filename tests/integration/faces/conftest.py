"""A ward of two patients behind the API, on a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.postgres import FreshDatabase
from support.served_ward import WARD, Ward, open_ward


@pytest.fixture
async def ward(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Ward]:
    """Two patients, three devices, no readings."""
    opened = await open_ward(await fresh_database(WARD), tmp_path)
    yield opened
    await opened.store.close()
