"""Reads objects and compares their hashes, slowly and for ever; what it finds is shown.

Every object is read once in ``scrub_days``. The pace is a limit in octets a second, so that nobody
who looks at images notices.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from wardlight_cloud.imaging.metrics import CHECKED
from wardlight_cloud.imaging.object_check import judged
from wardlight_cloud.store.image_keeping import FindingKind, ImageKeepingStore, StoredObject
from wardlight_cloud.store.object_base import ObjectStore

_log = logging.getLogger(__name__)
_OBJECTS_A_TURN: Final = 200
_TURN_S: Final = 60.0
_SHOWN_DIGITS: Final = 12
_IN_FLIGHT: Final = timedelta(minutes=15)
_BATCH: Final = 500
_FINDINGS_MOST: Final = 100_000


class Scrub:
    """Checks objects; a turn is at most a minute of it."""

    def __init__(
        self,
        store: ImageKeepingStore,
        objects: ObjectStore,
        *,
        days: int,
        bytes_per_s: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._objects = objects
        self._days = days
        self._bytes_per_s = bytes_per_s
        self._now = now
        self._clock = clock
        self._pause = pause

    async def turn(self) -> bool:
        """Check what is due; True when there is more."""
        due = await self._store.objects_to_check(
            before=self._now() - timedelta(days=self._days), count=_OBJECTS_A_TURN
        )
        end = self._clock() + _TURN_S
        for each in due:
            await self.check(each)
            if self._clock() > end:
                return True
        return len(due) == _OBJECTS_A_TURN

    async def check(self, stored: StoredObject) -> FindingKind | None:
        """Check one object and note what is wrong with it; None = nothing.

        Nothing is noted of one that was replaced while it was read.
        """
        found = await judged(self._objects, stored.sha256, pieces=self._paced, pause=self._pause)
        await self._store.note_check(stored.sha256, found, seen=stored)
        CHECKED.labels(found or "none").inc()
        if found is not None:
            # An operator finds the object by it in `images scrub`; it says nothing of a patient.
            about = {"object": stored.sha256.hex()[:_SHOWN_DIGITS], "finding": found}
            _log.error("an object is not as it was stored", extra=about)
        return found

    async def note_unindexed(self) -> None:
        """Find objects that neither the index knows nor an operator; open findings of others end.

        What came a moment ago is on its way to the index, and is left to the next look.
        """
        unindexed: set[bytes] = set()
        batch: list[bytes] = []
        async for found, _ in self._objects.hashes():
            batch.append(found)
            if len(batch) == _BATCH:
                unindexed |= await self._strays(batch)
                batch = []
        unindexed |= await self._strays(batch)
        for each in unindexed:
            await self._store.note_check(each, "unindexed")
        for finding in await self._store.findings(count=_FINDINGS_MOST):
            store = self._store
            counts = store.indexed if finding.kind == "unindexed" else store.accounted
            if finding.sha256 not in unindexed | await counts([finding.sha256]):
                await self._store.note_check(finding.sha256, None)

    async def _strays(self, batch: list[bytes]) -> set[bytes]:
        accounted = await self._store.accounted(batch)
        youngest = self._now() - _IN_FLIGHT
        strays = set()
        for each in batch:
            if each not in accounted:
                at = await self._objects.stored_at(each)
                if at is not None and at < youngest:
                    strays.add(each)
        return strays

    async def _paced(self, sha256: bytes) -> AsyncIterator[bytes]:
        async for piece in self._objects.stream(sha256):
            started = self._clock()
            yield piece
            left_s = len(piece) / self._bytes_per_s - (self._clock() - started)
            if left_s > 0:
                await self._pause(left_s)
