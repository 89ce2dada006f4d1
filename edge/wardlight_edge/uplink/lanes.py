"""Which records go next: alarm and live strictly first, backfill with a floor, bulk takes the rest.

Pure. Backfill is paced by the time its acks take: on a fast link it fills the window, on a slow one
it keeps so little in flight that a live record never waits long behind it.
"""

from typing import Final

from wardlight_edge.outbox.base import Choice

_MEMORY: Final = 64.0  # messages over which shares are remembered
SMALLEST_BYTES: Final = 2 * 1024
LARGEST_BYTES: Final = 60 * 1024
_QUICK_S: Final = 0.5
_SLOW_S: Final = 1.0
_LIVE_RESERVE: Final = 4  # places of the window that only alarm and live may use


class Scheduler:
    """``floor`` is the share of the sent bytes that backfill gets even while live is waiting."""

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._all_bytes = 0.0
        self._backfill_bytes = 0.0

    def order(self, *, backfill_allowed: bool, free: int) -> tuple[Choice, ...]:
        """Choices to try, best first. ``free`` places of the window are left."""
        urgent = (Choice.ALARM, Choice.LIVE)
        if not backfill_allowed or free <= _LIVE_RESERVE:
            return urgent
        is_owed = self._backfill_bytes < self._floor * self._all_bytes
        # A few live messages are no reason to let a large batch of backlog go before the next.
        if is_owed and self._all_bytes >= LARGEST_BYTES:
            return (Choice.ALARM, Choice.BACKFILL, Choice.LIVE, Choice.BULK)
        return (*urgent, Choice.BACKFILL, Choice.BULK)

    def sent(self, choice: Choice, size_bytes: int) -> None:
        """Note what was sent; old traffic fades."""
        fade = 1.0 - 1.0 / _MEMORY
        self._all_bytes = self._all_bytes * fade + size_bytes
        more = size_bytes if choice is Choice.BACKFILL else 0
        self._backfill_bytes = self._backfill_bytes * fade + more

    def nothing_to_backfill(self) -> None:
        """There is no backlog: nothing is owed to it."""
        self._all_bytes = self._backfill_bytes = 0.0


class Pace:
    """How many bytes of backlog may be in flight, learned from how long acks take."""

    def __init__(self, window: int) -> None:
        self._most = window * LARGEST_BYTES
        self._allowance = float(LARGEST_BYTES)

    @property
    def allowance_bytes(self) -> int:
        """Bytes of backfill and bulk that may wait for their acks."""
        return int(self._allowance)

    @property
    def batch_bytes(self) -> int:
        """Size of the next batch of backlog: a quarter of the allowance, within the limits."""
        return int(min(LARGEST_BYTES, max(SMALLEST_BYTES, self._allowance / 4)))

    def acked(self, size_bytes: int, took_s: float) -> None:
        """Learn from one ack."""
        if took_s < _QUICK_S:
            self._allowance = min(self._most, self._allowance + size_bytes)
        elif took_s > _SLOW_S:
            self._allowance = max(SMALLEST_BYTES, self._allowance * 0.7)

    def lost(self) -> None:
        """A batch was given up."""
        self._allowance = max(SMALLEST_BYTES, self._allowance / 2)
