"""What waits for a quiet moment: room made, the reserve held, an old file worked through."""

import logging

from wardlight_edge.outbox.base import Level
from wardlight_edge.outbox.open_outbox import OpenOutbox
from wardlight_edge.outbox.space import Space

_log = logging.getLogger(__name__)


class Upkeep:
    """Does one step at a time; ``thinned`` counts the records removed by policy."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.thinned = 0

    def step(self, now: OpenOutbox) -> bool:
        """Do the most pressing step; True = there is more."""
        space = self._space
        if space.is_out:
            space.recover(now.database)
        else:
            space.hold_reserve()
            space.measure(now.database)
        if space.wants_thinning and self.thin(now):
            return True
        if self.may_salvage(now):
            now.salvage.step(now.moment())
            return True
        return space.shrink(now.database)

    def thin(self, now: OpenOutbox) -> int:
        """Remove some expendable records; return how many."""
        removed = now.thinner.step(now.moment())
        if removed:
            self.thinned += removed
            self._space.measure(now.database)
            _log.warning("outbox nearly full: thinned by policy", extra={"records": removed})
        return removed

    def may_salvage(self, now: OpenOutbox) -> bool:
        """Whether rows of an old file wait, and there is room for them."""
        return now.salvage.is_running and self._space.level is not Level.FULL
