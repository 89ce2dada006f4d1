"""Commits as they become visible, from any collector."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from wardlight_cloud.store.base import Change
from wardlight_cloud.store.postgres.errors import storage_call, storage_errors
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError

_SQL: Final = statements("ingest")
_CHANNEL: Final = "wardlight_commit"
_ASK_S: Final = 5.0
"""After this long without a notice the table is asked: a dead connection says nothing."""


class Ear:
    """The newest commit heard of; it is set by the driver's callbacks and awaited by one task."""

    def __init__(self) -> None:
        self.newest = 0
        self.is_lost = False
        self._heard = asyncio.Event()

    def hear(self, payload: str) -> None:
        """A notice: of a commit, by its number, or of anything else."""
        if payload.isdigit():
            self.newest = max(self.newest, int(payload))
        self._heard.set()

    def lose(self) -> None:
        """The connection is gone."""
        self.is_lost = True
        self._heard.set()

    async def wait(self, timeout_s: float) -> None:
        """Until there is news, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._heard.wait()
        except TimeoutError:
            return
        self._heard.clear()


class ChangesPart(Part):
    """See ReadStore.changes."""

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[Change]]:
        """See ReadStore; the iterator raises StorageError when its connection is lost."""
        ear = Ear()
        async with AsyncExitStack() as stack:
            with storage_errors("changes"):
                listening = self._connections.listen(_CHANNEL, ear.hear, ear.lose)
                await stack.enter_async_context(listening)
            ear.newest = max(ear.newest, await self._newest())
            yield self._changes(ear, ear.newest)

    async def _changes(self, ear: Ear, seen: int) -> AsyncIterator[Change]:
        while True:
            await ear.wait(_ASK_S)
            if ear.is_lost:
                raise StorageError("changes: the listening connection was lost")
            if ear.newest == seen:
                ear.newest = max(ear.newest, await self._newest())
            if ear.newest > seen:
                seen = ear.newest
                yield Change(seen)

    @storage_call
    async def _newest(self) -> int:
        async with self._connections.acquire() as connection:
            return int(await connection.fetchval(_SQL["newest_commit"]))
