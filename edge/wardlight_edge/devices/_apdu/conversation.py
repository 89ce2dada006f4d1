"""The manager's side of one link: unassociated, configuring, operating. No I/O, no clock.

    unassociated --AARQ, configuration known--> operating --confirmed event--> taken, then answered
         ^       --AARQ, unknown--> configuring --configuration report, accepted--> operating
         +-- RLRQ answered RLRE, ABRT, or anything out of place answered ABRT --+

A confirmed scan report is answered when its readings are committed; one that is repeated because
the answer was lost is answered again and not taken twice. What cannot be read ends the association:
the agent keeps its data and sends it in the next.

Source  ISO/IEEE 11073-20601 8.4 (manager state table), 8.7, 8.8 (configuration, 10 s), 8.9
"""

from enum import Enum, auto
from typing import Final

from wardlight_edge.devices._apdu import association
from wardlight_edge.devices._apdu.association import AbortReason, Result
from wardlight_edge.devices._apdu.configuration import (
    STANDARD,
    Configuration,
    configuration_of,
)
from wardlight_edge.devices._apdu.events import (
    EventReport,
    config_accepted,
    device_attributes_of,
    device_info_of,
    enable_scanner,
    event_done,
    event_report_of,
    get_device,
    high_counter_of,
)
from wardlight_edge.devices._apdu.frames import Apdu, ApduFramer, Choice, Data, Message, data_of
from wardlight_edge.devices._apdu.reports import CONFIG, REPORTS, Observed, scan_of
from wardlight_edge.devices._base import FramerCounts
from wardlight_edge.devices._conversation import (
    Action,
    Event,
    HangUp,
    Now,
    Reject,
    Say,
    Subject,
    Take,
    Tell,
)
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo

CONFIGURATION_MS: Final = 10_000


class State(Enum):
    """Where the association is."""

    UNASSOCIATED = auto()
    CONFIGURING = auto()
    OPERATING = auto()


class ApduConversation:
    """State of one link."""

    def __init__(self) -> None:
        self.state = State.UNASSOCIATED
        self._framer = ApduFramer()
        self._configuration: Configuration | None = None
        self._subject: Subject | None = None
        self._invoke_id = 0
        self._due_ms: int | None = None
        self._last: tuple[Data, bytes] | None = None
        self._high: tuple[int, int] | None = None  # us of the agent's counter, at ms of ours

    @property
    def counts(self) -> FramerCounts:
        """APDUs received so far."""
        return self._framer.counts

    @property
    def due_ms(self) -> int | None:
        """When the configuration must have come."""
        return self._due_ms

    def opened(self, now: Now) -> tuple[Action, ...]:
        """The agent speaks first."""
        del now
        return ()

    def waited(self, now: Now) -> tuple[Action, ...]:
        """No configuration came in time."""
        if self._due_ms is None or now.mono_ms < self._due_ms:
            return ()
        return tuple(self._abort(AbortReason.CONFIGURATION_TIMEOUT))

    def received(self, octets: bytes, now: Now) -> tuple[Action, ...]:
        """Take the next octets."""
        actions: list[Action] = []
        for apdu in self._framer.feed(octets):
            try:
                actions += self._apdu(apdu, now)
            except DecodeError as error:
                actions.append(Reject(apdu.body if apdu.choice is Choice.PRST else b"", str(error)))
                actions += self._abort(AbortReason.UNDEFINED)
        if self._framer.lost is not None:
            actions += [
                Reject(b"", self._framer.lost),
                *self._abort(AbortReason.UNDEFINED),
                HangUp(self._framer.lost),
            ]
        return tuple(actions)

    def _apdu(self, apdu: Apdu, now: Now) -> list[Action]:
        match apdu.choice:
            case Choice.AARQ:
                return self._associate(apdu.body, now)
            case Choice.RLRQ if self.state is not State.UNASSOCIATED:
                self._leave()
                return [Say(association.release_answer())]
            case Choice.ABRT | Choice.RLRE:
                self._leave()
                return []
            case Choice.PRST if self.state is not State.UNASSOCIATED:
                return self._data(data_of(apdu), now)
        return self._abort(AbortReason.UNDEFINED)

    # -- association

    def _associate(self, body: bytes, now: Now) -> list[Action]:
        if self.state is not State.UNASSOCIATED:
            return self._abort(AbortReason.UNDEFINED)
        request = association.request_of(body)
        if request is None:
            return [Say(association.answer(Result.REJECTED_NO_COMMON_PROTOCOL))]
        if not request.is_compatible:
            return [Say(association.answer(Result.REJECTED_NO_COMMON_PARAMETER))]
        identity = request.system_id.hex().upper()
        self._subject = Subject("monitor", "", identity)
        told: list[Action] = [Tell(DeviceInfo(system_id=identity))]
        self._configuration = STANDARD.get(request.config_id)
        if self._configuration is None:
            self.state, self._due_ms = State.CONFIGURING, now.mono_ms + CONFIGURATION_MS
            return [*told, Say(association.answer(Result.ACCEPTED_UNKNOWN_CONFIG))]
        return [*told, Say(association.answer(Result.ACCEPTED)), *self._operate()]

    def _operate(self) -> list[Action]:
        """Ask who the agent is, and its scanners to report."""
        self.state, self._due_ms = State.OPERATING, None
        scanners = self._configuration.scanners if self._configuration else {}
        asked = [get_device(self._next_id())]
        asked += [enable_scanner(self._next_id(), handle) for handle in scanners]
        return [Say(octets) for octets in asked]

    def _next_id(self) -> int:
        self._invoke_id = (self._invoke_id + 1) & 0xFFFF
        return self._invoke_id

    def _leave(self) -> None:
        self.state, self._due_ms = State.UNASSOCIATED, None
        self._configuration = self._last = self._high = None

    def _abort(self, reason: AbortReason) -> list[Action]:
        self._leave()
        return [Say(association.abort(reason))]

    # -- data

    def _data(self, data: Data, now: Now) -> list[Action]:
        match data.message:
            case Message.EVENT | Message.CONFIRMED_EVENT:
                if self._last is not None and self._last[0] == data:
                    return [Say(self._last[1])]
                return self._event(data, event_report_of(data.body), now)
            case Message.GOT:
                return [Tell(self._device(data.body, now))]
            case Message.SET_DONE | Message.ACTION_DONE | Message.ERROR | Message.REJECT:
                return []
        raise DecodeError(f"DATA-apdu: {data.message.name} is no message of an agent")

    def _event(self, data: Data, report: EventReport, now: Now) -> list[Action]:
        is_confirmed = data.message is Message.CONFIRMED_EVENT
        if report.kind == CONFIG:
            return self._configure(data, report)
        if self.state is not State.OPERATING or self._configuration is None:
            raise DecodeError("a report before the configuration")
        if report.kind not in REPORTS:
            return [Say(event_done(data, report))] if is_confirmed else []
        scan = scan_of(report, self._configuration, self._high_us(now))
        events = tuple(map(self._as_event, scan.observed))
        answer = event_done(data, report) if is_confirmed else b""
        if is_confirmed:
            self._last = (data, answer)
        return [Take(events, answer, ignored=scan.ignored)]

    def _device(self, body: bytes, now: Now) -> DeviceInfo:
        """What the device says of itself; what its counter showed dates the reports that follow."""
        attributes = device_attributes_of(body)
        shown = high_counter_of(attributes)
        self._high = None if shown is None else (shown, now.mono_ms)
        return device_info_of(attributes)

    def _high_us(self, now: Now) -> int | None:
        if self._high is None:
            return None
        shown, at_ms = self._high
        return shown + (now.mono_ms - at_ms) * 1000

    def _configure(self, data: Data, report: EventReport) -> list[Action]:
        if self.state is not State.CONFIGURING:
            raise DecodeError("a configuration that nobody asked for")
        self._configuration = configuration_of(report.information)
        accepted = config_accepted(data, report, self._configuration.number)
        return [Say(accepted), *self._operate()]

    def _as_event(self, observed: Observed) -> Event:
        return Event(observed.readings, observed.raw, subject=self._subject, age_ms=observed.age_ms)
