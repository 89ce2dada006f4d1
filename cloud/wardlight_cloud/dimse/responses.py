"""Rows of the index to identifiers of C-FIND responses.

In      an ImageRow, the keys that were asked for, our AE title
Out     a pydicom data set with these keys, empty where nothing is known or cannot be said, in a
        character set that the caller asked for where it can say the text, else UTF-8
Source  PS3.4 C.3.4 (attributes by level), C.4.1.1.3.2 (response identifier); PS3.3 C.12.1.1.2
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from wardlight_cloud.dimse.patients import number_and_issuer
from wardlight_cloud.dimse.requests import FindRequest, QueryLevel, is_known
from wardlight_cloud.imaging.availability import Availability, Available, of_instance
from wardlight_cloud.imaging.json_elements import element_of
from wardlight_cloud.store.imaging import ImageRow

_log = logging.getLogger(__name__)
UTF_8: Final = "ISO_IR 192"
_TEXT_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
Attributes = Mapping[str, dict[str, Any]]


def find_response(
    row: ImageRow,
    request: FindRequest,
    ae_title: str,
    counts: Mapping[str, int] | None = None,
    available: Available | None = None,
) -> Dataset:
    """The identifier of one match; ``counts``: of its patient, by keyword.

    ``available``: knows what of these rows cannot be had at once.
    """
    known = _attributes(row)
    counted = _counted(row) | dict(counts or {})
    found = Dataset()
    found.QueryRetrieveLevel = request.level.value
    found.RetrieveAETitle = ae_title
    how_soon = _availability(row, request.level, available or Available())
    if how_soon is not None:
        found.InstanceAvailability = str(how_soon)
    for key in request.keys:
        is_told = is_known(key, request.level)
        if is_told and key.keyword in counted:
            setattr(found, key.keyword, counted[key.keyword])
        elif is_told and (element := _known(key, known)) is not None:
            found.add(element)
        elif key.tag not in found:
            found.add(DataElement(key.tag, key.VR, [] if key.VR == "SQ" else None))
    found.update(_unique_keys(row, request.level))
    return _in_character_set(found, request.character_set)


def _attributes(row: ImageRow) -> Attributes:
    found: dict[str, dict[str, Any]] = {}
    for level in (row.study, row.series, row.instance):
        if level is not None:
            found |= orjson.loads(level)
    return found


def _known(key: DataElement, known: Attributes) -> DataElement | None:
    """What the index has; bulk data, which no response carries, is empty."""
    attribute = known.get(f"{key.tag:08X}")
    if attribute is None:
        return None
    element = element_of(key.tag, attribute)
    if element is None:
        _log.info("a value was left out of a C-FIND answer", extra={"attribute": f"{key.tag:08X}"})
    return element


def _counted(row: ImageRow) -> dict[str, Any]:
    """What the index knows by counting."""
    counts: dict[str, Any] = {
        "ModalitiesInStudy": list(row.modalities),
        "SOPClassesInStudy": list(row.sop_classes),
        "NumberOfStudyRelatedSeries": row.study_series,
        "NumberOfStudyRelatedInstances": row.study_instances,
    }
    if row.series is not None:
        counts["NumberOfSeriesRelatedInstances"] = row.series_instances
    return counts


def _unique_keys(row: ImageRow, level: QueryLevel) -> Dataset:
    """The keys that a following request names, whether they were asked for or not."""
    keys = Dataset()
    if level is QueryLevel.PATIENT:
        number, issuer = number_and_issuer(row)
        keys.PatientID = number
        if issuer:
            keys.IssuerOfPatientID = issuer
    else:
        keys.StudyInstanceUID = row.study_uid
    if row.series_uid is not None:
        keys.SeriesInstanceUID = row.series_uid
    if row.ref is not None:
        keys.SOPInstanceUID = row.ref.sop_uid
    return keys


def _availability(row: ImageRow, level: QueryLevel, available: Available) -> Availability | None:
    """None for a patient: a row is of one study, which says nothing of the others."""
    match level:
        case QueryLevel.PATIENT:
            return None
        case QueryLevel.STUDY:
            return available.study(row)
        case QueryLevel.SERIES:
            return available.series(row)
    return None if row.ref is None else of_instance(row.ref)


def _in_character_set(found: Dataset, asked_for: str) -> Dataset:
    texts = list(_texts(found))
    if all(text.isascii() for text in texts):
        return found
    codec = python_encoding.get(asked_for) if asked_for else None
    can_say = codec is not None and all(_can_say(text, codec) for text in texts)
    found.SpecificCharacterSet = asked_for if can_say else UTF_8
    return found


def _can_say(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _texts(found: Dataset) -> Iterable[str]:
    for element in found:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in _TEXT_VRS and not element.is_empty:
            values = element.value if element.VM > 1 else [element.value]
            yield from map(str, values)
