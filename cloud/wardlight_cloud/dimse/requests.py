"""Identifiers of Query/Retrieve requests to searches of the index; pure functions.

In      the identifier of a C-FIND, C-MOVE or C-GET request, its information model
Out     what to look for: level, ImageQuery, return keys
Errors  IdentifierError: the identifier does not fit the SOP class (status 0xA900)
Source  PS3.4 C.2.2 (matching), C.3.4 and C.6 (information models), C.4.1 to C.4.3
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from wardlight_cloud.dimse.matching import IdentifierError, match_of, text_of, uids
from wardlight_cloud.imaging.columns import OF_PATIENT, kept
from wardlight_cloud.store.imaging import MATCHABLE, ImageQuery, Level, Match

_MAX_KEYS: Final = 256


class QueryLevel(StrEnum):
    """Values of Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


Root = Literal["patient", "study"]
LEVELS: Final[dict[Root, tuple[QueryLevel, ...]]] = {
    "patient": tuple(QueryLevel),
    "study": tuple(QueryLevel)[1:],
}
UNIQUE_KEYS: Final = {
    QueryLevel.PATIENT: "PatientID",
    QueryLevel.STUDY: "StudyInstanceUID",
    QueryLevel.SERIES: "SeriesInstanceUID",
    QueryLevel.IMAGE: "SOPInstanceUID",
}
INDEX_LEVELS: Final = {
    QueryLevel.PATIENT: Level.STUDY,
    QueryLevel.STUDY: Level.STUDY,
    QueryLevel.SERIES: Level.SERIES,
    QueryLevel.IMAGE: Level.INSTANCE,
}


def matching_keys(level: QueryLevel) -> frozenset[str]:
    """Keywords that are matched on at a level: its own, and those of the levels above."""
    found: frozenset[str] = frozenset()
    for each in Level:
        found |= MATCHABLE[each]
        if each is INDEX_LEVELS[level]:
            break
    return found


_REQUEST: Final = "RequestAttributesSequence"
_IN_REQUEST: Final = frozenset({"ScheduledProcedureStepID", "RequestedProcedureID"})
_NOT_KEPT: Final = {
    QueryLevel.PATIENT: frozenset(
        {
            "RetrieveAETitle", "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries",
            "NumberOfPatientRelatedInstances",
        }
    ),
    QueryLevel.STUDY: frozenset(
        {
            "InstanceAvailability", "ModalitiesInStudy", "SOPClassesInStudy",
            "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
        }
    ),
    QueryLevel.SERIES: frozenset({"NumberOfSeriesRelatedInstances"}),
    QueryLevel.IMAGE: frozenset[str](),
}  # fmt: skip
"""What answers say from this level on, although no object does."""


def is_known(key: DataElement, level: QueryLevel) -> bool:
    """Whether answers at a level have this attribute, where an object has it.

    An answer of a patient tells nothing that is one study's among several.
    """
    levels = tuple(QueryLevel)[: tuple(QueryLevel).index(level) + 1]
    if any(key.keyword in _NOT_KEPT[each] for each in levels):
        return True
    tags = OF_PATIENT if level is QueryLevel.PATIENT else kept(INDEX_LEVELS[level])
    return f"{key.tag:08X}" in tags


# Not keys of a search, but words about the request itself.
_OF_THE_REQUEST: Final = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet"})


@dataclass(frozen=True, slots=True)
class FindRequest:
    """What a C-FIND asks for.

    ``keys``: elements to return, as asked for. ``ignored``: whether one of them is not known at
    this level, or has a value and is not matched on, which each response then says (0xFF01).
    ``is_of_one_patient``: studies are looked for by a Patient ID that is to be one person's
    (Patient Root).
    """

    level: QueryLevel
    query: ImageQuery
    keys: tuple[DataElement, ...]
    character_set: str
    ignored: bool
    is_of_one_patient: bool = False


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """What a C-MOVE or C-GET asks for: the unique keys of its level and of those above.

    ``patient_id``: "" where it is not said, or is no unique key (Study Root). ``issuer``: of it.
    """

    level: QueryLevel
    patient_id: str
    issuer: str
    study_uids: tuple[str, ...]
    series_uids: tuple[str, ...]
    sop_uids: tuple[str, ...]


def find_request(identifier: Dataset, root: Root, *, relational: bool, limit: int) -> FindRequest:
    """The search of a C-FIND; ``relational``: unique keys of the levels above may be missing."""
    level = _level(identifier, root)
    if not relational:
        _check_keys_above(identifier, root, level)
    keys = tuple(_keys(identifier))
    matches: list[Match] = []
    ignored, matchable = not all(is_known(key, level) for key in keys), matching_keys(level)
    for element in _with_values(keys):
        if element.keyword not in matchable:
            ignored = True
        elif (match := match_of(element)) is not None:
            matches.append(match)
    query = ImageQuery(INDEX_LEVELS[level], tuple(matches), limit=limit)
    character_set = _first(identifier, "SpecificCharacterSet")
    is_of_one = (
        root == "patient"
        and level is QueryLevel.STUDY
        and any(match.keyword == "PatientID" and match.how == "equal" for match in matches)
        and not _first(identifier, "StudyInstanceUID")
    )
    return FindRequest(level, query, keys, character_set, ignored, is_of_one)


def retrieve_request(identifier: Dataset, root: Root) -> RetrieveRequest:
    """The unique keys of a C-MOVE or C-GET (C.4.2.2.1: relational retrieval is taken too)."""
    level = _level(identifier, root)
    if not _first(identifier, UNIQUE_KEYS[level]):
        raise IdentifierError(f"{UNIQUE_KEYS[level]} is missing")
    if root == "patient" and _is_several_patients(identifier, QueryLevel.PATIENT):
        raise IdentifierError("PatientID: expected one value, not a list")
    return RetrieveRequest(
        level,
        _first(identifier, "PatientID") if root == "patient" else "",
        _first(identifier, "IssuerOfPatientID") if root == "patient" else "",
        _values(identifier, "StudyInstanceUID") if level is not QueryLevel.PATIENT else (),
        _values(identifier, "SeriesInstanceUID"),
        _values(identifier, "SOPInstanceUID"),
    )


def _level(identifier: Dataset, root: Root) -> QueryLevel:
    said = _first(identifier, "QueryRetrieveLevel").strip()
    for level in LEVELS[root]:
        if level == said:
            return level
    raise IdentifierError("QueryRetrieveLevel does not fit the SOP class")


def _check_keys_above(identifier: Dataset, root: Root, level: QueryLevel) -> None:
    """C.4.1.2.1: a value of each unique key above the level."""
    for above in LEVELS[root][: LEVELS[root].index(level)]:
        value = _first(identifier, UNIQUE_KEYS[above])
        if not value or "*" in value or "?" in value or _is_several_patients(identifier, above):
            raise IdentifierError(f"one {UNIQUE_KEYS[above]} is needed at level {level}")


def _is_several_patients(identifier: Dataset, level: QueryLevel) -> bool:
    key = UNIQUE_KEYS[QueryLevel.PATIENT]
    return level is QueryLevel.PATIENT and key in identifier and "\\" in text_of(identifier[key])


def _keys(identifier: Dataset) -> Iterator[DataElement]:
    if len(identifier) > _MAX_KEYS:
        raise IdentifierError(f"more than {_MAX_KEYS} keys")
    for element in identifier:
        # Group lengths are no keys.
        if element.keyword not in _OF_THE_REQUEST and element.tag.element != 0:
            yield element


def _with_values(keys: Iterable[DataElement]) -> Iterator[DataElement]:
    """Those that ask for a value; of a request that a series was made for, its keys."""
    for element in keys:
        if _is_universal(element):
            continue
        if element.keyword != _REQUEST or element.VR != "SQ":
            yield element
            continue
        if len(element.value) > 1:
            raise IdentifierError(f"{_REQUEST}: expected one item")
        for inner in element.value[0]:
            if not _is_universal(inner):
                # What is not matched on has the name of the whole, which is none to be matched.
                yield inner if inner.keyword in _IN_REQUEST else element


def _is_universal(element: DataElement) -> bool:
    """C.2.2.2.3; asterisks alone are the same."""
    if element.VR == "SQ":
        return not any(not _is_universal(inner) for item in element.value or () for inner in item)
    return element.is_empty or set(text_of(element)) <= {"*"}


def _values(identifier: Dataset, keyword: str) -> tuple[str, ...]:
    if keyword not in identifier:
        return ()
    element = identifier[keyword]
    return () if element.is_empty else uids(keyword, text_of(element).split("\\"))


def _first(identifier: Dataset, keyword: str) -> str:
    if keyword not in identifier or identifier[keyword].is_empty:
        return ""
    return text_of(identifier[keyword]).partition("\\")[0]
