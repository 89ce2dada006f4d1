"""A ward without an API, and a receiver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.mllp_receiver import MllpReceiver, mllp_receiver
from support.postgres import FreshDatabase
from support.served_ward import WARD, Ward, open_ward


@pytest.fixture
async def ward(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Ward]:
    """Two patients, three devices, no readings."""
    opened = await open_ward(await fresh_database(WARD), tmp_path)
    yield opened
    await opened.store.close()


@pytest.fixture
async def receiver() -> AsyncIterator[MllpReceiver]:
    """A receiver that takes everything."""
    async with mllp_receiver() as receiver:
        yield receiver
