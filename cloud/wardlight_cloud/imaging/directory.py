"""DICOMDIR: the directory of an exported file set.

In      records in the order patient, its studies, their series, their instances
Out     a Basic Directory file (PS3.3 F) in Explicit VR Little Endian, with the offsets that link
        its records
Source  PS3.3 F.3 to F.5, PS3.10 8.2 (file ids)
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.fileset import DIRECTORY_RECORDERS
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from wardlight_shared.part10 import file_head

DIRECTORY_CLASS: Final = "1.2.840.10008.1.3.10"
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_ITEM_HEAD: Final = 8
_SEQUENCE_HEAD: Final = 12
_UTF_8: Final = "ISO_IR 192"

# Types of records by SOP class, PS3.3 F.4; the first beginning that fits.
_RECORD_TYPES: Final = (
    ("9.", "WAVEFORM"), ("88.59", "KEY OBJECT DOC"), ("88.", "SR DOCUMENT"),
    ("104.1", "ENCAP DOC"), ("104.2", "ENCAP DOC"), ("11.", "PRESENTATION"),
    ("481.2", "RT DOSE"), ("481.3", "RT STRUCTURE SET"), ("481.5", "RT PLAN"),
    ("481.8", "RT PLAN"), ("481.4", "RT TREAT RECORD"), ("481.6", "RT TREAT RECORD"),
    ("481.7", "RT TREAT RECORD"), ("481.9", "RT TREAT RECORD"), ("4.2", "SPECTROSCOPY"),
    ("66.1", "REGISTRATION"), ("66.3", "REGISTRATION"), ("66.2", "FIDUCIAL"),
)  # fmt: skip
_RAW_DATA: Final = "66"
_VALUE_MAP: Final = "67"
# What a record must say (type 1) where an object leaves it open.
_INVENTED: Final[Mapping[str, Any]] = {
    "StudyDate": "19000101", "StudyTime": "000000", "StudyID": "0", "Modality": "OT",
    "SeriesNumber": 0, "InstanceNumber": 0, "ContentDate": "19000101", "ContentTime": "000000",
    "CompletionFlag": "PARTIAL", "VerificationFlag": "UNVERIFIED", "RTPlanLabel": "UNKNOWN",
    "StructureSetLabel": "UNKNOWN", "DoseSummationType": "UNKNOWN", "ContentLabel": "UNKNOWN",
    "PresentationCreationDate": "19000101", "PresentationCreationTime": "000000",
    "MIMETypeOfEncapsulatedDocument": "application/octet-stream", "ImageType": "ORIGINAL",
}  # fmt: skip


@dataclass(slots=True)
class Record:
    """One record and those below it."""

    attributes: Dataset
    below: list["Record"] = field(default_factory=list)
    _place: int = 0


def patient_record(header: Dataset, patient_id: str, distinct: str) -> Record:
    """The record of a patient. ``distinct``: issuer, or what tells those without a number apart.

    A number is needed (type 1), and readers put records of one number together.
    """
    made = Dataset()
    made.PatientName = header.get("PatientName")
    if patient_id:
        made.PatientID = patient_id
        if distinct:
            made.IssuerOfPatientID = distinct
    else:
        made.PatientID = f"UNKNOWN-{hashlib.sha256(distinct.encode()).hexdigest()[:8].upper()}"
    return Record(_headed("PATIENT", made))


def study_record(header: Dataset) -> Record:
    """The record of a study."""
    return Record(_made("STUDY", header))


def series_record(header: Dataset) -> Record:
    """The record of a series."""
    return Record(_made("SERIES", header))


def instance_record(header: Dataset, file_id: Sequence[str], transfer_syntax: str) -> Record:
    """The record of an instance in the file ``file_id`` (components)."""
    sop_class = str(header.SOPClassUID)
    made = _made(record_type(sop_class), header)
    made.ReferencedFileID = list(file_id)
    made.ReferencedSOPClassUIDInFile = sop_class
    made.ReferencedSOPInstanceUIDInFile = header.SOPInstanceUID
    made.ReferencedTransferSyntaxUIDInFile = transfer_syntax
    return Record(made)


def record_type(sop_class: str) -> str:
    """Directory Record Type of an instance."""
    ending = sop_class.removeprefix(_STORAGE)
    if ending == _RAW_DATA:
        return "RAW DATA"
    if ending == _VALUE_MAP:
        return "VALUE MAP"
    for beginning, kind in _RECORD_TYPES:
        if ending == beginning or ending.startswith(beginning):
            return kind
    return "IMAGE"


def directory(patients: Sequence[Record], *, instance_uid: str, file_set_id: str) -> bytes:
    """The whole file."""
    head = file_head(DIRECTORY_CLASS, instance_uid, str(ExplicitVRLittleEndian))
    fixed = _fixed(file_set_id, 0, 0)
    first = len(head) + len(_encoded(fixed)) + _SEQUENCE_HEAD
    records = list(_flat(patients))
    place = first
    for record in records:
        _link(record, 0, 0)
        record._place = place
        place += _ITEM_HEAD + len(_encoded(record.attributes))
    _link_all(patients)
    if patients:
        fixed = _fixed(file_set_id, patients[0]._place, patients[-1]._place)
    items = b"".join(_item(record) for record in records)
    sequence = b"\x04\x00\x20\x12SQ\0\0" + len(items).to_bytes(4, "little")
    return head + _encoded(fixed) + sequence + items


def _fixed(file_set_id: str, first: int, last: int) -> Dataset:
    made = Dataset()
    made.FileSetID = file_set_id
    made.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first
    made.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = last
    made.FileSetConsistencyFlag = 0
    return made


def _flat(records: Sequence[Record]) -> list[Record]:
    found = []
    for record in records:
        found.append(record)
        found += _flat(record.below)
    return found


def _link_all(records: Sequence[Record]) -> None:
    for record, following in zip(records, (*records[1:], None), strict=False):
        lower = record.below[0]._place if record.below else 0
        _link(record, following._place if following is not None else 0, lower)
        _link_all(record.below)


def _link(record: Record, following: int, lower: int) -> None:
    record.attributes.OffsetOfTheNextDirectoryRecord = following
    record.attributes.OffsetOfReferencedLowerLevelDirectoryEntity = lower


def _item(record: Record) -> bytes:
    octets = _encoded(record.attributes)
    return b"\xfe\xff\x00\xe0" + len(octets).to_bytes(4, "little") + octets


def _encoded(attributes: Dataset) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, attributes, parent_encoding="utf-8")
    return file.getvalue()


def _made(kind: str, header: Dataset) -> Dataset:
    whole = Dataset()
    whole.update(header)
    for keyword, value in _INVENTED.items():
        if keyword not in whole or whole[keyword].is_empty:
            setattr(whole, keyword, value)
    try:
        made = DIRECTORY_RECORDERS[kind](whole)
    except (ValueError, AttributeError, KeyError):
        # What such a record needs besides cannot be invented; it is found by its number.
        made = Dataset()
        made.InstanceNumber = whole.InstanceNumber
    return _headed(kind, made)


def _headed(kind: str, attributes: Dataset) -> Dataset:
    made = Dataset()
    made.OffsetOfTheNextDirectoryRecord = 0
    made.RecordInUseFlag = 0xFFFF
    made.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    made.DirectoryRecordType = kind
    made.SpecificCharacterSet = _UTF_8
    made.update(attributes)
    return made
