"""How long the spool has existed, in ms: what deadlines and retention are counted in.

A gateway may start in 1970 and be told the time by NTP an hour later, or be told a wrong one. What
is due by the wall clock would then be due at once, or never. The age counts by the monotonic clock
while the machine is up, also while the imaging process is down. For the time between two boots it
takes the wall clock's word where the kernel called it synchronised before and after; otherwise that
time does not count: a deadline comes late then, and never early. What was noted between those two
moments counts as noted after all of that time, which nobody can tell better.

Of such a time no more than LONGEST_OFF_MS counts: behind more is rather a clock that was wrong.

Of the imaging process alone. It goes back by ``KEEP_EVERY_MS`` at most, after a power cut.

Errors  StorageError
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.ntp import kernel_clock
from wardlight_edge.spool.database import Database, Transaction

KEEP_EVERY_MS: Final = 300_000
LONGEST_OFF_MS: Final = 90 * 24 * 3_600_000
AGES: Final = (
    ("step", "changed_at"),
    ("item", "noticed_at"),
    ("commitment", "asked_at"),
    ("commitment", "next_at"),
)
"""Tables and columns that hold ages."""


class _Anchor(msgspec.Struct, frozen=True):
    """A moment at which the wall clock was synchronised."""

    age_ms: int
    wall_ms: int
    boot: str


_NO_ANCHOR: Final = _Anchor(0, 0, "")


def clock_is_set() -> bool:
    """Whether the kernel says that its clock is synchronised."""
    return kernel_clock() is not None


class Age:
    """The age of the spool that is in this database; any thread may call."""

    def __init__(
        self, database: Database, clock: Clock, *, is_set: Callable[[], bool] = clock_is_set
    ) -> None:
        self._database = database
        self._clock = clock
        self._is_set = is_set
        self._changed = threading.Condition()
        self._is_moving = False
        self._holders = 0
        self._begin_ms = clock.mono_ms()
        self._begin_age_ms, self._anchor = self._read()
        self._kept_ms = self._begin_ms - KEEP_EVERY_MS

    def now_ms(self) -> int:
        """The age now; never less than before. For what is written with it: ``held``."""
        return self._now_ms()

    @contextmanager
    def held(self) -> Iterator[int]:
        """The age now, which does not move before the block ends: for what is written with it.

        What is written with an age of before a move, and after it, would be older than it is, and
        its deadline come early. The block must not ask for the age again.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_moving)
            self._holders += 1
            now_ms = self._now_ms()
        try:
            yield now_ms
        finally:
            with self._changed:
                self._holders -= 1
                self._changed.notify_all()

    def keep(self, *, at_once: bool = False) -> None:
        """Write it down, every KEEP_EVERY_MS; to be called often.

        Ages in the tables move in one transaction, while nobody is about to write one, and then the
        age itself: whoever meets the age of before and rows of after waits too long, not too
        little. Where that fails nothing has moved, and the next call tries again.
        """
        if not at_once and self._clock.mono_ms() - self._kept_ms < KEEP_EVERY_MS:
            return
        with self._still():
            mono_ms = self._clock.mono_ms()
            off_ms, anchor = self._next_anchor() if self._is_set() else (0, self._anchor)
            self._write(self._age_at(mono_ms) + off_ms, mono_ms, anchor, off_ms)
            self._begin_age_ms += off_ms
            self._anchor, self._kept_ms = anchor, mono_ms

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Nobody else has the age."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_moving)
            self._is_moving = True
            self._changed.wait_for(lambda: not self._holders)
        try:
            yield
        finally:
            with self._changed:
                self._is_moving = False
                self._changed.notify_all()

    def _write(self, age_ms: int, mono_ms: int, anchor: _Anchor | None, off_ms: int) -> None:
        kept = anchor or _NO_ANCHOR
        row = (
            age_ms, mono_ms, self._clock.boot_id(), kept.age_ms, kept.wall_ms, kept.boot,
        )  # fmt: skip
        before = self._anchor or _NO_ANCHOR

        def change(changes: Transaction) -> None:
            for table, column in AGES if off_ms else ():
                changes.execute(
                    f"UPDATE {table} SET {column} = {column} + ?"  # noqa: S608 - constants
                    f" WHERE {column} > ?",
                    (off_ms, before.age_ms),
                )
            changes.execute("REPLACE INTO age VALUES (1, ?, ?, ?, ?, ?, ?)", row)

        self._database.write(change)

    def _now_ms(self) -> int:
        return self._age_at(self._clock.mono_ms())

    def _age_at(self, mono_ms: int) -> int:
        return self._begin_age_ms + mono_ms - self._begin_ms

    def _next_anchor(self) -> tuple[int, _Anchor]:
        """The time between two boots, once both clocks are known to have been right, or 0."""
        now_ms, wall_ms, boot = self._now_ms(), self._clock.wall_ms(), self._clock.boot_id()
        before, off_ms = self._anchor, 0
        if before is not None and before.boot != boot:
            off_ms = before.age_ms + wall_ms - before.wall_ms - now_ms
            off_ms = min(max(0, off_ms), LONGEST_OFF_MS)
        return off_ms, _Anchor(now_ms + off_ms, wall_ms, boot)

    def _read(self) -> tuple[int, _Anchor | None]:
        rows = self._database.rows(
            "SELECT age_ms, mono_ms, boot, anchor_age_ms, anchor_wall_ms, anchor_boot FROM age"
        )
        if not rows:
            return 0, None
        age_ms, mono_ms, boot, *anchor = rows[0]
        if boot == self._clock.boot_id():
            age_ms += max(0, self._begin_ms - mono_ms)
        return age_ms, _Anchor(*anchor) if anchor[2] else None
