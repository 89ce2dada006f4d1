"""What time it is for rules that remove: none is believed that runs ahead of the others.

A clock that is set wrong would make everything old at once. So it is never later than this machine
and the database say, and two days after

- the newest commit. One that follows a gap was stamped by a clock that may have been set meanwhile:
  until commits go on for two days after it, the last one before the gap counts in its place. One
  that is later than the clocks is of a clock that was set right since, and says nothing.
- what gateways that brought images lately told by their own clocks.

Where the clock of this machine has moved an hour further than its steady one, nothing is removed
for a day, or until it is put right.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from wardlight_cloud.store.image_keeping import COMMITS_SPAN, Times

_log = logging.getLogger(__name__)
_QUIET: Final = timedelta(days=2)  # without a commit
_AHEAD: Final = timedelta(minutes=5)  # commits of one moment are a millisecond apart
_JUMP_S: Final = 3600.0
_BELIEVED_S: Final = 86400.0


class TimesStore(Protocol):
    """What this asks of the database."""

    async def times(self) -> Times:
        """See ImageKeepingStore."""


class RemovalClock:
    """Tells the time by which something is old enough to go."""

    def __init__(
        self,
        store: TimesStore,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._wall = wall
        self._steady = steady
        self._seen = (wall(), steady())
        self._jumped_at: float | None = None

    async def now(self) -> datetime | None:
        """The earliest of the clocks; None = this machine's was moved, nothing may go now."""
        if self._has_jumped():
            return None
        times = await self._store.times()
        now = min(self._wall(), times.now)
        bounds = {"commits": _last_commit(times, now), "gateways": times.received}
        for whose, last in bounds.items():
            if last is not None and last + _QUIET < now:
                now = last + _QUIET
                _log.warning("rules on images go by an earlier clock", extra={"clock": whose})
        return now

    def _has_jumped(self) -> bool:
        wall, steady = self._wall(), self._steady()
        seen_wall, seen_steady = self._seen
        ahead_s = (wall - seen_wall).total_seconds() - (steady - seen_steady)
        if self._jumped_at is None and ahead_s > _JUMP_S:
            self._jumped_at = steady
        is_believed = self._jumped_at is None or steady - self._jumped_at > _BELIEVED_S
        if is_believed or ahead_s <= _JUMP_S:
            self._jumped_at = None
            self._seen = (wall, steady)
            return False
        _log.error("the clock was moved: no rule removes images", extra={"ahead_s": int(ahead_s)})
        return True


def _last_commit(times: Times, now: datetime) -> datetime | None:
    """The last commit whose time may be believed; None: they say nothing."""
    newest, before = times.newest, times.before
    if newest is None or newest > now + _AHEAD:
        return None
    has_gap = before is not None and newest - before > COMMITS_SPAN + _QUIET
    return before if has_gap else newest
