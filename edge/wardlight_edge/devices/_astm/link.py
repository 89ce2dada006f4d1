"""The data link of ASTM E1381: who speaks, and what happens to each frame. No I/O, no clock.

    neutral --ENQ--> receiving --EOT, 30 s--> neutral
       |                       frame good -> its text, then ACK    bad -> NAK
       +--send, ENQ--> calling --ACK--> sending --every frame ACKed, EOT--> neutral
                          | NAK: again after 10 s   | NAK: the frame again, 6 times at most
                          | ENQ (contention): the host yields, again after 20 s
                          | 15 s without an answer: EOT

The ACK of a frame is not sent by the link: it comes as FrameText and is answered by its taker. A
frame that came before is acknowledged again and not given out twice; the first of a transmission
has number 1, whatever came in the one before.

Source  ASTM E1381-02 (CLSI LIS01-A2): 6.2 establishment, 6.2.7 contention, 6.3 transfer, 6.4
        termination, 6.5 error recovery (times and retries)
"""

from enum import Enum, auto
from typing import Final

import msgspec

from wardlight_edge.devices._astm.frames import (
    ACK,
    ENQ,
    EOT,
    LF,
    MAX_TEXT,
    NAK,
    STX,
    Frame,
    decode_frame,
    encode_frame,
)
from wardlight_edge.devices._base import FramerCounts
from wardlight_shared.errors import DecodeError

ANSWER_MS: Final = 15_000
RECEIVE_MS: Final = 30_000
BUSY_MS: Final = 10_000
CONTENTION_MS: Final = 20_000
MOST_RETRIES: Final = 6
MOST_CALLS: Final = 10
ACK_OCTET: Final = bytes((ACK,))
_NAK_OCTET: Final = bytes((NAK,))
_ENQ_OCTET: Final = bytes((ENQ,))
_EOT_OCTET: Final = bytes((EOT,))


class Phase(Enum):
    """Where the link is."""

    NEUTRAL = auto()
    RECEIVING = auto()
    CALLING = auto()
    SENDING = auto()
    YIELDING = auto()


class Octets(msgspec.Struct, frozen=True):
    """Send these."""

    octets: bytes


class FrameText(msgspec.Struct, frozen=True):
    """The text of a new good frame: take it, then send ACK_OCTET."""

    text: bytes
    is_last: bool


class Begun(msgspec.Struct, frozen=True):
    """The peer begins to send."""


class Ended(msgspec.Struct, frozen=True):
    """The peer has ended its transmission; False: it was cut off."""

    is_whole: bool


class Sent(msgspec.Struct, frozen=True):
    """What was to be sent is delivered, or given up."""

    is_delivered: bool


class BadFrame(msgspec.Struct, frozen=True):
    """A frame that was answered NAK."""

    length: int
    reason: str


Outcome = Octets | FrameText | Begun | Ended | Sent | BadFrame


class AstmLink:
    """One side of a link."""

    def __init__(self) -> None:
        self.phase = Phase.NEUTRAL
        self._kept = bytearray()
        self._taken: int | None = None  # number of the newest frame of this transmission
        self._due_ms: int | None = None
        self._outgoing: tuple[Frame, ...] = ()
        self._at = 0
        self._tries = 0
        self._frames = 0
        self._damaged = 0
        self._skipped = 0

    @property
    def counts(self) -> FramerCounts:
        """Frames received so far."""
        return FramerCounts(self._frames, self._damaged, self._skipped)

    @property
    def due_ms(self) -> int | None:
        """When ``waited`` must be called."""
        return self._due_ms

    @property
    def is_sending(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._outgoing)

    def send(self, frames: tuple[Frame, ...], now_ms: int) -> list[Outcome]:
        """Begin to send a message as soon as the link is neutral; one at a time."""
        self._outgoing, self._at, self._tries = frames, 0, 0
        return self._call(now_ms) if self.phase is Phase.NEUTRAL else []

    def received(self, octets: bytes, now_ms: int) -> list[Outcome]:
        """Take the next octets."""
        outcomes: list[Outcome] = []
        for octet in octets:
            if self._kept:
                outcomes += self._in_frame(octet, now_ms)
            else:
                outcomes += self._control(octet, now_ms)
        return outcomes

    def waited(self, now_ms: int) -> list[Outcome]:
        """``due_ms`` has passed: the peer is silent, or it is time to call again."""
        if self._due_ms is None or now_ms < self._due_ms:
            return []
        match self.phase:
            case Phase.RECEIVING:
                self._skipped += len(self._kept)
                return [Ended(is_whole=False), *self._neutral(now_ms)]
            case Phase.CALLING | Phase.SENDING:
                return self._give_up(now_ms)
            case _:
                self.phase = Phase.NEUTRAL
                return self._call(now_ms)

    # -- receiving

    def _control(self, octet: int, now_ms: int) -> list[Outcome]:
        match octet:
            case 0x05 if self.phase in (Phase.NEUTRAL, Phase.YIELDING, Phase.RECEIVING):
                return self._begin(now_ms)
            case 0x05 if self.phase is Phase.CALLING:
                self.phase, self._due_ms = Phase.YIELDING, now_ms + CONTENTION_MS
                return []
            case 0x02 if self.phase is Phase.RECEIVING:
                self._kept.append(STX)
                return []
            case 0x04 if self.phase is Phase.RECEIVING:
                return [Ended(is_whole=True), *self._neutral(now_ms)]
            case 0x06 | 0x15 | 0x04 if self.phase in (Phase.CALLING, Phase.SENDING):
                return self._answered(octet, now_ms)
        self._skipped += 1
        return []

    def _begin(self, now_ms: int) -> list[Outcome]:
        """ENQ; in the middle of a transmission it begins a new one, the old is cut off."""
        cut = [Ended(is_whole=False)] if self.phase is Phase.RECEIVING else []
        self.phase, self._taken = Phase.RECEIVING, None
        self._due_ms = now_ms + RECEIVE_MS
        return [*cut, Begun(), Octets(ACK_OCTET)]

    def _in_frame(self, octet: int, now_ms: int) -> list[Outcome]:
        """One more octet of a frame; LF after CR ends it, STX or a control begins anew."""
        if octet in (STX, ENQ, EOT):
            self._skipped += len(self._kept)
            self._damaged += 1
            self._kept.clear()
            return self._control(octet, now_ms)
        self._kept.append(octet)
        if octet == LF:
            return self._frame(now_ms)
        if len(self._kept) > MAX_TEXT:
            length = len(self._kept)
            self._kept.clear()
            self._skipped += length
            return self._bad(length, f"a frame of over {MAX_TEXT} bytes")
        return []

    def _frame(self, now_ms: int) -> list[Outcome]:
        octets = bytes(self._kept)
        self._kept.clear()
        self._due_ms = now_ms + RECEIVE_MS
        try:
            frame = decode_frame(octets)
        except DecodeError as error:
            return self._bad(len(octets), str(error))
        if frame.number == ((self._taken or 0) + 1) % 8:
            self._frames += 1
            self._taken = frame.number
            return [FrameText(frame.text, frame.is_last)]
        if frame.number == self._taken:
            return [Octets(ACK_OCTET)]  # its ACK was lost; it was taken already
        return self._bad(len(octets), "ASTM frame: a number out of order")

    def _bad(self, length: int, reason: str) -> list[Outcome]:
        self._damaged += 1
        return [BadFrame(length, reason), Octets(_NAK_OCTET)]

    # -- sending

    def _call(self, now_ms: int) -> list[Outcome]:
        if not self._outgoing:
            return []
        self._tries += 1
        if self._tries > MOST_CALLS:
            return self._sent(is_delivered=False)
        self.phase, self._due_ms = Phase.CALLING, now_ms + ANSWER_MS
        return [Octets(_ENQ_OCTET)]

    def _answered(self, octet: int, now_ms: int) -> list[Outcome]:
        if self.phase is Phase.CALLING:
            if octet != ACK:  # busy
                self.phase, self._due_ms = Phase.YIELDING, now_ms + BUSY_MS
                return []
            self.phase, self._tries = Phase.SENDING, 0
            return self._transmit(now_ms)
        if octet == NAK:
            self._tries += 1
            return self._give_up(now_ms) if self._tries > MOST_RETRIES else self._transmit(now_ms)
        # ACK, or EOT: taken, with the wish that we end; what is left of a message is short
        self._at, self._tries = self._at + 1, 0
        if self._at < len(self._outgoing):
            return self._transmit(now_ms)
        return [Octets(_EOT_OCTET), *self._sent(is_delivered=True)]

    def _transmit(self, now_ms: int) -> list[Outcome]:
        self._due_ms = now_ms + ANSWER_MS
        return [Octets(encode_frame(self._outgoing[self._at]))]

    def _give_up(self, now_ms: int) -> list[Outcome]:
        del now_ms
        return [Octets(_EOT_OCTET), *self._sent(is_delivered=False)]

    def _sent(self, *, is_delivered: bool) -> list[Outcome]:
        self.phase, self._due_ms, self._outgoing = Phase.NEUTRAL, None, ()
        return [Sent(is_delivered)]

    def _neutral(self, now_ms: int) -> list[Outcome]:
        self.phase, self._due_ms = Phase.NEUTRAL, None
        self._kept.clear()
        return self._call(now_ms)
