"""Time that moves only when it is told to: for the gateway, and for the devices beside it."""

from datetime import UTC, datetime
from typing import Final

from wardlight_lab.devices.encoding import DeviceClock

BEGIN: Final = datetime(2026, 11, 1, tzinfo=UTC)
UPTIME_MS: Final = 60_000


class SteppedClock:
    """Implements ``wardlight_edge.clock.Clock``; both of its clocks move together."""

    def __init__(self) -> None:
        self.elapsed_ms = 0

    def mono_ms(self) -> int:
        """Milliseconds since boot."""
        return UPTIME_MS + self.elapsed_ms

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(BEGIN.timestamp() * 1000) + self.elapsed_ms

    def offset_min(self) -> int:
        """The gateway stands in UTC."""
        return 0

    def boot_id(self) -> str:
        """One boot."""
        return "soak"

    def step(self, milliseconds: int) -> None:
        """Time passes."""
        self.elapsed_ms += milliseconds


class SteppedDeviceClock(DeviceClock):
    """The clock of a device that is never wrong."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        """What the device shows."""
        return datetime.fromtimestamp(self._clock.wall_ms() / 1000, self.zone)
