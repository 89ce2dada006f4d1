"""Worklist entries: made from what an operator gives, or read from files; checked before they go.

In      OrderedStep, a DICOM file (with or without meta information), or DICOM JSON (PS3.18, F)
Out     NewEntry of the store: the data set that modalities get, and what it is found by
Errors  OrderError: which attribute is missing or does not fit; HeaderError: no readable file
Source  DICOM PS3.4, table K.6-1 (return keys of type 1); lengths PS3.5, table 6.2-1
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

import orjson
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import RE_VALID_UID

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.small_files import (
    encoded,
    items,
    moment,
    read_data_set,
    read_file,
    text,
)
from wardlight_cloud.store.orders import NewEntry
from wardlight_shared.errors import ConfigError
from wardlight_shared.worklist import MAX_ENTRY_BYTES

_STEPS: Final = "ScheduledProcedureStepSequence"
_LENGTHS: Final = {
    "AccessionNumber": 16, "RequestedProcedureID": 16, "PatientID": 64, "IssuerOfPatientID": 64,
    "RequestedProcedureDescription": 64, "ScheduledStationAETitle": 16,
    "ScheduledProcedureStepID": 16, "ScheduledProcedureStepDescription": 64,
}  # fmt: skip
_REQUIRED: Final = ("AccessionNumber", "PatientName", "PatientID")
_REQUIRED_OF_STEP: Final = (
    "ScheduledStationAETitle", "Modality", "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
)  # fmt: skip

Entry: TypeAlias = Dataset
"""The data set of a worklist entry."""


class OrderError(ConfigError):
    """An entry that cannot go on a worklist; names attributes, never values."""


@dataclass(frozen=True, slots=True)
class OrderedStep:
    """What an operator gives. ``name``: DICOM PN; ``start``: ``YYYYMMDD HHMMSS``."""

    accession: str
    name: str
    patient_id: str
    modality: str
    station_ae: str
    start: str
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    procedure: str = ""
    step_id: str = ""
    study_uid: str = ""
    referring: str = ""


def data_set_of(ordered: OrderedStep) -> Dataset:
    """The data set of an entry."""
    date, _, time = ordered.start.partition(" ")
    step = Dataset()
    step.ScheduledStationAETitle = ordered.station_ae
    step.ScheduledProcedureStepStartDate = date
    step.ScheduledProcedureStepStartTime = time
    step.Modality = ordered.modality
    step.ScheduledPerformingPhysicianName = ""
    step.ScheduledProcedureStepDescription = ordered.procedure
    step.ScheduledProcedureStepID = ordered.step_id
    entry = Dataset()
    entry.AccessionNumber = ordered.accession
    entry.ReferringPhysicianName = ordered.referring
    entry.PatientName = ordered.name
    entry.PatientID = ordered.patient_id
    if ordered.issuer:
        entry.IssuerOfPatientID = ordered.issuer
    entry.PatientBirthDate = ordered.birth_date
    entry.PatientSex = ordered.sex
    entry.StudyInstanceUID = ordered.study_uid
    entry.RequestedProcedureID = ""
    entry.RequestedProcedureDescription = ordered.procedure
    entry.ScheduledProcedureStepSequence = Items([step])
    return entry


def data_sets_in(octets: bytes) -> list[Dataset]:
    """The entries of a file: one of a DICOM file, one or more of DICOM JSON."""
    if octets.lstrip()[:1] in (b"{", b"["):
        return _from_json(octets)
    if octets[128:132] == b"DICM":
        return [read_file(octets)]
    return [_without_meta(octets)]


def accession_of(entry: Dataset) -> str:
    """The number of the order; "" where the entry has none."""
    return text(entry, "AccessionNumber")


def new_entry(
    entry: Dataset, gateways: Sequence[str], *, patient: UUID | None = None, study_uid: str = ""
) -> NewEntry:
    """Check an entry and make it ready; what may be made up is made up where it is missing.

    ``study_uid``: of this order, where the entry has none; without it, a new one.
    """
    _require(entry, _REQUIRED)
    steps = items(entry, _STEPS)
    if len(steps) != 1:
        raise OrderError(f"{_STEPS}: one item is needed, {len(steps)} are there")
    step = steps[0]
    _require(step, _REQUIRED_OF_STEP)
    accession = text(entry, "AccessionNumber")
    _fill(entry, "StudyInstanceUID", study_uid or f"2.25.{uuid4().int}")
    _fill(entry, "RequestedProcedureID", accession)
    _fill(step, "ScheduledProcedureStepID", "1")
    for part in (entry, step):
        _check_lengths(part)
    if RE_VALID_UID.fullmatch(text(entry, "StudyInstanceUID")) is None:
        raise OrderError("StudyInstanceUID is no UID")
    starts = moment(step, "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")
    if len(starts) != len("YYYYMMDD HHMMSS") or not starts.replace(" ", "").isdigit():
        raise OrderError("ScheduledProcedureStepStartDate and ...Time: YYYYMMDD and HHMMSS")
    octets = _written(entry)
    if len(octets) > MAX_ENTRY_BYTES:
        raise OrderError(f"the entry has {len(octets)} octets, at most {MAX_ENTRY_BYTES} go")
    return NewEntry(
        accession=accession,
        step_id=text(step, "ScheduledProcedureStepID"),
        study_uid=text(entry, "StudyInstanceUID"),
        patient=patient,
        patient_id=text(entry, "PatientID"),
        issuer=text(entry, "IssuerOfPatientID"),
        modality=text(step, "Modality"),
        station_ae=text(step, "ScheduledStationAETitle"),
        starts=starts,
        gateways=tuple(gateways),
        data_set=octets,
        birth_date=text(entry, "PatientBirthDate"),
    )


def issuer_of(system: str, issuers: Mapping[str, str], default: str | None) -> str:
    """How modalities write the issuer of an identifier of the register; "" = the site's own."""
    if system == default:
        return ""
    named = [issuer for issuer, known in issuers.items() if known == system]
    return (named[0] if named else system.removeprefix("urn:oid:"))[:64]


def _from_json(octets: bytes) -> list[Dataset]:
    try:
        found: Any = orjson.loads(octets)
        objects = found if isinstance(found, list) else [found]
        return [Dataset.from_json(each) for each in objects]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HeaderError("parse", f"no DICOM JSON ({type(error).__name__})") from None


def _without_meta(octets: bytes) -> Dataset:
    """A bare data set, explicit or implicit: whichever of them reads as an entry."""
    for is_implicit in (False, True):
        try:
            found = read_data_set(octets, is_implicit=is_implicit)
        except HeaderError:
            continue
        if _STEPS in found:
            return found
    raise HeaderError("parse", "no DICOM file, no data set of a worklist entry, no DICOM JSON")


def _require(data_set: Dataset, keywords: Sequence[str]) -> None:
    missing = [keyword for keyword in keywords if not text(data_set, keyword)]
    if missing:
        raise OrderError(f"{', '.join(missing)}: needed, and not there")


def _fill(data_set: Dataset, keyword: str, value: str) -> None:
    if not text(data_set, keyword):
        setattr(data_set, keyword, value)


def _check_lengths(data_set: Dataset) -> None:
    for keyword, length in _LENGTHS.items():
        if len(text(data_set, keyword)) > length:
            raise OrderError(f"{keyword}: at most {length} characters")


def _written(entry: Dataset) -> bytes:
    """In the smallest character set that has all of it: old modalities know few."""
    bare = Dataset()
    bare.update({each.tag: each for each in entry if each.tag.group > 2})
    everything = "".join(str(each.value) for each in bare.iterall() if each.VR != "SQ")
    if everything.isascii():
        if "SpecificCharacterSet" in bare:
            del bare.SpecificCharacterSet
    else:
        is_latin = not any(ord(letter) > 255 for letter in everything)
        bare.SpecificCharacterSet = "ISO_IR 100" if is_latin else "ISO_IR 192"
    return encoded(bare)
