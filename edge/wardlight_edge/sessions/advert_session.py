"""The session of a device that advertises its values.

    advert -> receiver (repetition? genuine?) -> flag implausible -> event
           -> append (returns after COMMIT) -> keep what the receiver knows

What the receiver knows is written after the COMMIT, so a kill between the two brings an advert
twice, under the same event id, never not at all. An advert is said again for a while, but no device
keeps it: what finds no room is lost, and told as a gap.
"""

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from wardlight_edge import devices
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import AdvertRefused, flag_implausible
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.acceptance import Acceptance
from wardlight_edge.sessions.advert_memory import Kept, beginning
from wardlight_edge.sessions.advert_trust import Trust
from wardlight_edge.sessions.advertising import receiver_of
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.device_clock import LinkClock
from wardlight_edge.sessions.events import EventLog
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.inbox import Inbox, Lost
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.outgoing import Outgoing
from wardlight_edge.sessions.records import check_numbers
from wardlight_edge.sessions.report import Report
from wardlight_edge.sessions.told import Told
from wardlight_edge.transports.base import (
    Anew,
    Arrival,
    LinkChange,
    LinkState,
    Octets,
    Transport,
)
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Reading
from wardlight_shared.profile import Profile, TransportAdverts

OUTBOX_FULL: Final = "outbox-full"
_BATTERY: Final = "battery"
_NAME_BYTES: Final = 16


class AdvertSession:
    """Consumes the adverts of one device; ``inbox`` is where its transport puts them.

    handed_on  what the session before it could not have accepted: its ``left``

    PrivateFileError: its bind key cannot be used.
    """

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        gateway: Gateway,
        entry: DeviceEntry,
        handed_on: Sequence[NewRecord] = (),
    ) -> None:
        self._device = device
        self._profile = profile
        self._gateway = gateway
        self._entry = entry
        self._measures = frozenset(each.name for each in profile.metrics)
        self._report = Report(device.identity, gateway, entry)
        acceptance = Acceptance(gateway, entry, self._note_refusal)
        self.inbox = Inbox(acceptance.is_full)
        self._events = EventLog(device.identity, profile, gateway, AlarmLimits(profile))
        before = None if gateway.adverts is None else gateway.adverts.read(device.identity)
        self._is_saved = before is not None
        self._saved = before or beginning()
        self._number = self._saved.number
        self._receiver = receiver_of(device, profile, self._saved.receiver)
        self._trust = Trust()
        self._link = LinkChange(LinkState.WAITING, 0)
        self._ignored: set[str] = set()
        self._outgoing = Outgoing(device.identity, acceptance, handed_on)
        self._outgoing.add(self._gap_of_earlier())

    async def run(self, transport: Transport) -> None:
        """Consume until the inbox is closed and empty; then all of it is in the outbox."""
        del transport
        await self._save(self._saved)  # its token must be on the disk before the first event
        while not self.inbox.is_done:
            for arrival in await self.inbox.take(0.0 if self._outgoing else None):
                self._take(arrival)
            await self._accept()

    @property
    def left(self) -> list[NewRecord]:
        """After a fault: what the next session is to have accepted.

        An event without a counter has a name by its number: heard again, with the receiver's
        memory of before, it might get another. So it is not handed on, but heard again only.
        """
        is_named = self._receiver.is_unique
        return self._outgoing.left(lambda one: is_named or one.event_id is None)

    def _gap_of_earlier(self) -> list[NewRecord]:
        """The process before ended while the outbox refused: how much was heard is not known."""
        since_ms = self._saved.refusing_since_ms
        if since_ms is None:
            return []
        clock = self._gateway.clock
        passed_ms = max(clock.wall_ms() - since_ms, 0)
        now_ms = clock.mono_ms()
        return self._report.lost(Lost(OUTBOX_FULL, 0, now_ms - passed_ms, now_ms))

    @property
    def kinds(self) -> frozenset[str]:
        """What its transport is to deliver."""
        return devices.load_advert(self._profile.decoder).ADVERTS

    @property
    def silence_s(self) -> float:
        """After so long without a word the same bytes are a new measurement."""
        adverts = self._profile.transport.adverts or TransportAdverts()
        return adverts.silence_s

    # -- arrivals

    def _take(self, arrival: Arrival) -> None:
        match arrival:
            case Octets():
                self._take_advert(arrival)
            case Anew(is_renewed=True):
                self._receiver = receiver_of(self._device, self._profile, b"")
            case Anew():
                self._receiver.rested()
            case LinkChange():
                self._link = arrival
        self._show()

    def _take_advert(self, arrival: Octets) -> None:
        try:
            readings = self._receiver.take(arrival.channel, arrival.octets)
            check_numbers(readings)
        except AdvertRefused as error:
            self._trust.refused(error.refusal, arrival.mono_ms)
            self._reject(arrival, str(error))
        except DecodeError as error:
            self._reject(arrival, str(error))
        else:
            self._trust.genuine(arrival.mono_ms)
            self._values(readings, arrival)

    def _reject(self, arrival: Octets, reason: str) -> None:
        if self._trust.may_keep(arrival.mono_ms):
            self._outgoing.add(self._report.rejected(arrival.octets, reason, arrival.mono_ms))
        else:
            self._entry.count("decode_errors")

    def _values(self, readings: tuple[Reading, ...], arrival: Octets) -> None:
        """What the device measures becomes an event, its battery a status.

        A sensor may say more than its profile has: the temperature of a room is nobody's fever.
        """
        if not readings:
            return
        self._entry.saw_data(arrival.mono_ms, arrival.wall_ms)
        self._tell_battery(readings, arrival)
        measured = [each for each in readings if each.metric != _BATTERY]
        self._ignore({each.metric for each in measured} - self._measures)
        taken = tuple(each for each in measured if each.metric in self._measures)
        if not taken:
            return
        self._entry.count("readings", len(taken))
        self._number += 1
        flagged = flag_implausible(taken, self._profile)
        name = self._name(arrival.octets)
        self._outgoing.add([self._events.record(flagged, arrival, LinkClock(), name=name)])

    def _tell_battery(self, readings: tuple[Reading, ...], arrival: Octets) -> None:
        for each in readings:
            if each.metric == _BATTERY and not isinstance(each.value, str):
                told = Told(battery_percent=int(each.value))
                self._outgoing.add(self._report.told(told, self._events.receipt(arrival)))

    def _ignore(self, strange: set[str]) -> None:
        self._entry.count("ignored", len(strange - self._ignored))
        self._ignored |= strange

    def _name(self, raw: bytes) -> bytes:
        """The event id of an advert that carries no time.

        With a counter its bytes never come twice. Else it is the n-th event of this device: an
        advert that is decoded again because its memory was not kept is the n-th again.
        """
        place = b"" if self._receiver.is_unique else self._saved.token + b"%d" % self._number
        named = blake2b(digest_size=_NAME_BYTES, person=b"wardlight-advert")
        for part in (self._device.identity.encode(), place, raw):
            named.update(len(part).to_bytes(4, "big"))
            named.update(part)
        return named.digest()

    # -- the outbox, and what must be known after a restart

    async def _accept(self) -> None:
        """Append what was made; return when it is committed and the receiver's memory is kept."""
        lost = self.inbox.take_lost()
        if lost is not None:
            self._outgoing.add(self._report.lost(lost))
        while self._outgoing:
            await self._outgoing.commit()
            self._show()
        await self._save(Kept(self._saved.token, self._number, self._receiver.memory))

    async def _save(self, kept: Kept) -> None:
        if kept != self._saved or not self._is_saved:
            await asyncio.to_thread(self._keep, kept)

    def _keep(self, kept: Kept) -> None:
        memories = self._gateway.adverts
        if memories is not None and memories.keep(self._device.identity, kept):
            self._saved, self._is_saved = kept, True

    def _note_refusal(self) -> None:
        """The outbox begins to refuse: should the process end now, the loss must be known.

        The receiver is ahead of what is committed, so nothing but the mark is new. A mark that is
        there is of a gap that is not told yet.
        """
        since_ms = self._saved.refusing_since_ms or self._gateway.clock.wall_ms()
        self._keep(msgspec.structs.replace(self._saved, refusing_since_ms=since_ms))

    # -- the board

    def _show(self) -> None:
        line = self._link.state, self._link.reason
        state, reason = line if self._link.reason is not None else self._trust.trouble or line
        self._outgoing.add(self._report.link(state, reason, is_stream=False))
