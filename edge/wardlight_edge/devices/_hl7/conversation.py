"""One HL7 connection: each message is taken or refused, and answered in order.

A message is accepted (AA) when its events are committed; what commits too slowly is answered AE, so
that the sender keeps it and sends it again. What cannot be read is quarantined without PID, PV1 and
the other segments that name people.

An OBX that does not fit (see ``observations``) is quarantined alone, and named in the AA by an ERR
of severity W. AE would say that nothing was taken: the sender would repeat for ever, or give up
what was good.
"""

import re
from typing import Final

from wardlight_edge.devices._base import FramerCounts
from wardlight_edge.devices._conversation import Action, HangUp, Now, Reject, Say, Take, Tell
from wardlight_edge.devices._hl7 import acknowledgement
from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_edge.devices._hl7.message import Message, header_of, parse
from wardlight_edge.devices._hl7.mllp import MllpFramer, framed
from wardlight_edge.devices._hl7.observations import Unfit, ignored, observations
from wardlight_shared.model import DeviceInfo

# A line with another control character may be several segments, parted by what parts none.
_KEPT: Final = re.compile(rb"(?:MSH|OBR|OBX)(?![A-Za-z0-9])[^\x00-\x08\x0a-\x1f]*\Z")
_VERSIONS: Final = ("2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9")
_SLOW: Final = Hl7Error(207, "", "not stored yet: send it again")
_EUI_64: Final = "EUI-64"
_MOST_NOISE: Final = 64 * 1024
_MOST_REFUSED: Final = 100  # in a row: what only ever sends such is hung up


class Hl7Conversation:
    """State of one connection."""

    def __init__(self, max_message: int, timeout_ms: int) -> None:
        self._framer = MllpFramer(max_message)
        self._timeout_ms = timeout_ms
        self._info: DeviceInfo | None = None
        self._refused = 0
        self._due_ms: int | None = None

    @property
    def counts(self) -> FramerCounts:
        """Messages received so far."""
        return self._framer.counts

    @property
    def due_ms(self) -> int | None:
        """When a message that has begun must have ended."""
        return self._due_ms

    def opened(self, now: Now) -> tuple[Action, ...]:
        """The sender speaks first."""
        del now
        return ()

    def waited(self, now: Now) -> tuple[Action, ...]:
        """A message has begun and does not end."""
        if self._due_ms is None or now.mono_ms < self._due_ms:
            return ()
        reason = "a message that does not end"
        return (Reject(b"", f"HL7: {reason}"), HangUp(reason))

    def received(self, octets: bytes, now: Now) -> tuple[Action, ...]:
        """Take the next octets."""
        actions: list[Action] = []
        for frame in self._framer.feed(octets):
            self._due_ms = None
            actions += self._answer(frame, now)
        if not self._framer.is_inside:
            self._due_ms = None
        elif self._due_ms is None:
            self._due_ms = now.mono_ms + self._timeout_ms
        return (*actions, *self._end(now))

    def _end(self, now: Now) -> list[Action]:
        """What ends the link: it brings nothing that could be of use."""
        if self._framer.overrun is not None:
            error = Hl7Error(102, "", "the message is longer than this gateway takes")
            said = header_of(self._framer.overrun)
            answer = framed(acknowledgement.refused(said, error, now.wall_ms))
            return [Say(answer), Reject(b"", str(error)), HangUp(error.reason)]
        if self._framer.counts.skipped_octets > _MOST_NOISE:
            return [HangUp("what is sent is not MLLP")]
        if self._refused > _MOST_REFUSED:
            return [HangUp("too many refused messages in a row")]
        return []

    def _answer(self, frame: bytes, now: Now) -> list[Action]:
        message: Message | None = None
        try:
            message = parse(frame)
            check_header(message)
            found = observations(message)
        except Hl7Error as error:
            self._refused += 1
            said = message or header_of(frame)
            answer = framed(acknowledgement.refused(said, error, now.wall_ms))
            return [Reject(without_identifiers(frame), str(error)), Say(answer)]
        self._refused = 0
        warnings = [each.error for each in found.unfit]
        accepted = framed(acknowledgement.accepted(message, warnings, now.wall_ms))
        slow = framed(acknowledgement.refused(message, _SLOW, now.wall_ms))
        if acknowledgement.wants_none(message):
            accepted = slow = b""
        left_out = [_left_out(message, each) for each in found.unfit]
        take = Take(found.events, accepted, slow, ignored(message))
        return [*self._told(message), *left_out, take]

    def _told(self, message: Message) -> list[Action]:
        info = sender(message)
        if info == self._info:
            return []
        self._info = info
        return [Tell(info)]


def check_header(message: Message) -> None:
    """Raise Hl7Error unless this is an ORU^R01 (or R30, R31, R32) of a version known here."""
    header = message.header
    if not message.part(header, 10, 1):
        raise Hl7Error(101, header.where(10), "no message control id")
    if message.part(header, 9, 1) != "ORU" or message.part(header, 9, 2) not in (
        "R01", "R30", "R31", "R32",
    ):  # fmt: skip
        raise Hl7Error(200, header.where(9), "only ORU^R01 is taken here")
    if message.part(header, 11, 1) not in ("", "P", "D", "T"):
        raise Hl7Error(202, header.where(11), "a processing id that is none")
    if not message.part(header, 12, 1).startswith(_VERSIONS):
        raise Hl7Error(203, header.where(12), "versions 2.2 to 2.9 are read here")


def sender(message: Message) -> DeviceInfo:
    """What MSH says of the sending system."""
    application = message.parts(message.header, 3)
    name, identifier, kind = (*application, "", "", "")[:3]
    maker = message.part(message.header, 4, 1)
    is_eui = kind == _EUI_64 and len(identifier) == 16 and identifier.isalnum()
    return DeviceInfo(
        manufacturer=maker[:80] or None,
        model=name[:80] or None,
        system_id=identifier.upper() if is_eui else None,
    )


def _left_out(message: Message, unfit: Unfit) -> Reject:
    kept = f"{message.header.text}\r{unfit.text}".encode()
    return Reject(without_identifiers(kept), str(unfit.error))


def without_identifiers(octets: bytes) -> bytes:
    """What may be kept of a refused message: the lines of it that hold no patient, as sent."""
    lines = octets.replace(b"\n", b"\r").split(b"\r")
    return b"\r".join(line for line in lines if _KEPT.match(line))
