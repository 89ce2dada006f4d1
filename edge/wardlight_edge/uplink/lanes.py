"""Which records go next: alarm and live strictly first, backfill with a floor, bulk takes the rest.

Pure. Backfill is paced by the time its acks take: on a fast link it fills the window, on a slow one
it keeps so little in flight that a live record never waits long behind it.
"""

from typing import Final

from wardlight_edge.outbox.base import Choice

SMALLEST_BYTES: Final = 2 * 1024
LARGEST_BYTES: Final = 60 * 1024
_QUICK_S: Final = 0.5
_SLOW_S: Final = 1.0
_MOST_FLOOR: Final = 0.99
_LIVE_RESERVE: Final = 4  # places of the window that only alarm and live may use


class Scheduler:
    """``floor`` is the share of the sent bytes that backfill gets even while live is waiting.

    Every other byte sent earns backfill a part of one. What it has earned goes before live as
    soon as it is worth a message, and no more than that: a live record never waits behind a large
    batch for the sake of the floor.
    """

    def __init__(self, floor: float) -> None:
        floor = min(floor, _MOST_FLOOR)
        self._earned_per_byte = floor / (1.0 - floor)
        self._owed_bytes = 0.0

    @property
    def owed_bytes(self) -> int:
        """Bytes of backfill that go before live now; 0 = none."""
        return int(self._owed_bytes) if self._owed_bytes >= SMALLEST_BYTES else 0

    def order(self, *, backfill_allowed: bool, free: int) -> tuple[Choice, ...]:
        """Choices to try, best first. ``free`` places of the window are left."""
        if not backfill_allowed or free <= _LIVE_RESERVE:
            return (Choice.ALARM, Choice.LIVE)
        if self.owed_bytes:
            return (Choice.ALARM, Choice.BACKFILL, Choice.LIVE, Choice.BULK)
        return (Choice.ALARM, Choice.LIVE, Choice.BACKFILL, Choice.BULK)

    def sent(self, choice: Choice, size_bytes: int) -> None:
        """Note what was sent."""
        if choice is Choice.BACKFILL:
            self._owed_bytes = max(0.0, self._owed_bytes - size_bytes)
        else:
            earned = size_bytes * self._earned_per_byte
            self._owed_bytes = min(LARGEST_BYTES, self._owed_bytes + earned)

    def nothing_to_backfill(self) -> None:
        """There is no backlog: nothing is owed to it."""
        self._owed_bytes = 0.0


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
