"""Time rules as pure functions: device clocks, clock anchors, error bounds.

Three times exist: the device's own as sent (DeviceTime, no zone), the gateway's receipt on its
monotonic clock (ms since boot), and UTC, which is resolved when sending, from an anchor. Rows are
never rewritten. All UTC numbers are ms since 1970-01-01T00:00:00Z.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final

import msgspec

from wardlight_shared.model import DeviceTime

DEVICE_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - a device's wall clock has no zone
DEVICE_EPOCH_MS: Final = 946_684_800_000  # the same as if its wall clock were UTC
DRIFT_PPM: Final = 100  # crystal of a gateway or a device, IEEE 11073-20601 asks for no better
OFFSET_LIMIT_MIN: Final = 14 * 60  # no place is further from UTC; FHIR R4 2.24.0.1, dateTime
FUTURE_LIMIT_MS: Final = 5 * 60 * 1000
FAR_LIMIT_MS: Final = 24 * 3600 * 1000
DEVICE_RESOLUTION_MS: Final = 1000


class ClockQuality(IntEnum):
    """How a gateway knew UTC. Wire code = value."""

    UNKNOWN = 0
    ESTIMATED = 1  # wall clock restored from disk or set by hand
    SERVER = 2  # collector's time with round trip
    NTP = 3  # the kernel says the clock is synchronised


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """At ``mono_ms`` of ``boot`` it was ``utc_ms``, within +- ``error_ms`` (None = no bound).

    is_turn  the gateway's line from monotonic clock to UTC turns here (set when it is kept)
    """

    boot: int
    mono_ms: int
    utc_ms: int
    error_ms: int | None
    quality: ClockQuality
    is_turn: bool = False


class Resolved(msgspec.Struct, frozen=True):
    """A monotonic moment as UTC."""

    utc_ms: int
    error_ms: int | None
    quality: ClockQuality


class DeviceClock(msgspec.Struct, frozen=True):
    """A device's clock read before it was set: it showed ``device_s`` at ``mono_ms``."""

    device_s: int
    mono_ms: int


def utc_ms_from_datetime(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    if moment.tzinfo is None:
        raise ValueError("naive datetime")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def datetime_from_utc_ms(utc_ms: int) -> datetime:
    """Aware UTC datetime of milliseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=utc_ms)


def device_seconds(time: DeviceTime) -> int | None:
    """Seconds since 2000-01-01T00:00:00 on the device's clock; None when the date is not a date."""
    try:
        moment = datetime(time.year, time.month, time.day, time.hour, time.minute, time.second)  # noqa: DTZ001 - device wall clock
    except ValueError:
        return None
    return (moment - DEVICE_EPOCH) // timedelta(seconds=1)


def device_isoformat(device_s: int) -> str:
    """Device seconds as ``YYYY-MM-DDTHH:MM:SS``, no zone."""
    return (DEVICE_EPOCH + timedelta(seconds=device_s)).isoformat()


def age_on_device_clock(
    measured_s: int, clock: DeviceClock, receipt_mono_ms: int
) -> tuple[int, int]:
    """Return (age_ms, error_ms) of a reading the device stamped ``measured_s``.

    The age is receipt minus measurement, so it needs neither zone nor wall clock. The bound is
    the device's resolution twice (both stamps are truncated) plus drift over the age.
    """
    age_ms = receipt_mono_ms - clock.mono_ms + (clock.device_s - measured_s) * 1000
    return age_ms, 2 * DEVICE_RESOLUTION_MS + drift_ms(age_ms)


def drift_ms(interval_ms: int) -> int:
    """Bound of what a clock of DRIFT_PPM loses over an interval, rounded up."""
    return -(-abs(interval_ms) * DRIFT_PPM // 1_000_000)


def resolve(boot: int, mono_ms: int, anchors: Sequence[Anchor]) -> Resolved | None:
    """UTC of a moment by the best anchor of its boot; None when that boot has none.

    Best = smallest bound after drift over the distance; an anchor without bound comes last.
    """
    best: Resolved | None = None
    for anchor in anchors:
        if anchor.boot != boot:
            continue
        candidate = _by_anchor(mono_ms, anchor)
        if best is None or _bound(candidate) <= _bound(best):
            best = candidate
    return best


def _by_anchor(mono_ms: int, anchor: Anchor) -> Resolved:
    distance = mono_ms - anchor.mono_ms
    error = None if anchor.error_ms is None else anchor.error_ms + drift_ms(distance)
    return Resolved(anchor.utc_ms + distance, error, anchor.quality)


def _bound(resolved: Resolved) -> float:
    return float("inf") if resolved.error_ms is None else resolved.error_ms


def anchor_from_server(
    boot: int, sent_mono_ms: int, received_mono_ms: int, server_time_ms: int
) -> Anchor | None:
    """Anchor from one round trip: server time belongs to its middle, the bound is half of it.

    It stands at the receipt: what was before has been timed without it.
    """
    trip = received_mono_ms - sent_mono_ms
    if trip < 0:
        return None
    half = trip - trip // 2
    return Anchor(boot, received_mono_ms, server_time_ms + half, half, ClockQuality.SERVER)


def is_future(measured_ms: int, now_ms: int) -> bool:
    """True when a measured time lies more than 5 minutes after now: quarantined and shown."""
    return measured_ms > now_ms + FUTURE_LIMIT_MS
