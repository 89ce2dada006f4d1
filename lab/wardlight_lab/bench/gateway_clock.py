"""The clock of a gateway that was up for days: a backlog of days needs days of uptime."""

from typing import Final

from wardlight_edge.clock import SystemClock

HOUR_MS: Final = 3_600_000


class AgedClock(SystemClock):
    """The system's clocks in another boot, which began ``hours`` (and some) before this one."""

    def __init__(self, hours: int) -> None:
        self._added_ms = (hours + 2) * HOUR_MS

    def mono_ms(self) -> int:
        """Milliseconds since that boot."""
        return super().mono_ms() + self._added_ms

    def boot_id(self) -> str:
        """Not the running boot's."""
        return "an earlier boot, made for a measurement"
