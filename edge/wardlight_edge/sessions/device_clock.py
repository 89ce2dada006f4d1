"""A device's clock on the running link: what it showed before it was set, and what it was set to.

Two bases may be in play: what the device stored before the write is dated by the clock as it was
read, what it measures after by the clock as it was set. A stamp belongs to the second when it
came after the write, is not before the moment written and not ahead of the clock set.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.devices import current_time
from wardlight_edge.sessions.times import local_device_s
from wardlight_shared.errors import DecodeError
from wardlight_shared.timestamps import DeviceClock, datetime_from_utc_ms, device_seconds

TOLERATED_S = 2  # both clocks are read to the second
PLAUSIBLE_MS = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000)


def is_after_release(clock: Clock) -> bool:
    """Whether the wall clock can be right at all: a board without battery wakes up in 1970."""
    return clock.wall_ms() >= PLAUSIBLE_MS


class LinkClock(msgspec.Struct, frozen=True):
    """The clock of a device as one link knows it.

    read     what it showed, before it was set; None = not read, or not set
    written  what it was set to; None = it was left alone
    """

    read: DeviceClock | None = None
    written: DeviceClock | None = None

    def clock_for(self, device_s: int | None, receipt_mono_ms: int) -> DeviceClock | None:
        """The clock that dates a stamp of ``device_s`` received at ``receipt_mono_ms``."""
        clock = self.written
        if clock is None or device_s is None or receipt_mono_ms < clock.mono_ms:
            return self.read
        now_s = clock.device_s + (receipt_mono_ms - clock.mono_ms) // 1000
        return clock if clock.device_s <= device_s <= now_s + TOLERATED_S else self.read

    def moved(self, by_ms: int) -> "LinkClock":
        """The same clock on a monotonic clock that is ahead by so much."""
        return LinkClock(_moved(self.read, by_ms), _moved(self.written, by_ms))


class DeviceClockKeeper:
    """Implements ``transports.base.DeviceClockSetter``.

    is_trusted  whether the gateway knows the time well enough to set a device by it
    """

    def __init__(self, clock: Clock, is_trusted: Callable[[], bool]) -> None:
        self._clock = clock
        self._is_trusted = is_trusted
        self.on_link = LinkClock()
        """What the running link knows, or the one that ended last."""

    def link_up(self, mono_ms: int) -> None:
        """A link came up at this moment: nothing is known of the device's clock.

        The session learns of it later than the transport, which may have set the clock meanwhile.
        """
        written = self.on_link.written
        is_of_this_link = written is not None and written.mono_ms >= mono_ms
        self.on_link = LinkClock(written=written if is_of_this_link else None)

    def shown(self, clock: DeviceClock) -> None:
        """The clock was read, before it was set."""
        self.on_link = msgspec.structs.replace(self.on_link, read=clock)

    def octets_for(self, channel: str, shown: bytes | None) -> bytes | None:
        """Octets that set the clock to the gateway's local time; None when it is right."""
        if not self._is_trusted():
            return None
        wall_ms, offset_min = self._clock.wall_ms(), self._clock.offset_min()
        seconds = _seconds(channel, shown)
        right = local_device_s(wall_ms, offset_min)
        if seconds is not None and abs(right - seconds) <= TOLERATED_S:
            return None
        zone = timezone(timedelta(minutes=offset_min))
        return current_time.encode(channel, datetime_from_utc_ms(wall_ms).astimezone(zone))

    def written(self, channel: str) -> None:
        """The device has taken the octets."""
        del channel
        seconds = local_device_s(self._clock.wall_ms(), self._clock.offset_min())
        clock = DeviceClock(seconds, self._clock.mono_ms())
        self.on_link = msgspec.structs.replace(self.on_link, written=clock)


def _moved(clock: DeviceClock | None, by_ms: int) -> DeviceClock | None:
    return None if clock is None else DeviceClock(clock.device_s, clock.mono_ms + by_ms)


def _seconds(channel: str, shown: bytes | None) -> int | None:
    if shown is None:
        return None
    try:
        clock = current_time.decode(channel, shown)
    except DecodeError:
        return None
    return None if clock.time is None or not clock.is_set else device_seconds(clock.time)
