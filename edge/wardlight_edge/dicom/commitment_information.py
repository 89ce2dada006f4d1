"""The Event Information of a report of storage commitment, encoded piece by piece.

In      the outcomes of a decided request, some hundred at a time, as often as they are asked for
Out     Event Type ID, and the data set in Implicit or Explicit VR Little Endian
Errors  StorageError of what gives the outcomes, before the first piece is given

A report about 20,000 instances takes 35 MB as a Dataset; several may be on their way.

Source  DICOM PS3.4, J.3.3; PS3.5, 7.1 and 7.5
"""

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.spool.commitments import Reference

ALL_COMMITTED: Final = 1  # Event Type IDs
FAILURES_EXIST: Final = 2
_TRANSACTION: Final = 0x1195
_FAILED: Final = 0x1198
_COMMITTED: Final = 0x1199
_CLASS: Final = 0x1150
_INSTANCE: Final = 0x1155
_REASON: Final = 0x1197
_IMPLICIT: Final = Struct("<HHI")
_SHORT: Final = Struct("<HH2sH")
_LONG: Final = Struct("<HH2sHI")
_ITEM: Final = Struct("<HHI")
_NUMBER: Final = Struct("<H")

Outcomes = Callable[[], Iterable[list[tuple[Reference, int]]]]


class Information(msgspec.Struct, frozen=True):
    """``sequences``: tag within group 0008, octets; in the order of a data set."""

    event_type: int
    transaction: str
    sequences: tuple[tuple[int, int], ...]
    outcomes: Outcomes
    is_implicit: bool

    def pieces(self) -> Iterator[bytes]:
        """The data set."""
        yield self._element(_TRANSACTION, b"UI", _uid(self.transaction))
        for tag, octets in self.sequences:
            yield self._head(tag, b"SQ", octets)
            yield from self.items(tag)

    def items(self, tag: int) -> Iterator[bytes]:
        """The items of a sequence."""
        for page in self.outcomes():
            yield b"".join(
                self._item(reference, verdict)
                for reference, verdict in page
                if (verdict > 0) == (tag == _FAILED)
            )

    def _item(self, reference: Reference, verdict: int) -> bytes:
        body = self._element(_CLASS, b"UI", _uid(reference.sop_class))
        body += self._element(_INSTANCE, b"UI", _uid(reference.sop_instance))
        if verdict:
            body += self._element(_REASON, b"US", _NUMBER.pack(verdict))
        return _ITEM.pack(0xFFFE, 0xE000, len(body)) + body

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        return self._head(tag, vr, len(value)) + value

    def _head(self, tag: int, vr: bytes, length: int) -> bytes:
        if self.is_implicit:
            return _IMPLICIT.pack(0x0008, tag, length)
        if vr == b"SQ":
            return _LONG.pack(0x0008, tag, vr, 0, length)
        return _SHORT.pack(0x0008, tag, vr, length)


def information(transaction: str, outcomes: Outcomes, *, is_implicit: bool) -> Information:
    """What is to be told; goes through the outcomes once, so that all of them can be read."""
    made = Information(ALL_COMMITTED, transaction, (), outcomes, is_implicit)
    failed, committed = (sum(map(len, made.items(tag))) for tag in (_FAILED, _COMMITTED))
    sequences = ((_FAILED, failed), (_COMMITTED, committed))
    return msgspec.structs.replace(
        made,
        event_type=FAILURES_EXIST if failed else ALL_COMMITTED,
        sequences=tuple(each for each in sequences if each[1]),
    )


def _uid(uid: str) -> bytes:
    octets = uid.encode("ascii", "replace")
    return octets + b"\0" * (len(octets) % 2)
