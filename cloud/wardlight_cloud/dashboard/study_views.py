"""View models of studies: rows of the image index as what a page shows. Pure functions.

DICOM JSON is read by tag (PS3.18, annex F); what a study does not say is an empty text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from wardlight_cloud.dashboard.views import patient_name
from wardlight_cloud.imaging.owner import differences, iso_date, relation, said_of
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.imaging import ImageRow, KeyNote, Unmatched, WaitsFor

_STUDY_DATE: Final = "00080020"
_STUDY_TIME: Final = "00080030"
_ACCESSION: Final = "00080050"
_OFFSET: Final = "00080201"
_DESCRIPTION: Final = "00081030"
_PATIENT_NAME: Final = "00100010"
_MINUTES: Final = re.compile(r"\d{4}", re.ASCII)
_ZONE: Final = re.compile(r"[+-]\d{4}", re.ASCII)
_WITHOUT_IMAGES: Final = frozenset(
    ("AU", "DOC", "ECG", "EEG", "EMG", "EOG", "EPS", "HD", "KO", "PLAN", "PR", "REG", "RESP",
     "RTPLAN", "RTRECORD", "RTSTRUCT", "SR")
)  # fmt: skip
_REASONS: Final[Mapping[WaitsFor, str]] = {
    "unknown": "the register has no patient of this number",
    "no-number": "it names no patient number",
    "no-issuer": "nobody says who gave out its patient number: it names no issuer, and neither "
    "images.issuer, images.gateway_issuers nor who imported it does",
    "ambiguous": "the register has several patients of this number",
    "order-differs": "the order names another patient than the image",
    "birth-date-differs": "the register or its order has another date of birth",
    "name-differs": "the register has another name for this number, and no date of birth or sex "
    "says that it is the same person",
}


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One study. ``name``, ``number``, ``birth_date`` are the study's own words of its patient.

    ``time``: with its zone, see ``_time``.
    ``owner``, ``relation``: whose it is by the register, and in words how that fits the study;
    ``differs``: what does not fit, in a word.
    """

    study_uid: str
    name: str
    number: str
    birth_date: str
    sex: str
    date: str
    time: str
    age: str
    modalities: str
    description: str
    accession: str
    series: int
    instances: int
    has_images: bool
    owner: Patient | None
    relation: str
    differs: str = ""

    @property
    def size(self) -> str:
        """How much there is."""
        word = "image" if self.has_images else "object"
        many = "" if self.instances == 1 else "s"
        return f"{self.instances} {word}{many} in {self.series} series"

    @property
    def owner_name(self) -> str:
        """Name in the register; empty for nobody's."""
        return "" if self.owner is None else patient_name(self.owner)


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """A study of the reconcile queue, for the operations page: no name, no number."""

    study_uid: str
    modalities: str
    instances: int
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something of the patient's images at a moment: a study or a note about one.

    ``error``: in words, that it was entered in error; '' for what stands.
    """

    at: datetime
    kind: str
    text: str
    detail: str
    href: str
    error: str = ""


def study_line(row: ImageRow, owners: Mapping[UUID, Patient], now: datetime) -> StudyLine:
    """A study of the index with its owner, where the register knows one."""
    study: dict[str, Any] = orjson.loads(row.study)
    owner = owners.get(row.patient) if row.patient is not None else None
    said = said_of(study)
    return StudyLine(
        study_uid=row.study_uid,
        name=_name(study),
        number=said.number,
        birth_date=said.born,
        sex=said.sex,
        date=iso_date(_text(study, _STUDY_DATE)),
        time=_time(_text(study, _STUDY_TIME), _text(study, _OFFSET)),
        age=_age(_text(study, _STUDY_DATE), now),
        modalities=", ".join(row.modalities) or "unknown",
        description=_text(study, _DESCRIPTION),
        accession=_text(study, _ACCESSION),
        series=row.study_series,
        instances=row.study_instances,
        has_images=not set(row.modalities) <= _WITHOUT_IMAGES,
        owner=owner,
        relation=relation(said, row.patient, owner),
        differs=" and ".join(differences(said, owner) if owner else ()),
    )


def newest_first(lines: Iterable[StudyLine], moments: Mapping[str, datetime]) -> list[StudyLine]:
    """By what each says of its day; one without a date by the moment when it was stored."""

    def day(line: StudyLine) -> tuple[str, str]:
        return line.date or moments[line.study_uid].date().isoformat(), line.time

    return sorted(lines, key=day, reverse=True)


def waiting_line(row: Unmatched) -> WaitingLine:
    """One line of the operations page."""
    modalities = ", ".join(row.modalities) or "unknown"
    return WaitingLine(row.study_uid, modalities, row.instances, row.since, _REASONS[row.why])


def timeline(
    lines: Iterable[StudyLine], notes: Iterable[KeyNote], moments: Mapping[str, datetime]
) -> list[TimelineEvent]:
    """Studies and notes of a patient, newest first; ``moments``: when each study arrived."""
    events = [
        TimelineEvent(
            at=_noon(line.date) or moments[line.study_uid],
            kind="study",
            text=f"{line.modalities}: {line.description or 'study'}",
            detail=line.size if line.date else f"{line.size}, undated: the day it arrived",
            href=f"/studies/{line.study_uid}",
        )
        for line in lines
    ]
    notes = tuple(notes)
    corrected = {note.replaces for note in notes if note.replaces is not None}
    events += [
        TimelineEvent(
            at=note.written_at,
            kind="note",
            text=note.text,
            detail=note.author,
            href=note_address(note),
            error=_error(note, is_corrected=note.note_id in corrected),
        )
        for note in notes
    ]
    return sorted(events, key=lambda event: event.at, reverse=True)


def _error(note: KeyNote, *, is_corrected: bool) -> str:
    if note.withdrawn is None:
        return ""
    what = "Corrected by another note" if is_corrected else "Entered in error"
    return f"{what}: {note.withdrawn.by}, {note.withdrawn.at:%Y-%m-%d %H:%M} UTC"


def note_address(note: KeyNote) -> str:
    """Address of the image that a note is about; what follows # stays in the browser."""
    frame = f"&frame={note.frame}" if note.frame > 1 else ""
    return f"/studies/{note.study_uid}#image={note.sop_uid}{frame}"


def _value(study: Mapping[str, Any], tag: str) -> Any:
    values = study.get(tag, {}).get("Value") or [None]
    return values[0]


def _text(study: Mapping[str, Any], tag: str) -> str:
    value = _value(study, tag)
    return "" if value is None else str(value).strip()


def _name(study: Mapping[str, Any]) -> str:
    """``Family, Given``, and the ideographic name beside it."""
    groups = _value(study, _PATIENT_NAME)
    if not isinstance(groups, dict):
        return ""
    spelt = (groups.get(group, "") for group in ("Alphabetic", "Ideographic"))
    return " = ".join(_spelt(name) for name in spelt if name.strip("^ "))


def _spelt(name: str) -> str:
    family, given, middle, prefix, suffix = (name.split("^") + [""] * 5)[:5]
    rest = " ".join(part for part in (prefix, given, middle, suffix) if part)
    return ", ".join(part for part in (family, rest) if part)


def _time(text: str, offset: str) -> str:
    """``10:15 UTC+05:00``, or ``10:15 device time`` where the study does not say its zone."""
    digits = text.replace(":", "")
    if not _MINUTES.match(digits):
        return ""
    zone = f"UTC{offset[:3]}:{offset[3:]}" if _ZONE.fullmatch(offset) else "device time"
    return f"{digits[:2]}:{digits[2:4]} {zone}"


def _noon(iso: str) -> datetime | None:
    """A date as a moment of it: a study's zone is seldom known."""
    try:
        return datetime.fromisoformat(iso).replace(hour=12, tzinfo=UTC)
    except ValueError:
        return None


def _age(text: str, now: datetime) -> str:
    taken = _noon(iso_date(text))
    if taken is None:
        return "date unknown"
    days = (now.date() - taken.date()).days
    if days < 0:
        return "dated in the future"
    if days < 2:
        return ("today", "yesterday")[days]
    return f"{days} days ago" if days < 730 else f"{days // 365} years ago"
