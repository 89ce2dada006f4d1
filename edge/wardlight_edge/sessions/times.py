"""When was it measured: one event's time from what its device said. Pure.

    device time | device clock read on this link | then
    ------------+--------------------------------+--------------------------------------------
    none        | -                              | receipt; a stored reading: no honest bound
    no date     | -                              | receipt, DEVICE_CLOCK_UNSET, no honest bound
    a date      | yes, and the date is past      | DEVICE_CLOCK: age on the device's own clock
    a date      | yes, but the date is ahead     | receipt, no honest bound (the clock was set back)
    a date      | yes, but over a year ago       | DEVICE_CLOCK, no honest bound (it was set since)
    in a zone   | yes, right in that zone or the | as above, with the date in the clock's zone
                |   gateway's                    |
    in a zone   | yes, but right in neither      | DEVICE_CLOCK, no honest bound (of which zone?)
    a date      | no; stored, or clock trusted   | DEVICE_ASSUMED: gateway's local time, no bound
    a date      | no, within 5 min of now        | receipt: a live reading
    a date      | no, past, within a year        | DEVICE_ASSUMED: rather old than falsely fresh
    a date      | no, else                       | receipt, no honest bound

A device clock shows local time and not of which zone; a date that states its zone (UTC, as cuffs
that send the enhanced measurement do) can be compared with it only when that is known. "Right" is
within 7.5 minutes: zones are quarters of an hour apart.

A reading without an honest bound is flagged TIME_UNCERTAIN. A device clock that is more than 24 h
from the gateway's is flagged DEVICE_CLOCK_FAR. Nothing is dropped; device time travels as sent.

Source  docs/architecture.md (time); Bluetooth HTS 1.0, 3.1.1.3 and BLS 1.1, 3.1.1.4 (a device
        that stores measurements stamps them), BPS 1.1 (the enhanced time stamp is UTC), CTS 1.1
        (Current Time is local time)
"""

from collections.abc import Sequence
from datetime import UTC
from enum import Enum

import msgspec

from wardlight_shared.model import DeviceTime, Flag, Reading
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import (
    DEVICE_EPOCH,
    FAR_LIMIT_MS,
    OFFSET_LIMIT_MIN,
    DeviceClock,
    age_on_device_clock,
    device_seconds,
    utc_ms_from_datetime,
)

LATE_MS = 5 * 60 * 1000
LIVE_MS = 5 * 60 * 1000
STORED_MS = 366 * 24 * 3600 * 1000  # no memory of a home device reaches further back
_RIGHT_S = 450
EPISODE_MS = 60_000  # a cuff advertises its last measurement for up to a minute
STREAM_MS = 1000
_EPOCH_MS = utc_ms_from_datetime(DEVICE_EPOCH.replace(tzinfo=UTC))


class Policy(Enum):
    """What a device time is worth when the device's clock was not read."""

    DOUBTED = "doubted"
    TRUSTED = "trusted"  # the profile or the capture says: the wall clock of the gateway's zone


class Receipt(msgspec.Struct, frozen=True):
    """When an event reached the gateway.

    mono_ms, wall_ms  monotonic and wall clock at receipt
    offset_min        the gateway's local offset from UTC
    age_ms            how long before that a capture recorded it, else 0
    is_stream         True: part of a stream, so that it was measured just now
    """

    mono_ms: int
    wall_ms: int
    offset_min: int
    age_ms: int = 0
    is_stream: bool = False


class Timing(msgspec.Struct, frozen=True):
    """The time fields of an EventBody and the flags to add to each of its readings.

    offset_min  what was taken as the device clock's offset from UTC, where it was taken as it is
    """

    age_ms: int
    method: TimeMethod
    error_ms: int | None
    device_time: int | str | None
    skew_s: int | None
    flags: int
    offset_min: int | None = None


def local_device_s(wall_ms: int, offset_min: int) -> int:
    """What a device clock in the gateway's zone shows: seconds since 2000 of local time."""
    return (wall_ms + offset_min * 60_000 - _EPOCH_MS) // 1000


def seconds_in_zone(time: DeviceTime, offset_min: int) -> int | None:
    """Seconds since 2000 of a device time, as a clock in this zone shows it.

    A time that states no zone is taken to be in it; None where the date is none.
    """
    seconds = device_seconds(time)
    return None if seconds is None else seconds + _ahead_s(time, offset_min)


def _ahead_s(time: DeviceTime, offset_min: int) -> int:
    """How far a clock in a zone is ahead of the one a device time was read from."""
    return 0 if time.offset_min is None else (offset_min - time.offset_min) * 60


def skew_s(clock: DeviceClock, receipt: Receipt) -> int:
    """Gateway local time minus device clock, in seconds, at the moment the clock was read."""
    wall_ms = receipt.wall_ms - (receipt.mono_ms - clock.mono_ms)
    return local_device_s(wall_ms, receipt.offset_min) - clock.device_s


def timing_of(
    readings: Sequence[Reading],
    receipt: Receipt,
    clock: DeviceClock | None,
    policy: Policy = Policy.DOUBTED,
) -> Timing:
    """Time one event by the rules of this module."""
    time = next((reading.time for reading in readings if reading.time is not None), None)
    flags = 0
    for reading in readings:
        flags |= reading.flags
    seconds = None if time is None else device_seconds(time)
    if time is None or seconds is None or flags & Flag.DEVICE_CLOCK_UNSET:
        return _without_date(time, flags, receipt)
    if clock is not None:
        return _by_device_clock(seconds, time, receipt, clock)
    if policy is Policy.TRUSTED or flags & Flag.FROM_STORAGE or time.offset_min is not None:
        return _assumed(seconds, time, receipt)
    return _doubted(seconds, time, receipt)


def _without_date(time: DeviceTime | None, flags: int, receipt: Receipt) -> Timing:
    sent = None if time is None else time.isoformat()
    unset = time is not None or bool(flags & Flag.DEVICE_CLOCK_UNSET)
    added = int(Flag.DEVICE_CLOCK_UNSET) if unset else 0
    error_ms = None if unset or flags & Flag.FROM_STORAGE else _receipt_error(receipt)
    return _timing(receipt.age_ms, TimeMethod.RECEIPT, error_ms, sent, None, added)


def _by_device_clock(
    seconds: int, time: DeviceTime, receipt: Receipt, clock: DeviceClock
) -> Timing:
    skew = skew_s(clock, receipt)
    zone_min, is_known = _zone_of(time, skew, receipt)
    shown_s = seconds + _ahead_s(time, zone_min)
    age_ms, error_ms = age_on_device_clock(shown_s, clock, receipt.mono_ms)
    far = int(Flag.DEVICE_CLOCK_FAR) if abs(skew) * 1000 > FAR_LIMIT_MS else 0
    if age_ms < -error_ms:
        return _timing(receipt.age_ms, TimeMethod.RECEIPT, None, _sent(seconds, time), skew, far)
    bound = error_ms if is_known and age_ms <= STORED_MS else None
    age_ms = max(age_ms, 0) + receipt.age_ms
    return _timing(age_ms, TimeMethod.DEVICE_CLOCK, bound, _sent(seconds, time), skew, far)


def _zone_of(time: DeviceTime, skew: int, receipt: Receipt) -> tuple[int, bool]:
    """The zone of the clock that was read, and whether it is known as far as that matters."""
    if time.offset_min is None:
        return receipt.offset_min, True
    for zone_min in (time.offset_min, receipt.offset_min):
        if abs(skew + (zone_min - receipt.offset_min) * 60) <= _RIGHT_S:
            return zone_min, True
    return time.offset_min or receipt.offset_min, False


def _assumed(seconds: int, time: DeviceTime, receipt: Receipt) -> Timing:
    offset_min = receipt.offset_min if time.offset_min is None else time.offset_min
    age_ms = receipt.wall_ms + offset_min * 60_000 - _EPOCH_MS - seconds * 1000
    sent = _sent(seconds, time)
    timing = _timing(age_ms, TimeMethod.DEVICE_ASSUMED, None, sent, None, 0)
    # An offset that no place has stays in what the device sent; the collector refuses it here.
    is_place = abs(offset_min) <= OFFSET_LIMIT_MIN
    return msgspec.structs.replace(timing, offset_min=offset_min if is_place else None)


def _doubted(seconds: int, time: DeviceTime, receipt: Receipt) -> Timing:
    ago_ms = (local_device_s(receipt.wall_ms, receipt.offset_min) - seconds) * 1000
    if LIVE_MS < ago_ms <= STORED_MS:
        # Stored, or live by a slow clock: a stale value must not look fresh.
        return _assumed(seconds, time, receipt)
    away_ms = abs(ago_ms)
    far = int(Flag.DEVICE_CLOCK_FAR) if away_ms > FAR_LIMIT_MS else 0
    error_ms = _receipt_error(receipt) if away_ms <= LIVE_MS else None
    sent = _sent(seconds, time)
    return _timing(receipt.age_ms, TimeMethod.RECEIPT, error_ms, sent, None, far)


def _receipt_error(receipt: Receipt) -> int:
    return STREAM_MS if receipt.is_stream else EPISODE_MS


def _sent(seconds: int, time: DeviceTime) -> int | str:
    """Seconds since 2000 of the device's own clock; text where the device states its zone."""
    if time.offset_min is None:
        return seconds
    sign, minutes = ("-" if time.offset_min < 0 else "+"), abs(time.offset_min)
    return f"{time.isoformat()}{sign}{minutes // 60:02}:{minutes % 60:02}"


def _timing(
    age_ms: int,
    method: TimeMethod,
    error_ms: int | None,
    device_time: int | str | None,
    skew: int | None,
    flags: int,
) -> Timing:
    if error_ms is None:
        flags |= int(Flag.TIME_UNCERTAIN)
    if age_ms > LATE_MS:
        flags |= int(Flag.LATE)
    return Timing(age_ms, method, error_ms, device_time, skew, flags)
