"""Moves old objects to the second place, one after the other.

An object is copied, read back and compared, then the first copy goes, then the index says where it
is; reading looks in both places. A move that a crash has broken off is ended by the next turn. What
cannot be moved stays where it is, and does not hold up what comes after it; where that is because
it is damaged, there is a finding.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from wardlight_cloud.imaging.metrics import CHECKED, MOVED
from wardlight_cloud.imaging.object_check import Pause, judged
from wardlight_cloud.store.image_keeping import ImageKeepingStore, StoredObject
from wardlight_cloud.store.object_base import ObjectMissingError
from wardlight_cloud.store.object_whole import is_whole
from wardlight_cloud.store.tiered_objects import TieredObjects
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_OBJECTS_A_TURN: Final = 50
_FAILURES_A_TURN: Final = 5  # a store that is away says it of every object
_SHOWN_DIGITS: Final = 12


class Cooling:
    """Moves objects that were stored more than ``after_days`` ago."""

    def __init__(
        self,
        store: ImageKeepingStore,
        objects: TieredObjects,
        *,
        after_days: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._store = store
        self._objects = objects
        self._after_days = after_days
        self._now = now
        self._pause = pause
        self._after: StoredObject | None = None

    async def turn(self) -> bool:
        """Move a page of them; True when there are more."""
        before = self._now() - timedelta(days=self._after_days)
        due = await self._store.objects_to_cool(
            before=before, count=_OBJECTS_A_TURN, after=self._after
        )
        failures = 0
        for each in due:
            failures += not await self._is_answered(each)
            if failures == _FAILURES_A_TURN:
                self._after = each
                return False
        has_more = len(due) == _OBJECTS_A_TURN
        self._after = due[-1] if has_more else None
        return has_more

    async def _is_answered(self, stored: StoredObject) -> bool:
        """Move one; False where a store did not answer, which the next round tries again."""
        try:
            await self._move(stored)
        except StorageError as error:
            about = {"object": stored.sha256.hex()[:_SHOWN_DIGITS], "error": str(error)}
            _log.warning("an object cannot be moved now", extra=about)
            return False
        return True

    async def _move(self, stored: StoredObject) -> None:
        sha256 = stored.sha256
        if not await is_whole(self._objects.cold, sha256) and not await self._copied(sha256):
            await self._note_damage(stored)
            return
        # In this order: what the index takes for hot still is looked at again by the next turn.
        await self._objects.hot.delete(sha256)
        await self._store.set_tier([sha256], "cold")
        MOVED.inc()

    async def _note_damage(self, stored: StoredObject) -> None:
        """What a check would find in its time is found now: it is given out no longer."""
        found = await judged(self._objects, stored.sha256, pause=self._pause)
        about = {"object": stored.sha256.hex()[:_SHOWN_DIGITS]}
        if found is None:
            _log.warning("an object cannot be moved: its copy is not as it should be", extra=about)
            return
        await self._store.note_check(stored.sha256, found, seen=stored)
        CHECKED.labels(found).inc()
        text = "an object cannot be moved: it is not as it was stored"
        _log.error(text, extra={**about, "finding": found})

    async def _copied(self, sha256: bytes) -> bool:
        """Only what was put there now is taken away again: the rest may be the one good copy."""
        try:
            if not await self._objects.copy_to_cold(sha256):
                return False
        except ObjectMissingError:
            return False
        if await is_whole(self._objects.cold, sha256):
            return True
        await self._objects.cold.delete(sha256)
        return False
