"""Device events as records: time, lane and identity of what a device sends once."""

from wardlight_edge.devices import event_id
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.device_clock import DeviceClockKeeper
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.records import event_record
from wardlight_edge.sessions.times import Policy, Receipt, timing_of
from wardlight_edge.transports.base import Octets
from wardlight_shared.model import Flag, Reading
from wardlight_shared.profile import Profile
from wardlight_shared.records import Lane
from wardlight_shared.timestamps import device_seconds


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
        device_clock: DeviceClockKeeper,
    ) -> None:
        self._device = device
        self._gateway = gateway
        self._limits = limits
        self._device_clock = device_clock
        self._is_stream = profile.stream is not None
        trusted = device.startswith("replay:") or bool(profile.options.get("trust_clock"))
        self._policy = Policy.TRUSTED if trusted else Policy.DOUBTED

    def record(self, readings: tuple[Reading, ...], arrival: Octets) -> NewRecord:
        """One event; its readings have one device time."""
        time = next((each.time for each in readings if each.time is not None), None)
        seconds = None if time is None else device_seconds(time)
        clock = self._device_clock.clock_for(seconds, arrival.mono_ms)
        timing = timing_of(readings, self.receipt(arrival), clock, self._policy)
        return event_record(
            self._device,
            readings,
            timing,
            lane=self._lane(readings, timing.flags),
            event_id=event_id(self._device, readings, arrival.octets),
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
