"""What a device gives when it is asked, as records.

    begin, answers, time -> dialogue.py -> readings: measurements.py
                                        -> octets:   interpretation.py
                                        -> how far its memory has been given: to the report

A device that sends by itself has no dialogue: then nothing here does anything.
"""

from collections.abc import Sequence

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.devices import ClockShown, Done, Fetched, Passed, Reject, Trouble
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.decoding import Values
from wardlight_edge.sessions.device_clock import DeviceClockKeeper
from wardlight_edge.sessions.dialogue import DeviceDialogue, News
from wardlight_edge.sessions.interpretation import Interpretation
from wardlight_edge.sessions.measurements import Measurements
from wardlight_edge.sessions.outgoing import Outgoing
from wardlight_edge.sessions.records import check_numbers
from wardlight_edge.sessions.report import Report
from wardlight_edge.transports.base import Octets, ReadsDone, Refused, Written
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime
from wardlight_shared.timestamps import DeviceClock, device_seconds


class Asking:
    """Brings what one device gives to the outgoing records."""

    def __init__(
        self,
        clock: Clock,
        device_clock: DeviceClockKeeper,
        interpretation: Interpretation,
        measurements: Measurements,
        report: Report,
        outgoing: Outgoing,
    ) -> None:
        self._clock = clock
        self._device_clock = device_clock
        self._interpretation = interpretation
        self._measurements = measurements
        self._report = report
        self._outgoing = outgoing
        self.dialogue: DeviceDialogue | None = None
        """With whom it is spoken; None: nobody."""

    @property
    def is_waiting(self) -> bool:
        """Whether time alone can bring it on."""
        return self.dialogue is not None and self.dialogue.is_waiting

    def takes(self, channel: str) -> bool:
        """Whether values of this characteristic are the dialogue's now."""
        return self.dialogue is not None and self.dialogue.takes(channel)

    def begin(self, done: ReadsDone) -> None:
        """Ask for what the device keeps: the link is known to be the device's."""
        if self.dialogue is not None:
            self._hear(self.dialogue.begin(done.link, self._interpretation.info, done.mono_ms))

    def value(self, arrival: Octets) -> None:
        """A value that it ``takes``."""
        if self.dialogue is not None:
            self._hear(self.dialogue.value(arrival), arrival)

    def answered(self, answer: Written | Refused) -> None:
        """A request was done or failed."""
        if self.dialogue is not None:
            self._hear(self.dialogue.answered(answer))

    def tick(self, mono_ms: int) -> None:
        """Time has passed."""
        if self.dialogue is not None:
            self._hear(self.dialogue.tick(mono_ms))

    def link_lost(self) -> None:
        """The link is over."""
        if self.dialogue is not None:
            self._hear(self.dialogue.link_lost())

    async def committed(self) -> None:
        """Everything given so far is in the outbox: go on, and keep how far that is."""
        if self.dialogue is not None:
            self._hear(await self.dialogue.committed())

    def _hear(self, news: Sequence[News], arrival: Octets | None = None) -> None:
        """What a dialogue has brought, with the value that brought it: else time or a request."""
        if arrival is None:
            arrival = Octets("", b"", self._clock.mono_ms(), self._clock.wall_ms())
        for each in news:
            self._outgoing.add(self._records(each, arrival))

    def _records(self, news: News, arrival: Octets) -> list[NewRecord]:
        match news:
            case Fetched():
                return self._fetched(news, arrival)
            case Passed(octets):
                passed = msgspec.structs.replace(arrival, octets=octets)
                return self._interpretation.records(passed, self._device_clock.on_link)
            case ClockShown(time):
                self._clock_shown(time, arrival.mono_ms)
                return []
            case Reject(octets, reason):
                return self._report.rejected(octets, reason, arrival.mono_ms)
            case Trouble(reason):
                return self._report.memory(reason)
            case Done(is_whole=is_whole):
                return self._report.memory(None) if is_whole else []

    def _fetched(self, event: Fetched, arrival: Octets) -> list[NewRecord]:
        named = msgspec.structs.replace(arrival, octets=event.name, age_ms=event.age_ms)
        try:
            check_numbers(event.readings)
        except DecodeError as error:
            return self._report.rejected(event.name, str(error), arrival.mono_ms)
        values = Values(event.readings, is_stream=False)
        return self._measurements.take(values, named, self._device_clock.on_link)

    def _clock_shown(self, time: DeviceTime, mono_ms: int) -> None:
        seconds = device_seconds(time)
        if seconds is not None:
            self._device_clock.shown(DeviceClock(seconds, mono_ms))
