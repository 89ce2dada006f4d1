"""Whose the readings of a device or port are: each subject is a source with records of its own."""

from collections import OrderedDict
from typing import Final

from wardlight_edge.devices import Event, Subject, flag_implausible
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.device_clock import LinkClock
from wardlight_edge.sessions.events import EventLog, Waited
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.records import check_numbers
from wardlight_edge.sessions.statuses import Statuses
from wardlight_edge.sessions.subject_keys import SubjectKeys, source_identity
from wardlight_edge.transports.base import Octets
from wardlight_shared.model import DeviceInfo
from wardlight_shared.profile import Profile

PATIENT: Final = "patient"
MOST_SOURCES: Final = 1024


class Sources:
    """Makes the records of what subjects gave.

    keys  makes the keys of subjects; None = every reading is the device's own patient's
    """

    def __init__(
        self, identity: str, profile: Profile, gateway: Gateway, keys: SubjectKeys | None
    ) -> None:
        self._identity = identity
        self._profile = profile
        self._gateway = gateway
        self._keys = keys
        self._limits = AlarmLimits(profile)
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def records(self, events: tuple[Event, ...], info: DeviceInfo) -> list[NewRecord]:
        """The records of these events; ``info`` is of the device that gave them. DecodeError."""
        clock = self._gateway.clock
        records: list[NewRecord] = []
        for event in events:
            check_numbers(event.readings)
            source = self._source(event)
            records += source.statuses.info(info, clock.mono_ms(), clock.wall_ms())
            arrival = Octets("", event.raw, clock.mono_ms(), clock.wall_ms(), age_ms=event.age_ms)
            waited = Waited(event.token, is_of_earlier_boot=False) if event.token else None
            readings = flag_implausible(event.readings, self._profile)
            records.append(source.events.record(readings, arrival, LinkClock(), waited))
        return records

    def _source(self, event: Event) -> "_Source":
        """Where an event's readings belong; those not heard of for longest are forgotten."""
        identity = self._identity
        subject = event.subject
        if self._keys is not None and subject is not None and self._tells_apart(subject):
            identity = source_identity(identity, self._keys.key(subject))
        source = self._sources.pop(identity, None)
        if source is None:
            log = EventLog(identity, self._profile, self._gateway, self._limits)
            source = _Source(log, Statuses(identity))
            if len(self._sources) >= MOST_SOURCES:
                self._sources.popitem(last=False)
        self._sources[identity] = source
        return source

    def _tells_apart(self, subject: Subject) -> bool:
        """A patient always; a monitor where many may speak: a line has one."""
        return subject.kind == PATIENT or self._identity.startswith("lan:")


class _Source:
    """One identity that readings are stored under."""

    def __init__(self, events: EventLog, statuses: Statuses) -> None:
        self.events = events
        self.statuses = statuses
