"""Removes what the rules say: from the index first, with tombstones, then the objects.

A study goes ``days`` after its last change, by a clock that is never ahead. A hold stands above
every rule. A crash in between leaves objects that nothing needs, which the next turn removes.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from wardlight_cloud.config import KeepSettings
from wardlight_cloud.imaging.metrics import REMOVED
from wardlight_cloud.imaging.removal_clock import RemovalClock
from wardlight_cloud.store.image_keeping import ImageKeepingStore, KeepRule
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_STUDIES_A_TURN: Final = 50
_OBJECTS_A_TURN: Final = 500
_FAILURES_A_TURN: Final = 5  # a store that is away says it of every object
_SHOWN_DIGITS: Final = 12


class Retention:
    """Applies the rules of ``[[images.keep]]``, in their order."""

    def __init__(
        self,
        store: ImageKeepingStore,
        objects: ObjectStore,
        rules: Sequence[KeepSettings],
        *,
        now: Callable[[], Awaitable[datetime | None]] | None = None,
    ) -> None:
        """``now``: as RemovalClock's."""
        self._store = store
        self._objects = objects
        self._rules = rules
        self._now = now or RemovalClock(store).now
        self._after = b""

    async def rules(self) -> tuple[KeepRule, ...]:
        """The rules as they are now; none while the clock cannot be believed."""
        now = await self._now()
        if now is None:
            return ()
        return tuple(
            KeepRule(
                _name(rule),
                now - timedelta(days=rule.days),
                rule.modalities,
                rule.unmatched,
            )
            for rule in self._rules
        )

    async def turn(self) -> bool:
        """Remove some; True when there is more."""
        has_more = False
        for rule in await self.rules():
            due = await self._store.due_studies(rule, count=_STUDIES_A_TURN)
            for study_uid in due:
                instances = await self._store.remove_study(study_uid, rule)
                REMOVED.inc(instances)
                _log.info("study removed", extra={"rule": rule.name, "instances": instances})
            has_more = has_more or len(due) == _STUDIES_A_TURN
        return await self.remove_unused() or has_more

    async def remove_unused(self) -> bool:
        """Remove a page of objects that nothing needs; True when there are more.

        One that cannot be removed now does not hold up the others: the next round tries it again.
        """
        unused = await self._store.unused_objects(count=_OBJECTS_A_TURN, after=self._after)
        failures = 0
        for sha256 in unused:
            try:
                await self._store.remove_unused(sha256, self._objects.delete)
            except StorageError as error:
                about = {"object": sha256.hex()[:_SHOWN_DIGITS], "error": str(error)}
                _log.warning("an object cannot be removed now", extra=about)
                failures += 1
                if failures == _FAILURES_A_TURN:
                    self._after = sha256
                    return False
        has_more = len(unused) == _OBJECTS_A_TURN
        self._after = unused[-1] if has_more else b""
        return has_more


def _name(rule: KeepSettings) -> str:
    parts = [f"{rule.days} days"]
    if rule.modalities:
        parts.append("+".join(rule.modalities))
    if rule.unmatched:
        parts.append("unmatched")
    return " ".join(parts)
