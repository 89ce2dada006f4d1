"""MLLP: messages out of a byte stream, and one into it.

In      0B | message | 1C 0D, any number; what stands between frames is skipped and counted
Out     messages without their frame. The 0D after 1C is not waited for: a message is whole at 1C
        A 0B inside a message begins a new one: the one before was cut off, and is counted
Errors  ``overrun`` when a message is longer than its bound: the link is of no use then; DecodeError
        from ``unframed``
Source  HL7 v2 Transport Specification: MLLP, release 1, 2.1
"""

from typing import Final

from wardlight_edge.devices._base import FramerCounts
from wardlight_shared.errors import DecodeError

MAX_MESSAGE: Final = 1 << 20
START: Final = b"\x0b"
END: Final = b"\x1c"
_NO_NOISE: Final = b"\r\n" + START  # a frame that another one cuts off is counted as one
_HEAD: Final = 1024


class MllpFramer:
    """Framing state of one link: at most ``max_message`` octets are kept."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._max = max_message
        self._kept = bytearray()
        self._is_inside = False
        self._searched = 0
        self._frames = 0
        self._damaged = 0
        self._skipped = 0
        self.overrun: bytes | None = None
        """The first segment of a message that was too long; b"" = it does not end soon."""

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        return FramerCounts(self._frames, self._damaged, self._skipped)

    @property
    def is_inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._is_inside

    def feed(self, octets: bytes) -> tuple[bytes, ...]:
        """Take the next bytes; return the messages they complete."""
        if self.overrun is not None:
            return ()
        self._kept += octets
        done: list[bytes] = []
        while self._step(done):
            pass
        return tuple(done)

    def _step(self, done: list[bytes]) -> bool:
        """Use what is kept as far as one frame; False when more must come."""
        if not self._is_inside:
            return self._find_start()
        end = self._kept.find(END, self._searched)
        again = self._kept.rfind(START, 0, end if end >= 0 else len(self._kept))
        if again >= 0:
            self._skip(again)
            self._damaged += self._kept.count(START, 0, again + 1)
            del self._kept[: again + 1]
            self._searched = 0
            return True
        if max(end, len(self._kept) if end < 0 else 0) > self._max:
            head, ended, _ = bytes(self._kept[:_HEAD]).partition(b"\r")
            self.overrun = head if ended else b""
            self._damaged += 1
            self._kept.clear()
            return False
        self._searched = len(self._kept)
        if end < 0:
            return False
        done.append(bytes(self._kept[:end]))
        del self._kept[: end + 1]
        self._frames += 1
        self._is_inside = False
        return True

    def _find_start(self) -> bool:
        start = self._kept.find(START)
        self._skip(len(self._kept) if start < 0 else start)
        if start < 0:
            self._kept.clear()
            return False
        del self._kept[: start + 1]
        self._is_inside = True
        self._searched = 0
        return True

    def _skip(self, count: int) -> None:
        self._skipped += len(self._kept[:count].translate(None, _NO_NOISE))


def framed(message: bytes) -> bytes:
    """One message as a frame."""
    return START + message + END + b"\r"


def unframed(octets: bytes) -> tuple[bytes, ...]:
    """The messages of whole frames; octets without a frame are one message already.

    DecodeError: a frame that does not end.
    """
    if not octets.startswith(START):
        return (octets,)
    framer = MllpFramer()
    messages = framer.feed(octets)
    if framer.is_inside or framer.counts.damaged:
        raise DecodeError(f"MLLP: a message is cut off, {len(messages)} whole")
    return messages
