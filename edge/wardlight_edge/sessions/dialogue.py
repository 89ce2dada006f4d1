"""One device's dialogue between its link and the outbox.

    ReadsDone -> begin -> requests to the link
    values    -> dialogue -> events to the session -> append (COMMIT) -> committed -> bookmark kept

Requests go to the link at once, what concerns records goes back to the session. A bookmark is
written after the commit of what it tells of, so a kill between the two only brings records again.
"""

import asyncio
import logging
import secrets
from typing import Final

from wardlight_edge import devices
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import (
    KEY,
    KEY_OCTETS,
    Bookmark,
    Bookmarks,
    ClockShown,
    Consent,
    ConsentingDecoder,
    DialogueDecoder,
    Done,
    Fetched,
    InformedDialogue,
    KeyedDecoder,
    Passed,
    Read,
    Reject,
    Steps,
    Trouble,
    Write,
)
from wardlight_edge.sessions.bookmarks import Shelf
from wardlight_edge.sessions.consent_codes import consents_of
from wardlight_edge.sessions.decoding import options_of
from wardlight_edge.transports.base import Octets, Refused, Request, Speaking, Transport, Written
from wardlight_shared.model import DeviceInfo
from wardlight_shared.profile import Profile

REST_S: Final = 15.0
"""Pause before a device that is still there is asked again."""

_logger = logging.getLogger(__name__)
News = Fetched | Passed | ClockShown | Reject | Trouble | Done
"""The steps that are the session's."""


class DeviceDialogue:
    """Holds the dialogue of one device.

    shelf      where bookmarks outlive the process; None = nowhere
    transport  the way to the device
    consents   of the device's users, for a decoder that asks them
    """

    def __init__(
        self,
        device: str,
        profile: Profile,
        decoder: DialogueDecoder | ConsentingDecoder,
        shelf: Shelf | None,
        transport: Speaking,
        consents: tuple[Consent, ...] = (),
    ) -> None:
        self._device = device
        self._shelf = shelf
        self._transport = transport
        ble = profile.transport.ble
        self._stays = ble is not None and ble.stay_connected
        self._kept: Bookmarks = {} if shelf is None else shelf.read(device)
        if isinstance(decoder, KeyedDecoder) and shelf is not None and KEY not in self._kept:
            self._kept = _with_key(device, self._kept, shelf)
        options = options_of(profile)
        self._dialogue = (
            decoder.dialogue(options, self._kept)
            if isinstance(decoder, DialogueDecoder)
            else decoder.consent_dialogue(options, consents)
        )
        self._info = DeviceInfo()
        self._link: int | None = None
        self._has_events = False

    @property
    def is_waiting(self) -> bool:
        """Whether time alone can bring it on."""
        return self._dialogue.deadline_ms is not None

    def takes(self, channel: str) -> bool:
        """Whether values of this characteristic are the conversation's now."""
        channels = self._dialogue.kept if self._link is None else self._dialogue.channels
        return channel in channels

    def begin(self, link: int, info: DeviceInfo, now_ms: int) -> list[News]:
        """The link is known to be the device's; ``info`` is what it says of itself."""
        self._link, self._info = link, info
        if isinstance(self._dialogue, InformedDialogue):
            self._dialogue.known_as(info)
        return self._follow(self._dialogue.begin(now_ms))

    def value(self, arrival: Octets) -> list[News]:
        """A value that it ``takes``; before it has begun the device keeps it."""
        if self._link is None:
            return []
        octets = devices.repaired(arrival.channel, arrival.octets, self._info)
        return self._follow(self._dialogue.value(arrival.channel, octets, arrival.mono_ms))

    def answered(self, answer: Written | Refused) -> list[News]:
        """A request was done or failed."""
        if self._link is None:
            return []
        if isinstance(answer, Written):
            return self._follow(self._dialogue.written(answer.channel, answer.mono_ms))
        steps = self._dialogue.refused(answer.channel, answer.att_code, answer.mono_ms)
        return self._follow(steps)

    def tick(self, now_ms: int) -> list[News]:
        """Time has passed."""
        return [] if self._link is None else self._follow(self._dialogue.tick(now_ms))

    def link_lost(self) -> list[News]:
        """The link is over."""
        told = [] if self._link is None else self._follow(self._dialogue.link_lost())
        self._link = None
        return told

    async def committed(self) -> list[News]:
        """Every event given so far is in the outbox: go on, and keep the bookmarks."""
        told = self._follow(self._dialogue.committed())
        bookmarks = dict(self._dialogue.bookmarks)
        if bookmarks != self._kept and await self._keep(bookmarks):
            self._kept = bookmarks
        return told

    async def _keep(self, bookmarks: Bookmarks) -> bool:
        if self._shelf is None:
            return False
        return await asyncio.to_thread(self._shelf.keep, self._device, bookmarks)

    def _follow(self, steps: Steps) -> list[News]:
        told: list[News] = []
        for step in steps:
            match step:
                case Write(channel, octets):
                    self._ask(Request(channel, octets))
                case Read(channel):
                    self._ask(Request(channel))
                case Done():
                    told.append(step)
                    self._done(step)
                case _:
                    told.append(step)
        return told

    def _ask(self, request: Request) -> None:
        if self._link is not None:
            self._transport.ask(self._link, request)

    def _done(self, done: Done) -> None:
        extra = {"device": self._device, "records": done.records}
        _logger.info("records fetched", extra=extra)
        if self._link is not None and not self._stays:
            self._transport.leave(self._link, REST_S)


def dialogue_of(
    device: DeviceSettings, profile: Profile, shelf: Shelf | None, transport: Transport
) -> DeviceDialogue | None:
    """The dialogue a device wants, where it can be held; None = it sends by itself.

    PrivateFileError: a consent code cannot be used.
    """
    ble = profile.transport.ble
    if ble is None or not isinstance(transport, Speaking):
        return None
    decoder = devices.load_gatt(profile.decoder)
    if not isinstance(decoder, DialogueDecoder | ConsentingDecoder):
        return None
    if decoder.CONTROL_POINTS.isdisjoint((*ble.indicate, *ble.notify)):
        return None
    consents = () if isinstance(decoder, DialogueDecoder) else consents_of(device)
    return DeviceDialogue(device.identity, profile, decoder, shelf, transport, consents)


def _with_key(device: str, kept: Bookmarks, shelf: Shelf) -> Bookmarks:
    """Add a new secret, once it is on the disk: a device must never know one that is lost."""
    made = {**kept, KEY: Bookmark(mark=secrets.token_hex(KEY_OCTETS))}
    return made if shelf.keep(device, made) else kept
