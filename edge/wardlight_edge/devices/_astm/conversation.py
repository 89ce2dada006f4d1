"""One ASTM link: every result is accepted before the frame that brought it is acknowledged.

A record that cannot be read is quarantined and its frame acknowledged all the same: sent again, it
would be no better, and the results behind it must come. Of such records only results are kept: they
name no patient. A query is answered "no information".
"""

from collections.abc import Mapping
from typing import Final

from wardlight_edge.devices._astm.frames import frames_of
from wardlight_edge.devices._astm.link import (
    ACK_OCTET,
    AstmLink,
    BadFrame,
    Begun,
    Ended,
    FrameText,
    Octets,
    Outcome,
)
from wardlight_edge.devices._astm.records import (
    MAX_RECORD,
    AstmRecords,
    Result,
    without_identifiers,
)
from wardlight_edge.devices._base import FramerCounts
from wardlight_edge.devices._conversation import Action, Event, Now, Reject, Say, Take, Tell
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo

_NO_INFORMATION: Final = (b"H|\\^&", b"L|1|I")


class AstmConversation:
    """State of one link."""

    def __init__(self, tests: Mapping[str, str]) -> None:
        self._tests = tests
        self._link = AstmLink()
        self._records = AstmRecords(tests)
        self._text = bytearray()
        self._info = DeviceInfo()

    @property
    def counts(self) -> FramerCounts:
        """Frames received so far."""
        return self._link.counts

    @property
    def due_ms(self) -> int | None:
        """The link's timer."""
        return self._link.due_ms

    def opened(self, now: Now) -> tuple[Action, ...]:
        """The device speaks first."""
        del now
        return ()

    def received(self, octets: bytes, now: Now) -> tuple[Action, ...]:
        """Take the next octets."""
        return self._actions(self._link.received(octets, now.mono_ms), now)

    def waited(self, now: Now) -> tuple[Action, ...]:
        """A timer of the link has run out."""
        return self._actions(self._link.waited(now.mono_ms), now)

    def _actions(self, outcomes: list[Outcome], now: Now) -> tuple[Action, ...]:
        actions: list[Action] = []
        for outcome in outcomes:
            match outcome:
                case Octets():
                    actions.append(Say(outcome.octets))
                case FrameText():
                    actions += self._frame(outcome)
                case Begun():
                    self._records = AstmRecords(self._tests)
                    self._text.clear()
                case BadFrame():
                    actions.append(Reject(b"", outcome.reason))
                case Ended():
                    actions += self._ended(outcome, now)
        return tuple(actions)

    def _frame(self, frame: FrameText) -> list[Action]:
        """A record is whole at CR, or at the end of its last frame."""
        self._text += frame.text
        *lines, rest = bytes(self._text).split(b"\r")
        if frame.is_last:
            lines.append(rest)
            rest = b""
        if len(rest) > MAX_RECORD:
            rest = b""
            lines.append(b"\x00" * (MAX_RECORD + 1))
        self._text[:] = rest
        actions: list[Action] = []
        events: list[Event] = []
        for line in lines:
            try:
                result = self._records.take(line) if line.strip() else None
            except DecodeError as error:
                actions.append(Reject(without_identifiers(line), str(error)))
            else:
                events += [] if result is None else [_event(result)]
        if self._records.info != self._info:
            self._info = self._records.info
            actions.append(Tell(self._info))
        ignored = self._records.take_ignored()
        if not events and not ignored:
            return [*actions, Say(ACK_OCTET)]
        return [*actions, Take(tuple(events), ACK_OCTET, None, ignored)]

    def _ended(self, ended: Ended, now: Now) -> list[Action]:
        self._text.clear()
        if ended.is_whole and self._records.has_query and not self._link.is_sending:
            self._records.has_query = False
            outcomes = self._link.send(frames_of(_NO_INFORMATION), now.mono_ms)
            return list(self._actions(outcomes, now))
        return []


def _event(result: Result) -> Event:
    return Event((result.reading,), result.raw, b"", result.subject)
