"""Whose observations they are: PID-3, or the bed or monitor where no patient is named.

The identifier is chosen by its type: medical record number, then patient internal identifier, then
the first there is. The result goes nowhere but into a keyed hash.

Errors  Hl7Error: neither a patient nor a monitor is named
Source  HL7 v2.6, 3.4.2.3 PID-3, 2.A.14 CX, table 0203; IHE Devices Technical Framework, volume 2,
        appendix B.7 (OBX-18, MSH-3)
"""

from typing import Final

from wardlight_edge.devices._conversation import Subject
from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_edge.devices._hl7.message import Message, Segment

PATIENT: Final = "patient"
MONITOR: Final = "monitor"
_TYPES: Final = ("MR", "PI", "PT", "PN", "")
_MAX: Final = 200


def patient(message: Message, segment: Segment) -> Subject | None:
    """The patient of a PID; None when it names none."""
    delimiters = message.delimiters
    found: dict[str, Subject] = {}
    for repetition in delimiters.repetitions(segment.field(3)):
        parts = [delimiters.text(part) for part in delimiters.components(repetition)]
        identifier, _, _, authority, kind = (*parts, "", "", "", "", "")[:5]
        if len(identifier) > _MAX or len(authority) > _MAX:
            raise Hl7Error(102, segment.where(3), f"an identifier of over {_MAX} characters")
        if identifier:
            found.setdefault(kind, Subject(PATIENT, authority, identifier))
    for kind in _TYPES:
        if kind in found:
            return found[kind]
    return next(iter(found.values()), None)


def bed(message: Message, segment: Segment) -> Subject | None:
    """The bed of a PV1; None when it names none."""
    return _monitor(message, segment, 3)


def monitor(message: Message, segment: Segment) -> Subject:
    """The monitor of an OBX: its OBX-18, else the sender."""
    found = _monitor(message, segment, 18) or _monitor(message, message.header, 3)
    if found is None:
        raise Hl7Error(101, "PID^1^3", "neither a patient nor a monitor is named")
    return found


def _monitor(message: Message, segment: Segment, field: int) -> Subject | None:
    parts = message.parts(segment, field)
    return Subject(MONITOR, "", "^".join(parts)[: 2 * _MAX]) if any(parts) else None
