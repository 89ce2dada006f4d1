"""One device's session: what its transport brings becomes records in the outbox.

    arrival -> wait for what dates and identifies it -> decode -> flag implausible -> event or block
            -> append (returns after COMMIT) -> tell the transport what was accepted

A device that keeps records is asked for them: its values then go through a dialogue, which
gives the events.

One consumer, in order of arrival. Octets that cannot be decoded go to quarantine and the session
goes on; only a bug ends it.

Length: what arrives goes one way through all of these steps, and each needs the state of the others
"""

import asyncio
from collections.abc import Sequence

import msgspec

from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import (
    ClockShown,
    Done,
    Fetched,
    Passed,
    Reject,
    Trouble,
    flag_implausible,
)
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.acceptance import Acceptance
from wardlight_edge.sessions.admission import NO_ROOM, OTHER, UNVERIFIED, Admission, Answer
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.decoding import SERIAL_NUMBER, Told, Values, decoding_of
from wardlight_edge.sessions.device_clock import DeviceClockKeeper, LinkClock
from wardlight_edge.sessions.dialogue import DeviceDialogue, News, dialogue_of
from wardlight_edge.sessions.events import EventLog, Waited
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.inbox import Inbox, Lost
from wardlight_edge.sessions.left_over import left_over
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.records import check_numbers
from wardlight_edge.sessions.report import Report
from wardlight_edge.sessions.stream import RESTART, StreamLog
from wardlight_edge.transports.base import (
    Arrival,
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
    Refused,
    Transport,
    Unreadable,
    Written,
)
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime
from wardlight_shared.profile import Profile
from wardlight_shared.timestamps import DeviceClock, device_seconds

TICK_S = 1.0
FRESH_MS = 3000
"""A stream that has just begun is shown at once, in short blocks, as if somebody watched."""


class Session:
    """Consumes the arrivals of one device; ``inbox`` is where its transport puts them.

    handed_on  what the session before it could not have accepted: its ``left``
    """

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        gateway: Gateway,
        entry: DeviceEntry,
        handed_on: Sequence[NewRecord] = (),
    ) -> None:
        self._profile = profile
        self._gateway = gateway
        self._entry = entry
        self._device = device
        self._dialogue: DeviceDialogue | None = None
        self._report = Report(device.identity, gateway, entry)
        self._acceptance = Acceptance(gateway, entry)
        self.inbox = Inbox(self._acceptance.is_full)
        self.device_clock = DeviceClockKeeper(gateway.clock, gateway.is_clock_trusted)
        self._decoding = decoding_of(profile)
        self._limits = AlarmLimits(profile)
        self._events = EventLog(device.identity, profile, gateway, self._limits)
        self._stream = self._stream_log(device.identity)
        self._fresh_until_ms: int | None = None
        self._admission = Admission(
            device, profile, self.device_clock, gateway.clock, gateway.vault
        )
        self._gate = self._admission.gate
        self._link = LinkChange(LinkState.WAITING, 0)
        self._is_silent = False
        self._valid_ms = 0
        self._token: int | None = None
        self._handed_on = handed_on
        self._records = list(handed_on)
        self._entry.waiting = self._admission.waiting
        if self._admission.is_damaged:
            now_ms = gateway.clock.mono_ms()
            self._records += self._report.lost(Lost("corrupt", 0, now_ms, now_ms))

    async def run(self, transport: Transport) -> None:
        """Consume until the inbox is closed and empty; then all of it is in the outbox."""
        self._dialogue = dialogue_of(self._device, self._profile, self._gateway.shelf, transport)
        while not self.inbox.is_done:
            for arrival in await self.inbox.take(self._wait_s()):
                self._take(arrival)
            self._tick()
            await self._accept(transport)
        await self._end(transport)

    @property
    def left(self) -> list[NewRecord]:
        """After a fault: what the next session is to have accepted."""
        return left_over(self._records, self._handed_on, self._entry.identity)

    def _stream_log(self, identity: str) -> StreamLog | None:
        if self._profile.stream is None:
            return None
        return StreamLog(
            identity,
            self._profile.stream,
            self._limits,
            self._gateway.outbox.series_number,
            self._gateway.open_streams,
            self._live_until,
        )

    def _live_until(self) -> int | None:
        moments = (self._gateway.live_until(), self._fresh_until_ms)
        return max((each for each in moments if each is not None), default=None)

    async def _accept(self, transport: Transport) -> None:
        """Append what was made; return when it is committed."""
        lost = self.inbox.take_lost()
        if lost is not None:
            self._records += self._report.lost(lost)
        await self._commit()
        if self._stream is not None:
            self._stream.accepted()
        # After the append: a kill between the two brings a reading twice, never not at all.
        if not self._admission.is_saved:
            await asyncio.to_thread(self._admission.save)
        if self._token is not None and (self._stream is None or self._stream.is_empty):
            transport.accepted(self._token)
            self._token = None

    async def _commit(self) -> None:
        """Append until nothing is left, also of what the dialogue brings once it is told."""
        while True:
            while self._records:
                records = tuple(self._records)
                await self._acceptance.append(records)
                del self._records[: len(records)]  # not before: a fault must not lose them
                self._show()
            if self._dialogue is None:
                return
            self._hear(await self._dialogue.committed(), self._now())
            if not self._records:
                return

    async def _end(self, transport: Transport) -> None:
        """The gateway stops: only what is in doubt, and safe on the disk, waits on."""
        self._gate.reads_done()
        self._admission.link_down()
        self._settle(self._gateway.clock.mono_ms())
        is_saved = await asyncio.to_thread(self._admission.save)
        if not is_saved and (left := self._admission.give_up()):
            lost = Lost(RESTART, len(left), left[0].mono_ms, left[-1].mono_ms)
            self._records += self._report.lost(lost)
        if self._stream is not None:
            self._records += self._stream.flush()
        await self._accept(transport)

    # -- arrivals

    def _take(self, arrival: Arrival) -> None:
        match arrival:
            case Octets():
                self._take_octets(arrival)
            case LinkChange():
                self._change_link(arrival)
            case ReadsDone():
                if SERIAL_NUMBER in arrival.absent:
                    self._identify(None)
                self._reads_done()
                self._begin(arrival)
            case Written() | Refused():
                if self._dialogue is not None:
                    self._hear(self._dialogue.answered(arrival), self._now())
            case Unreadable():
                self._reject(arrival.octets, arrival.reason, arrival.mono_ms)
                self._token = arrival.token
        self._settle(arrival.mono_ms)

    def _take_octets(self, arrival: Octets) -> None:
        self._token = self._token if arrival.token is None else arrival.token
        if arrival.is_read and self._decoding.is_about_device(arrival.channel):
            self._decode(arrival, self.device_clock.on_link)
            return
        if self._dialogue is not None and self._dialogue.takes(arrival.channel):
            self._hear(self._dialogue.value(arrival), arrival)
            return
        match self._admission.ask(arrival):
            case Answer.TAKEN:
                self._decode(arrival, self.device_clock.on_link)
            case Answer.REFUSED:
                self._reject(arrival.octets, OTHER, arrival.mono_ms)
            case Answer.NO_ROOM:
                self._reject(arrival.octets, NO_ROOM, arrival.mono_ms)
                lost = Lost(UNVERIFIED, 1, arrival.mono_ms, arrival.mono_ms)
                self._records += self._report.lost(lost)
            case Answer.WAITS:
                self._entry.waiting = self._admission.waiting

    def _settle(self, mono_ms: int) -> None:
        """Decode what waited, if that can be decided now; of another device nothing is taken."""
        decided = self._admission.decided(mono_ms)
        for each in decided:
            if each.is_after_break and self._stream is not None:
                self._records += self._stream.interrupted("link-lost")
            if each.is_refused:
                self._reject(each.arrival.octets, OTHER, each.arrival.mono_ms)
            else:
                self._decode(each.arrival, each.clock, each.waited)
        if decided:
            self._entry.waiting = 0
            self._show()

    def _change_link(self, change: LinkChange) -> None:
        was_up = self._link.state is LinkState.CONNECTED
        self._link = change
        if change.state is LinkState.CONNECTED:
            self._entry.count("links")
            self._valid_ms = change.mono_ms
            self._is_silent = False
            self._decoding.restart()
            self._fresh_until_ms = None
            self._admission.link_up(change.mono_ms)
        elif was_up:
            if self._dialogue is not None:
                self._hear(self._dialogue.link_lost(), self._now())
            self._reads_done()
            self._settle(change.mono_ms)
            self._admission.link_down()
            if change.state is not LinkState.ENDED:
                self._interrupt("link-lost")
            elif self._stream is not None:
                self._records += self._stream.flush()
        self._show()

    def _reads_done(self) -> None:
        """Nothing more will be read on this link: say at once what the device is."""
        self._gate.reads_done()
        self._records += self._report.info()
        if self._admission.is_bound:
            self._records += self._report.identity(self._gate.identity)
        self._show()

    def _interrupt(self, cause: str) -> None:
        if self._stream is not None:
            self._entry.count("link_losses")
            self._records += self._stream.interrupted(cause)

    # -- a device that is asked

    def _begin(self, done: ReadsDone) -> None:
        """Ask for what the device keeps, once it is known to be the one of the settings."""
        self._settle(done.mono_ms)
        if self._dialogue is not None and self._gate.is_open(done.mono_ms):
            self._hear(self._dialogue.begin(done.link, done.mono_ms), self._now())

    def _hear(self, news: list[News], arrival: Octets) -> None:
        """What a dialogue has brought, with the value that brought it."""
        for each in news:
            match each:
                case Fetched():
                    self._fetched(each, arrival)
                case Passed(octets):
                    passed = msgspec.structs.replace(arrival, octets=octets)
                    self._decode(passed, self.device_clock.on_link)
                case ClockShown(time):
                    self._clock_shown(time, arrival.mono_ms)
                case Reject():
                    self._reject(each.octets, each.reason, arrival.mono_ms)
                case Trouble():
                    self._records += self._report.memory(each.reason)
                case Done(is_whole=True):
                    self._records += self._report.memory(None)

    def _fetched(self, event: Fetched, arrival: Octets) -> None:
        named = msgspec.structs.replace(arrival, octets=event.name, age_ms=event.age_ms)
        try:
            check_numbers(event.readings)
        except DecodeError as error:
            self._reject(event.name, str(error), arrival.mono_ms)
            return
        values = Values(event.readings, is_stream=False)
        self._values(values, named, self.device_clock.on_link, None)

    def _clock_shown(self, time: DeviceTime, mono_ms: int) -> None:
        seconds = device_seconds(time)
        if seconds is not None:
            self.device_clock.shown(DeviceClock(seconds, mono_ms))

    def _now(self) -> Octets:
        """Stands for the value that brought something, where only time or a request did."""
        return Octets("", b"", self._gateway.clock.mono_ms(), self._gateway.clock.wall_ms())

    # -- values

    def _decode(self, arrival: Octets, clock: LinkClock, waited: Waited | None = None) -> None:
        try:
            meanings = self._decoding.decode(arrival)
        except DecodeError as error:
            self._reject(arrival.octets, str(error), arrival.mono_ms)
            return
        self._entry.count("decode_errors", self._decoding.take_damaged())
        for meaning in meanings:
            match meaning:
                case Told():
                    self._told(meaning, arrival)
                case Values():
                    self._values(meaning, arrival, clock, waited)

    def _values(
        self, values: Values, arrival: Octets, clock: LinkClock, waited: Waited | None
    ) -> None:
        readings = flag_implausible(values.readings, self._profile)
        self._entry.count("readings", len(readings))
        self._entry.saw_data(arrival.mono_ms, arrival.wall_ms)
        self._valid_ms = arrival.mono_ms
        if self._is_silent:
            self._is_silent = False
            self._show()
        if values.is_stream and self._stream is not None:
            if self._fresh_until_ms is None and arrival.age_ms == 0:
                self._fresh_until_ms = arrival.wall_ms + FRESH_MS
            flagged = msgspec.structs.replace(values, readings=readings)
            self._records += self._stream.add(flagged, arrival)
        else:
            whole = arrival.octets if values.joined is None else values.joined
            named = msgspec.structs.replace(arrival, octets=whole)
            self._records.append(self._events.record(readings, named, clock, waited))

    def _told(self, told: Told, arrival: Octets) -> None:
        if told.clock is not None:
            self.device_clock.shown(told.clock)
        self._records += self._report.told(told, self._events.receipt(arrival))
        for need, is_known in (("clock", told.is_clock), ("site", told.is_site)):
            if is_known:
                self._gate.known(need)
        if told.is_serial_number:
            self._identify(None if told.info is None else told.info.serial_number)
        self._show()

    def _identify(self, serial_number: str | None) -> None:
        if self._gate.told(serial_number):
            self._gateway.bound(self._entry.identity, serial_number)

    def _reject(self, octets: bytes, reason: str, mono_ms: int) -> None:
        self._records += self._report.rejected(octets, reason, mono_ms)

    # -- time

    def _wait_s(self) -> float | None:
        """How long nothing can happen by itself; None = until something arrives."""
        if self._records:
            return 0.0
        is_serial = self._profile.transport.serial is not None
        is_block_open = self._stream is not None and not self._stream.is_empty
        is_held = self._admission.waiting and not self._gate.is_in_doubt
        is_asking = self._dialogue is not None and self._dialogue.is_waiting
        return TICK_S if is_held or is_serial or is_block_open or is_asking else None

    def _tick(self) -> None:
        mono_ms, wall_ms = self._gateway.clock.mono_ms(), self._gateway.clock.wall_ms()
        self._settle(mono_ms)
        if self._dialogue is not None:
            self._hear(self._dialogue.tick(mono_ms), self._now())
        serial = self._profile.transport.serial
        is_up = self._link.state is LinkState.CONNECTED and not self._is_silent
        if serial is not None and is_up and mono_ms - self._valid_ms > serial.silence_s * 1000:
            self._is_silent = True
            self._interrupt("silent")
            self._show()
        if self._stream is not None:
            self._records += self._stream.tick(mono_ms, wall_ms)

    def _show(self) -> None:
        state, reason = self._state()
        is_taking = self._acceptance.trouble is None
        self._records += self._report.link(
            state, reason, is_stream=self._stream is not None, is_record=is_taking
        )

    def _state(self) -> tuple[str, str | None]:
        if self._acceptance.trouble is not None:
            return self._acceptance.trouble
        if self._admission.trouble is not None:
            return self._admission.trouble
        if self._is_silent:
            return "silent", "the line is open but no valid frame comes: is the device on?"
        return self._link.state, self._link.reason or self._report.memory_trouble
