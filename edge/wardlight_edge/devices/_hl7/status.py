"""OBX-8 and OBX-11: what the sender says of a value, and whether the value may be shown.

OBX-8   flags DEMO, TEST, QUES, INV, NAV, CAL, EARLY; LL, HH, AA raise an alarm; < and > are under
        and over range. Each repetition is a word (IS) or a coded element (CWE, from 2.8 on): its
        code and its alternate codes count. What is none of these says nothing here
OBX-11  P is EARLY, C a correction and D, W a withdrawal (named in the context), X not measured;
        N, O, I say that there is no value yet

Errors  Hl7Error: an OBX-11 of no meaning. It may be a withdrawal: such a message is not guessed at
Source  HL7 v2.6 and v2.8, 7.4.2.8 and 7.4.2.11, tables 0078 and 0085; 2.A.13 CWE; IHE Devices
        Technical Framework, volume 2, appendix B.8 (OBX-8)
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_edge.devices._hl7.message import Message, Segment
from wardlight_shared.model import Absent, Flag

_FLAGS: Final[Mapping[str, Flag]] = {
    "DEMO": Flag.DEMO,
    "TEST": Flag.TEST,
    "QUES": Flag.QUESTIONABLE,
    "EARLY": Flag.EARLY,
    "CAL": Flag.CALIBRATING,
    "CALO": Flag.CALIBRATING,
    "INV": Flag.INVALID,
    "NAV": Flag.UNAVAILABLE,
    "LL": Flag.DEVICE_ALARM,
    "HH": Flag.DEVICE_ALARM,
    "AA": Flag.DEVICE_ALARM,
}
_WITHHELD: Final[Mapping[str, Absent]] = {
    "INV": Absent.INVALID,
    "NAV": Absent.NOT_MEASURED,
    "<": Absent.UNDER_RANGE,
    ">": Absent.OVER_RANGE,
}
_WITHHELD_BY_RESULT: Final[Mapping[str, Absent]] = {
    "X": Absent.NOT_MEASURED,
    "D": Absent.INVALID,
    "W": Absent.INVALID,
}
_OF_AN_EARLIER: Final = {"C": "corrected", "D": "deleted", "W": "wrong"}
_PLAIN: Final = frozenset({"", "F", "R", "P", "S", "U", "A", "B", "V"})
_SILENT: Final = frozenset({"N", "O", "I"})
_CODES: Final = (0, 3, 9)  # components of a CWE: identifier, alternate, second alternate


class Status(msgspec.Struct, frozen=True):
    """What is said of one OBX.

    withheld  why its value must not be shown as one; None = it may
    context   names what it does to a result sent before; empty = nothing
    """

    flags: int
    withheld: Absent | None
    context: tuple[tuple[str, str], ...]


def status_of(message: Message, segment: Segment) -> Status | None:
    """Return what is said of an OBX; None = that it has no value yet."""
    result = message.part(segment, 11, 1)
    if result in _SILENT:
        return None
    if not (result in _PLAIN or result in _OF_AN_EARLIER or result in _WITHHELD_BY_RESULT):
        raise Hl7Error(103, segment.where(11), "a result status that is none")
    words = tuple(_words(message, segment))
    flags = int(Flag.EARLY) * (result == "P")
    for word in words:
        flags |= int(_FLAGS.get(word, 0))
    withheld = _WITHHELD_BY_RESULT.get(result)
    if withheld is None:
        withheld = next((_WITHHELD[word] for word in words if word in _WITHHELD), None)
    said = _OF_AN_EARLIER.get(result)
    return Status(flags, withheld, () if said is None else (("status", said),))


def _words(message: Message, segment: Segment) -> Iterator[str]:
    field = segment.field(8)
    if not field:
        return
    delimiters = message.delimiters
    for repetition in delimiters.repetitions(field):
        parts = delimiters.components(repetition)
        yield from (delimiters.text(parts[at]) for at in _CODES if at < len(parts))
