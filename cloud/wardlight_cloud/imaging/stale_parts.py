"""Forgets what arrived of objects that nobody goes on with: a gateway that is gone, a lost spool.

A gateway that comes back after that sends the object from its beginning.
"""

import logging
from typing import Final

from wardlight_cloud.store.object_base import ObjectStore

_log = logging.getLogger(__name__)
AFTER_S: Final = 7 * 24 * 3600.0


class StaleParts:
    """The job."""

    def __init__(self, objects: ObjectStore, *, after_s: float = AFTER_S) -> None:
        self._objects = objects
        self._after_s = after_s

    async def turn(self) -> bool:
        """One look; there is never more to do at once."""
        dropped = await self._objects.drop_stale_parts(self._after_s)
        if dropped:
            _log.warning("objects that never became whole are forgotten", extra={"count": dropped})
        return False
