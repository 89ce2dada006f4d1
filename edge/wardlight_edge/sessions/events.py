"""Device events as records: time, lane and identity of what a device sends once."""

from hashlib import blake2b
from typing import Final

import msgspec

from wardlight_edge.devices import event_id
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.device_clock import LinkClock
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.records import event_record
from wardlight_edge.sessions.times import Policy, Receipt, Timing, seconds_in_zone, timing_of
from wardlight_edge.transports.base import Octets
from wardlight_shared.model import DeviceTime, Flag, Reading
from wardlight_shared.profile import Profile
from wardlight_shared.records import Lane

_NAME_OCTETS: Final = 16


def by_time(readings: tuple[Reading, ...]) -> list[tuple[Reading, ...]]:
    """Readings that came together as events: those of one device time stay together."""
    first = readings[0].time if readings else None
    if all(each.time is first or each.time == first for each in readings):
        return [readings]
    found: dict[DeviceTime | None, list[Reading]] = {}
    for each in readings:
        found.setdefault(each.time, []).append(each)
    return list(map(tuple, found.values()))


class Waited(msgspec.Struct, frozen=True):
    """How a reading waited before it was taken.

    token               differs for each reading that ever waited on this gateway
    is_of_earlier_boot  its age was bridged by the wall clock, which may have been wrong
    """

    token: bytes
    is_of_earlier_boot: bool


class EventLog:
    """Makes the event records of one device.

    A reading that reached a limit, or whose device raises an alarm, takes the alarm lane. One that
    is late (stored on the device) takes the backfill lane, so that a month of memory does not
    delay what is measured now.
    """

    def __init__(
        self,
        device: str,
        profile: Profile,
        gateway: Gateway,
        limits: AlarmLimits,
    ) -> None:
        self._device = device
        self._gateway = gateway
        self._limits = limits
        self._is_stream = profile.stream is not None
        trusted = device.startswith("replay:") or bool(profile.options.get("trust_clock"))
        self._policy = Policy.TRUSTED if trusted else Policy.DOUBTED

    def record(
        self,
        readings: tuple[Reading, ...],
        arrival: Octets,
        link_clock: LinkClock,
        waited: Waited | None = None,
        *,
        name: bytes | None = None,
    ) -> NewRecord:
        """One event; its readings have one device time.

        name    event id of what has none by its time or record number
        waited  given for a reading that waited on the disk
        """
        receipt = self.receipt(arrival)
        time = next((each.time for each in readings if each.time is not None), None)
        # The clock was set, if it was, to the gateway's local time.
        seconds = None if time is None else seconds_in_zone(time, receipt.offset_min)
        clock = link_clock.clock_for(seconds, arrival.mono_ms)
        timing = timing_of(readings, receipt, clock, self._policy)
        name = event_id(self._device, readings, arrival.octets) or name
        if waited is not None:
            name = name or _name_of_waiting(self._device, waited.token, arrival.octets)
            timing = _without_bound(timing) if waited.is_of_earlier_boot else timing
        return event_record(
            self._device,
            readings,
            timing,
            lane=self._lane(readings, timing.flags),
            event_id=name,
            mono_ms=arrival.mono_ms,
            wall_ms=arrival.wall_ms,
            number=self._gateway.outbox.series_number,
        )

    def receipt(self, arrival: Octets) -> Receipt:
        """When octets reached the gateway."""
        offset_min = self._gateway.clock.offset_min()
        return Receipt(
            arrival.mono_ms, arrival.wall_ms, offset_min, arrival.age_ms, self._is_stream
        )

    def _lane(self, readings: tuple[Reading, ...], flags: int) -> Lane:
        if self._limits.is_alarm(readings):
            return Lane.ALARM
        return Lane.BACKFILL if flags & Flag.LATE else Lane.LIVE


def _name_of_waiting(device: str, token: bytes, raw: bytes) -> bytes:
    """An id for what has none of its own: a kill at the wrong moment brings it twice."""
    digest = blake2b(digest_size=_NAME_OCTETS, person=b"wardlight-waited")
    for part in (device.encode(), token, raw):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def _without_bound(timing: Timing) -> Timing:
    flags = timing.flags | int(Flag.TIME_UNCERTAIN)
    return msgspec.structs.replace(timing, error_ms=None, flags=flags)
