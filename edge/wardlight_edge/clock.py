"""The gateway's clocks behind one Protocol, so that tests inject time instead of patching it."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from wardlight_shared.timestamps import OFFSET_LIMIT_MIN

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Monotonic and wall time of this machine."""

    def mono_ms(self) -> int:
        """Milliseconds since boot; counts through suspend."""

    def wall_ms(self) -> int:
        """Wall clock in ms since 1970-01-01T00:00:00Z, trusted or not."""

    def offset_min(self) -> int:
        """Local offset from UTC in minutes, now."""

    def boot_id(self) -> str:
        """Text that differs from boot to boot."""


class SystemClock:
    """The kernel's clocks."""

    def mono_ms(self) -> int:
        """CLOCK_BOOTTIME in ms."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> int:
        """CLOCK_REALTIME in ms."""
        return time.time_ns() // 1_000_000

    def offset_min(self) -> int:
        """Offset of the machine's time zone; 0 for a zone that no place has, as TZ=X-20."""
        offset = datetime.now(UTC).astimezone().utcoffset()
        minutes = 0 if offset is None else int(offset.total_seconds() // 60)
        return minutes if abs(minutes) <= OFFSET_LIMIT_MIN else 0

    def boot_id(self) -> str:
        """The kernel's boot id."""
        return _BOOT_ID.read_text(encoding="ascii").strip()
