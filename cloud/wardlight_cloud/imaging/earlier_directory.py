"""What the DICOMDIR of an earlier export names and the new one would not: it stays named.

A rule may have removed from the store what was exported before. Its files are still in the folder,
and a file that the directory does not name is not found by those who read the medium.

Errors  ConfigError: a directory that is not ours, or cannot be read
Source  PS3.3 F.3 (records are linked by their offsets), PS3.10 8.6
"""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from wardlight_cloud.imaging.directory import Record
from wardlight_cloud.imaging.file_set import FILE_SET_ID
from wardlight_shared.errors import ConfigError

_PERSON: Final = ("PatientID", "IssuerOfPatientID", "PatientName")
_UNITS: Final = ("StudyInstanceUID", "SeriesInstanceUID")


def records_of(directory: Path) -> tuple[Record, ...]:
    """The patients that a DICOMDIR of ours names, with all below them."""
    try:
        found = dcmread(directory)
        is_ours = found.get("FileSetID") == FILE_SET_ID
        patients = _patients(found) if is_ours else ()
    except (InvalidDicomError, AttributeError, TypeError, ValueError, EOFError) as error:
        raise ConfigError(f"{directory}: cannot be read; remove it") from error
    if not is_ours:
        raise ConfigError(f"{directory}: of another program; export to an empty folder")
    return patients


def _patients(found: Dataset) -> tuple[Record, ...]:
    items = found.get("DirectoryRecordSequence") or ()
    by_offset = {int(each.seq_item_tell): each for each in items}
    first = int(found.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity)
    patients = tuple(_linked(first, by_offset, set()))
    for patient in patients:
        for study in patient.below:
            str(study.attributes.StudyInstanceUID)
            for series in study.below:
                str(series.attributes.SeriesInstanceUID)
    return patients


def _linked(offset: int, by_offset: Mapping[int, Dataset], seen: set[int]) -> Iterator[Record]:
    """A record and those after it on its level; ValueError where the links lead nowhere."""
    while offset:
        if offset not in by_offset or offset in seen:
            raise ValueError(offset)
        seen.add(offset)
        attributes = by_offset[offset]
        lower = int(attributes.get("OffsetOfReferencedLowerLevelDirectoryEntity") or 0)
        yield Record(attributes, list(_linked(lower, by_offset, seen)))
        offset = int(attributes.get("OffsetOfTheNextDirectoryRecord") or 0)


def studies_in(patients: Sequence[Record]) -> tuple[str, ...]:
    """UIDs of the studies below these records."""
    return tuple(str(each.attributes.StudyInstanceUID) for one in patients for each in one.below)


def keep(earlier: Sequence[Record], made: list[Record], folder: Path) -> set[str]:
    """Add to ``made`` what ``earlier`` names beside it and the folder has; UIDs of its studies.

    Nobody is judged anew: a study stays under the person whom the earlier directory had for it.
    """
    files, uids = _named(made)
    kept: set[str] = set()
    for patient in earlier:
        for study in patient.below:
            left = [
                Record(series.attributes, lasting)
                for series in study.below
                if (lasting := _lasting(series, folder, files, uids))
            ]
            if left:
                whose = _same_person(patient, study, made)
                _add(whose, Record(study.attributes, left))
                kept.add(str(study.attributes.StudyInstanceUID))
    return kept


def _lasting(
    series: Record, folder: Path, files: Collection[tuple[str, ...]], uids: Collection[str]
) -> list[Record]:
    return [
        each
        for each in series.below
        if (file_id := _file_id(each))
        and file_id not in files
        and str(each.attributes.get("ReferencedSOPInstanceUIDInFile", "")) not in uids
        and folder.joinpath(*file_id).is_file()
    ]


def _named(made: Sequence[Record]) -> tuple[set[tuple[str, ...]], set[str]]:
    files, uids = set(), set()
    for patient in made:
        for study in patient.below:
            for series in study.below:
                for each in series.below:
                    files.add(_file_id(each))
                    uids.add(str(each.attributes.ReferencedSOPInstanceUIDInFile))
    return files, uids


def _file_id(record: Record) -> tuple[str, ...]:
    found = record.attributes.get("ReferencedFileID") or ()
    return (found,) if isinstance(found, str) else tuple(str(each) for each in found)


def _same_person(patient: Record, study: Record, made: list[Record]) -> Record:
    """The record of the same words that has the study, or another one of this patient's."""
    same = [each for each in made if _person(each) == _person(patient)]
    for wanted in ({str(study.attributes.StudyInstanceUID)}, set(studies_in([patient]))):
        for each in same:
            if wanted & set(studies_in([each])):
                return each
    made.append(Record(copy.copy(patient.attributes)))
    return made[-1]


def _person(record: Record) -> tuple[str, ...]:
    return tuple(str(record.attributes.get(keyword) or "") for keyword in _PERSON)


def _add(parent: Record, added: Record, level: int = 0) -> None:
    """Put a record below another one, or what is below it where that has it already."""
    if level == len(_UNITS):
        parent.below.append(added)
        return
    uid = str(added.attributes.get(_UNITS[level]))
    for each in parent.below:
        if str(each.attributes.get(_UNITS[level])) == uid:
            for lower in added.below:
                _add(each, lower, level + 1)
            return
    parent.below.append(added)
