"""What one device measures, as records.

values -> flag implausible -> of a stream: its block (stream.py); else: an event (events.py)
"""

import msgspec

from wardlight_edge.devices import flag_implausible
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.decoding import Values
from wardlight_edge.sessions.device_clock import LinkClock
from wardlight_edge.sessions.events import EventLog, Waited, by_time
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.stream import StreamLog
from wardlight_edge.sessions.times import Receipt
from wardlight_edge.transports.base import Octets
from wardlight_shared.profile import Profile

FRESH_MS = 3000
"""A stream that has just begun is shown at once, in short blocks, as if somebody watched."""


class Measurements:
    """Makes the records of one device's values; without a stream each is an event.

    newest_ms  monotonic moment of the newest values
    """

    def __init__(self, profile: Profile, gateway: Gateway, entry: DeviceEntry) -> None:
        self._profile = profile
        self._gateway = gateway
        self._entry = entry
        limits = AlarmLimits(profile)
        self._events = EventLog(entry.identity, profile, gateway, limits)
        self._stream = self._stream_log(limits)
        self._fresh_until_ms: int | None = None
        self.newest_ms = 0

    def take(
        self, values: Values, arrival: Octets, clock: LinkClock, waited: Waited | None = None
    ) -> list[NewRecord]:
        """Values that came with an arrival; ``clock`` is the device's on the link it came over."""
        readings = flag_implausible(values.readings, self._profile)
        self._entry.count("readings", len(readings))
        self._entry.saw_data(arrival.mono_ms, arrival.wall_ms)
        self.newest_ms = arrival.mono_ms
        if values.is_stream and self._stream is not None:
            if self._fresh_until_ms is None and arrival.age_ms == 0:
                self._fresh_until_ms = arrival.wall_ms + FRESH_MS
            return self._stream.add(msgspec.structs.replace(values, readings=readings), arrival)
        whole = arrival.octets if values.joined is None else values.joined
        named = msgspec.structs.replace(arrival, octets=whole)
        return [self._events.record(each, named, clock, waited) for each in by_time(readings)]

    def receipt(self, arrival: Octets) -> Receipt:
        """When octets reached the gateway."""
        return self._events.receipt(arrival)

    # -- of a stream; nothing happens where there is none

    @property
    def is_stream(self) -> bool:
        """Whether the device has a stream."""
        return self._stream is not None

    @property
    def is_block_open(self) -> bool:
        """Whether samples are in no record yet."""
        return self._stream is not None and not self._stream.is_empty

    def link_up(self) -> None:
        """A link has come up: its stream will be a fresh one."""
        self._fresh_until_ms = None

    def tick(self, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        """The running block, when its time has come."""
        return [] if self._stream is None else self._stream.tick(mono_ms, wall_ms)

    def interrupted(self, cause: str) -> list[NewRecord]:
        """The running block: the stream has stopped, and the gap is named when it goes on."""
        return [] if self._stream is None else self._stream.interrupted(cause)

    def flush(self) -> list[NewRecord]:
        """The running block: the stream has ended."""
        return [] if self._stream is None else self._stream.flush()

    def accepted(self) -> None:
        """The records given out so far are in the outbox."""
        if self._stream is not None:
            self._stream.accepted()

    def _stream_log(self, limits: AlarmLimits) -> StreamLog | None:
        if self._profile.stream is None:
            return None
        return StreamLog(
            self._entry.identity,
            self._profile.stream,
            limits,
            self._gateway.outbox.series_number,
            self._gateway.open_streams,
            self._live_until,
        )

    def _live_until(self) -> int | None:
        moments = (self._gateway.live_until(), self._fresh_until_ms)
        return max((each for each in moments if each is not None), default=None)
