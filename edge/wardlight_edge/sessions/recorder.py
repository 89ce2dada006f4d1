"""What becomes of each arrival of one device: records, in their order. Commits nothing.

octets -> wait for what dates and identifies them (admission.py)
       -> what they mean (interpretation.py), or an answer to what was asked (asking.py)
       -> outgoing
link   -> what is known of the last one is forgotten, its stream ends; the board shows it
"""

import asyncio
from typing import Final

from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.admission import NO_ROOM, OTHER, UNVERIFIED, Admission, Answer
from wardlight_edge.sessions.asking import Asking
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.device_clock import DeviceClockKeeper, LinkClock
from wardlight_edge.sessions.dialogue import DeviceDialogue
from wardlight_edge.sessions.events import Waited
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.inbox import Lost
from wardlight_edge.sessions.interpretation import Interpretation
from wardlight_edge.sessions.line import Line
from wardlight_edge.sessions.measurements import Measurements
from wardlight_edge.sessions.outgoing import Outgoing
from wardlight_edge.sessions.report import Report
from wardlight_edge.sessions.stream import RESTART
from wardlight_edge.sessions.told import SERIAL_NUMBER
from wardlight_edge.transports.base import (
    Arrival,
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
    Refused,
    Unreadable,
    Written,
)
from wardlight_shared.profile import Profile

_LINK_LOST: Final = "link-lost"


class Recorder:
    """Makes the records of one device; what it makes goes to ``outgoing``."""

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        gateway: Gateway,
        entry: DeviceEntry,
        device_clock: DeviceClockKeeper,
        outgoing: Outgoing,
    ) -> None:
        self._clock = clock = gateway.clock
        self._entry = entry
        self._device_clock = device_clock
        self._outgoing = outgoing
        self._report = report = Report(device.identity, gateway, entry)
        self._line = Line(profile)
        self._admission = Admission(
            device, profile, device_clock, clock, gateway.vault, gateway.bound
        )
        self._measurements = made = Measurements(profile, gateway, entry)
        self._interpretation = meaning = Interpretation(profile, self._admission, made, report)
        self._asking = Asking(clock, device_clock, meaning, made, report, outgoing)
        entry.waiting = self._admission.waiting
        if self._admission.is_damaged:
            now_ms = clock.mono_ms()
            self.lost(Lost("corrupt", 0, now_ms, now_ms))

    def ask_in(self, dialogue: DeviceDialogue | None) -> None:
        """The device is asked in this dialogue; None = it sends by itself."""
        self._asking.dialogue = dialogue

    @property
    def is_ticking(self) -> bool:
        """Whether time alone can bring something."""
        return (
            self._admission.is_holding
            or self._line.is_watched
            or self._measurements.is_block_open
            or self._asking.is_waiting
        )

    @property
    def is_all_recorded(self) -> bool:
        """Whether every sample that was taken is in a record."""
        return not self._measurements.is_block_open

    def take(self, arrival: Arrival) -> None:
        """The next arrival."""
        match arrival:
            case Octets():
                self._take_octets(arrival)
            case LinkChange():
                self._change_link(arrival)
            case ReadsDone():
                if SERIAL_NUMBER in arrival.absent:
                    self._admission.identified(None)
                self._reads_done()
                self._settle(arrival.mono_ms)
                if self._admission.is_open(arrival.mono_ms):
                    self._asking.begin(arrival)
            case Written() | Refused():
                self._asking.answered(arrival)
            case Unreadable():
                self._reject(arrival.octets, arrival.reason, arrival.mono_ms)
        self._settle(arrival.mono_ms)

    def tick(self) -> None:
        """Time has passed, or something has arrived."""
        mono_ms, wall_ms = self._clock.mono_ms(), self._clock.wall_ms()
        self._settle(mono_ms)
        self._asking.tick(mono_ms)
        if self._line.falls_silent(mono_ms):
            self._interrupt("silent")
            self.show()
        self._outgoing.add(self._measurements.tick(mono_ms, wall_ms))

    def lost(self, lost: Lost) -> None:
        """Arrivals found no room."""
        self._outgoing.add(self._report.lost(lost))

    def show(self) -> None:
        """Put the state on the board: the worst trouble, else how the line is."""
        state, reason = self._admission.trouble or self._line.state
        reason = reason or self._report.memory_trouble
        is_stream = self._measurements.is_stream
        self._outgoing.add(self._report.link(state, reason, is_stream=is_stream))

    async def committed(self) -> None:
        """Every record so far is in the outbox: a device that is asked may give more."""
        await self._asking.committed()

    async def accepted(self) -> None:
        """Every record is in the outbox, and no more come of them."""
        self._measurements.accepted()
        # After the append: a kill between the two brings a reading twice, never not at all.
        if not self._admission.is_saved:
            await asyncio.to_thread(self._admission.save)

    async def end(self) -> None:
        """The gateway stops: only what is in doubt, and safe on the disk, waits on."""
        self._admission.reads_done()
        self._admission.link_down()
        self._settle(self._clock.mono_ms())
        is_saved = await asyncio.to_thread(self._admission.save)
        if not is_saved and (left := self._admission.give_up()):
            self.lost(Lost(RESTART, len(left), left[0].mono_ms, left[-1].mono_ms))
        self._outgoing.add(self._measurements.flush())

    # -- octets

    def _take_octets(self, arrival: Octets) -> None:
        if arrival.is_read and self._interpretation.is_about_device(arrival.channel):
            self._interpret(arrival, self._device_clock.on_link)
            return
        if self._asking.takes(arrival.channel):
            self._asking.value(arrival)
            return
        match self._admission.ask(arrival):
            case Answer.TAKEN:
                self._interpret(arrival, self._device_clock.on_link)
            case Answer.REFUSED:
                self._reject(arrival.octets, OTHER, arrival.mono_ms)
            case Answer.NO_ROOM:
                self._reject(arrival.octets, NO_ROOM, arrival.mono_ms)
                self.lost(Lost(UNVERIFIED, 1, arrival.mono_ms, arrival.mono_ms))
            case Answer.WAITS:
                self._entry.waiting = self._admission.waiting

    def _settle(self, mono_ms: int) -> None:
        """Interpret what waited, if it is decided now; of another device nothing is taken."""
        decided = self._admission.decided(mono_ms)
        for each in decided:
            if each.is_after_break:
                self._outgoing.add(self._measurements.interrupted(_LINK_LOST))
            if each.is_refused:
                self._reject(each.arrival.octets, OTHER, each.arrival.mono_ms)
            else:
                self._interpret(each.arrival, each.clock, each.waited)
        if decided:
            self._entry.waiting = 0
            self.show()

    def _interpret(self, arrival: Octets, clock: LinkClock, waited: Waited | None = None) -> None:
        records = self._interpretation.records(arrival, clock, waited)
        if self._line.heard(self._measurements.newest_ms):
            self.show()
        self._outgoing.add(records)
        if self._interpretation.is_about_device(arrival.channel):
            self.show()

    def _reject(self, octets: bytes, reason: str, mono_ms: int) -> None:
        self._outgoing.add(self._report.rejected(octets, reason, mono_ms))

    # -- the link

    def _change_link(self, change: LinkChange) -> None:
        was_up = self._line.is_up
        self._line.changed(change)
        if self._line.is_up:
            self._entry.count("links")
            self._interpretation.link_up()
            self._measurements.link_up()
            self._admission.link_up(change.mono_ms)
        elif was_up:
            self._link_down(change)
        self.show()

    def _link_down(self, change: LinkChange) -> None:
        self._asking.link_lost()
        self._reads_done()
        self._settle(change.mono_ms)
        self._admission.link_down()
        if change.state is LinkState.ENDED:
            self._outgoing.add(self._measurements.flush())
        else:
            self._interrupt(_LINK_LOST)

    def _reads_done(self) -> None:
        """Nothing more will be read on this link: say at once what the device is."""
        self._admission.reads_done()
        self._outgoing.add(self._report.info())
        if self._admission.is_bound:
            self._outgoing.add(self._report.identity(self._admission.identity))
        self.show()

    def _interrupt(self, cause: str) -> None:
        if self._measurements.is_stream:
            self._entry.count("link_losses")
        self._outgoing.add(self._measurements.interrupted(cause))
