"""Devices that are answered: runs a Conversation over a link, and answers after the COMMIT.

    octets -> conversation -> actions in order: Take -> records -> append (returns after COMMIT)
           -> its answer; Say -> sent; Reject -> quarantine; HangUp -> the link ends

One Conversing serves all links of a device or port. It raises TransportError when a link is over.
"""

import asyncio
import logging
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.devices import (
    Action,
    Conversation,
    HangUp,
    Now,
    Reject,
    Say,
    Take,
    Tell,
)
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.acceptance import Acceptance
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.report import Report
from wardlight_edge.sessions.sources import Sources
from wardlight_edge.sessions.subject_keys import SubjectKeys
from wardlight_edge.transports.links import Link
from wardlight_shared.errors import DecodeError, TransportError
from wardlight_shared.model import DeviceInfo
from wardlight_shared.profile import Profile

MOST_IGNORED: Final = 256
_logger = logging.getLogger(__name__)


class Conversing:
    """Serves the links of one device, or of one port with many sources behind it.

    keys              makes the keys of subjects; None = every reading is the device's own patient's
    accept_timeout_s  how long a Take with a refusal may wait for its COMMIT
    """

    def __init__(
        self,
        identity: str,
        profile: Profile,
        gateway: Gateway,
        entry: DeviceEntry,
        *,
        idle_timeout_s: float | None,
        accept_timeout_s: float,
        keys: SubjectKeys | None = None,
    ) -> None:
        self._identity = identity
        self._gateway = gateway
        self._entry = entry
        self._idle_timeout_s = idle_timeout_s
        self._accept_timeout_s = accept_timeout_s
        self._report = Report(identity, gateway, entry)
        self._acceptance = Acceptance(gateway, entry)
        self._sources = Sources(identity, profile, gateway, keys)
        self._ignored: set[str] = set()

    @property
    def report(self) -> Report:
        """What is said of the device itself."""
        return self._report

    async def append(self, records: list[NewRecord]) -> None:
        """Commit records that answer nobody."""
        if records:
            await self._acceptance.append(records)

    async def serve(self, link: Link, conversation: Conversation) -> None:
        """Hold one conversation to its end."""
        self._entry.count("links")
        talk = _Talk(self, link, conversation)
        if not await talk.do(conversation.opened(_now(self._gateway.clock))):
            return
        while await talk.step(self._idle_timeout_s):
            pass

    # -- what a talk asks for

    async def take(self, take: Take, info: DeviceInfo) -> bytes:
        """Commit; returns what to answer."""
        self._note_ignored(take.ignored)
        records = self._sources.records(take.events, info)
        if not records:
            return take.answer
        if take.refusal is None:
            await self._acceptance.append(records)
        else:
            try:
                async with asyncio.timeout(self._accept_timeout_s):
                    await self._acceptance.append(records)
            except TimeoutError:
                return take.refusal
        clock = self._gateway.clock
        self._entry.saw_data(clock.mono_ms(), clock.wall_ms())
        for event in take.events:
            self._entry.count("readings", len(event.readings))
        return take.answer

    def _note_ignored(self, codes: tuple[str, ...]) -> None:
        """Say once of each code that its numbers are not stored."""
        self._entry.count("ignored", len(codes))
        for code in codes:
            if code not in self._ignored and len(self._ignored) < MOST_IGNORED:
                self._ignored.add(code)
                extra = {"device": self._identity, "code": code}
                _logger.warning("numbers without a metric are not stored", extra=extra)

    async def reject(self, reject: Reject) -> None:
        """Quarantine what cannot be read; the record that tells of it is committed."""
        mono_ms = self._gateway.clock.mono_ms()
        records = self._report.rejected(reject.octets, reject.reason, mono_ms)
        await self.append(records)

    def now(self) -> Now:
        """The gateway's clocks."""
        return _now(self._gateway.clock)


class _Talk:
    """One link while it lasts."""

    def __init__(self, owner: Conversing, link: Link, conversation: Conversation) -> None:
        self._owner = owner
        self._link = link
        self._conversation = conversation
        self._info = DeviceInfo()
        self._damaged = 0

    async def step(self, idle_timeout_s: float | None) -> bool:
        """Wait for octets or for what is due; False: the link is over."""
        wait_s, is_due = self._wait_s(idle_timeout_s)
        try:
            octets = await self._link.read(wait_s)
        except TimeoutError as error:
            if not is_due:
                raise TransportError("silent for too long") from error
            return await self.do(self._conversation.waited(self._owner.now()))
        if not octets:
            return False
        return await self.do(self._conversation.received(octets, self._owner.now()))

    async def do(self, actions: tuple[Action, ...]) -> bool:
        """Do actions in order; False after a HangUp."""
        damaged = self._conversation.counts.damaged
        self._owner.report.damaged(damaged - self._damaged)
        self._damaged = damaged
        for action in actions:
            match action:
                case Say():
                    await self._say(action.octets)
                case Take():
                    await self._take(action)
                case Reject():
                    await self._owner.reject(action)
                case Tell():
                    self._info = action.info
                case HangUp():
                    _logger.info("hung up", extra={"reason": action.reason})
                    return False
        return True

    async def _take(self, take: Take) -> None:
        try:
            answer = await self._owner.take(take, self._info)
        except DecodeError as error:
            await self._owner.reject(Reject(b"", str(error)))
            answer = take.refusal or b""
        await self._say(answer)

    async def _say(self, octets: bytes) -> None:
        if octets:
            await self._link.write(octets)

    def _wait_s(self, idle_timeout_s: float | None) -> tuple[float | None, bool]:
        """Seconds to wait, and whether the conversation is due then."""
        due_ms = self._conversation.due_ms
        if due_ms is None:
            return idle_timeout_s, False
        due_s = max(due_ms - self._owner.now().mono_ms, 0) / 1000
        if idle_timeout_s is not None and idle_timeout_s < due_s:
            return idle_timeout_s, False
        return due_s, True


def _now(clock: Clock) -> Now:
    return Now(clock.mono_ms(), clock.wall_ms())
