"""An ORU^R01 message as events: one for each patient, moment and result status.

Out     Events; readings of one event share patient, time and context
        OBX-8 and OBX-11 say what a value is worth: see ``status``
        OBX-14, else OBR-7, else MSH-7 is the time. MSH-11 D and T: a TEST, not a patient's
        What has no metric here, and what only contains others (MDS, VMD, channel), is passed over
Unfit   an OBX whose number or unit cannot be read or does not fit is left out alone: one parameter
        that a monitor writes in its own way must not keep the others from a patient's chart
Errors  Hl7Error: the first thing that is wrong otherwise; of such a message nothing is taken. So it
        is where nothing in it fits, more than MOST_UNFIT do not, or what does not fit corrects or
        withdraws a result (the wrong one would stay without a word), and where a patient, a time
        or a result status cannot be read: it could be anybody's, of any day, or withdrawn
Source  HL7 v2.6, 7.3.1 ORU, 7.4.2 OBX; IHE Devices Technical Framework, volume 2, 3.1
        (PCD-01) and appendix B
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from wardlight_edge.devices._conversation import Event, Subject
from wardlight_edge.devices._gatt import Number
from wardlight_edge.devices._hl7.coding import metric_of, unit_of
from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_edge.devices._hl7.message import Message, Segment
from wardlight_edge.devices._hl7.status import status_of
from wardlight_edge.devices._hl7.subjects import bed, monitor, patient
from wardlight_edge.devices._hl7.times import device_time, zone_of
from wardlight_edge.devices._hl7.values import value_of
from wardlight_edge.devices._mdc import measured
from wardlight_edge.devices._units import ConversionError, is_permitted
from wardlight_shared.codes import METRICS
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

MAX_READINGS: Final = 256
"""In one event: what one record of the outbox takes."""

MOST_UNFIT: Final = 64
"""In one message."""

_MOST_DIGITS: Final = 18  # what 63 bits hold
_WAVEFORMS: Final = frozenset({"NA", "MA", "CD"})
_NOT_CODE: Final = re.compile(r"[^A-Za-z0-9_-]")
_SITE: Final = re.compile(r"[\w .-]{1,64}\Z")
_SET_ID: Final = re.compile(r"^(OBX.)[^|]*")


class Unfit(msgspec.Struct, frozen=True):
    """An OBX that is left out, as sent, and why."""

    text: str
    error: Hl7Error


class Observations(msgspec.Struct, frozen=True):
    """What a message holds, and what was left out of it."""

    events: tuple[Event, ...]
    unfit: tuple[Unfit, ...]


class _Place(msgspec.Struct, frozen=True):
    """What holds for an OBX: its patient and the time of its OBR."""

    subject: Subject | None
    observed: str
    where: str


class _Found(msgspec.Struct, frozen=True):
    """A reading with what groups it, and the segment it came from."""

    subject: Subject
    time: DeviceTime | None
    context: tuple[tuple[str, str], ...]
    reading: Reading
    text: str


def observations(message: Message) -> Observations:
    """Every event of a message whose header was checked."""
    zone = zone_of(message.part(message.header, 7, 1), message.header.where(7))
    is_test = message.part(message.header, 11, 1) in ("D", "T")
    grouped: dict[tuple[object, ...], list[_Found]] = {}
    unfit: list[Unfit] = []
    for segment, place in _observations(message):
        for found in _found(message, segment, place, zone, is_test=is_test):
            if isinstance(found, Unfit):
                unfit.append(found)
            else:
                grouped.setdefault((found.subject, found.time, found.context), []).append(found)
    if unfit and (not grouped or len(unfit) > MOST_UNFIT):
        raise unfit[0].error
    token = f"{message.part(message.header, 10, 1)} {message.header.field(7)}".encode()
    events = tuple(event for found in grouped.values() for event in _events(found, token))
    return Observations(events, tuple(unfit))


def ignored(message: Message) -> tuple[str, ...]:
    """Codes of the numbers in a message that have no metric here."""
    codes: dict[str, None] = {}
    for segment in message.segments:
        if segment.name == "OBX" and segment.field(5) and message.part(segment, 2, 1) == "NM":
            parts = message.parts(segment, 3)
            if metric_of(parts) is None:
                codes[_NOT_CODE.sub("", "-".join(parts[:2]))[:80]] = None
    return tuple(codes)


def _events(found: list[_Found], token: bytes) -> Iterator[Event]:
    for at in range(0, len(found), MAX_READINGS):
        some = found[at : at + MAX_READINGS]
        raw = "\r".join(dict.fromkeys(_SET_ID.sub(r"\1", each.text) for each in some))
        readings = tuple(each.reading for each in some)
        yield Event(readings, raw.encode(), token, some[0].subject)


def _observations(message: Message) -> Iterator[tuple[Segment, _Place]]:
    """Each OBX with its place; PID begins a patient, OBR a group of observations."""
    place = _Place(None, "", "")
    for segment in message.segments:
        match segment.name:
            case "PID":
                place = _Place(patient(message, segment), "", "")
            case "PV1" if place.subject is None:
                place = _Place(bed(message, segment), place.observed, place.where)
            case "OBR":
                time = message.part(segment, 7, 1)
                place = _Place(place.subject, time, segment.where(7))
            case "OBX":
                yield segment, place


def _found(
    message: Message, segment: Segment, place: _Place, zone: int | None, *, is_test: bool
) -> Iterator[_Found | Unfit]:
    """The readings of one OBX: one for each repetition of its value."""
    metric = metric_of(message.parts(segment, 3))
    kind = message.part(segment, 2, 1)
    if metric is None or kind in _WAVEFORMS:
        return
    if not kind and not segment.field(5):
        return  # a container of PCD-01
    status = status_of(message, segment)
    if status is None:
        return
    time, flags = _time(message, segment, place, zone)
    flags |= status.flags | int(Flag.TEST) * is_test
    site = message.part(segment, 20, 2) or message.part(segment, 20, 1)
    subject = place.subject or monitor(message, segment)
    try:
        numbers = tuple(_numbers(message, segment, metric, kind, status.withheld))
    except Hl7Error as error:
        if status.context:
            raise
        yield Unfit(segment.text, error)
        return
    for number, unit in numbers:
        reading = Reading(
            metric, number[0], unit, number[1], number[2], time, flags,
            site=site if _SITE.match(site) else None, context=status.context,
        )  # fmt: skip
        yield _Found(subject, time, status.context, reading, segment.text)


def _numbers(
    message: Message, segment: Segment, metric: str, kind: str, withheld: Absent | None
) -> Iterator[tuple[Number, str]]:
    delimiters = message.delimiters
    for repetition in delimiters.repetitions(segment.field(5)):
        parts = [delimiters.text(part) for part in delimiters.components(repetition)]
        is_empty = withheld is not None and not any(parts)
        value, reason = (None, None) if is_empty else value_of(kind, parts, segment.where(5))
        absent = reason or withheld
        if value is None:
            yield (absent or Absent.NOT_MEASURED, None, None), METRICS[metric].unit
        else:
            yield _with_unit(message, segment, metric, value, absent)


def _with_unit(
    message: Message, segment: Segment, metric: str, value: Decimal, absent: Absent | None
) -> tuple[Number, str]:
    where = segment.where(6)
    sent = unit_of(message.parts(segment, 6), where)
    try:
        number, unit = measured(metric, value, sent)
    except ConversionError as error:
        raise Hl7Error(103, where, "a unit that does not fit what is measured") from error
    if isinstance(number[0], Decimal) and len(number[0].as_tuple().digits) > _MOST_DIGITS:
        raise Hl7Error(102, segment.where(5), f"a number of over {_MOST_DIGITS} digits")
    if absent is None:
        return number, unit
    return (absent, value, sent), unit if is_permitted(metric, sent) else METRICS[metric].unit


def _time(
    message: Message, segment: Segment, place: _Place, zone: int | None
) -> tuple[DeviceTime | None, int]:
    header = message.header
    for text, where in (
        (message.part(segment, 14, 1), segment.where(14)),
        (place.observed, place.where),
        (message.part(header, 7, 1), header.where(7)),
    ):
        if text:
            return device_time(text, where, zone)
    return None, 0
