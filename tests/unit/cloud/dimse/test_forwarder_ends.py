"""The forwarder ends when it is told to, also at the moment when a group ends."""

import asyncio
from typing import Any

import pytest

from wardlight_cloud.dimse.forwarder import Forwarder

_LIMIT_S = 60


class Nothing:
    """A store in which nothing is due."""

    def __init__(self) -> None:
        self.is_looked_at = asyncio.Event()

    async def forward_new(self, **_: Any) -> bool:
        return False

    async def take_items(self, **_: Any) -> list[Any]:
        return []

    async def forward_status(self) -> list[Any]:
        self.is_looked_at.set()
        return []


async def test_a_group_that_ends_keeps_no_end_away() -> None:
    store: Any = Nothing()
    forwarder = Forwarder(store, store, store, store, store, store)
    running = asyncio.create_task(forwarder.run(look_s=3600))
    await asyncio.wait_for(store.is_looked_at.wait(), _LIMIT_S)
    await asyncio.sleep(0)  # it waits for the next look
    forwarder._group_ended.set()
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=_LIMIT_S)
    assert done, "it goes on looking for work"
    with pytest.raises(asyncio.CancelledError):
        await running
