"""Searches of the image index as statements: conditions from images_search.sql, put together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wardlight_cloud.store.image_text import (
    folded,
    grams_of_pattern,
    grams_of_words,
    like_pattern,
    words,
)
from wardlight_cloud.store.imaging import MATCHABLE, TAKEN_DATE, ImageQuery, Level, Match
from wardlight_cloud.store.postgres.imaging_rows import NAMES
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("images_search")
_LEVELS: Final = tuple(Level)
_LARGEST: Final = (1 << 63) - 1
_NEWEST: Final = 3000

_COLUMNS: Final[Mapping[str, str]] = {
    "StudyInstanceUID": "s.study_uid",
    "StudyDate": "s.study_date",
    "StudyTime": "s.study_time",
    "AccessionNumber": "s.accession",
    "StudyID": "s.study_id",
    "StudyDescription": "s.description",
    "ReferringPhysicianName": "s.referring",
    "PatientName": "s.patient_name",
    "PatientID": "s.dicom_patient_id",
    "IssuerOfPatientID": "s.issuer",
    "PatientBirthDate": "s.birth_date",
    "PatientSex": "s.sex",
    "ModalitiesInStudy": "s.modalities",
    "SOPClassesInStudy": "s.sop_classes",
    "SeriesInstanceUID": "e.series_uid",
    "Modality": "e.modality",
    "SeriesNumber": "e.series_number",
    "SeriesDescription": "e.description",
    "SeriesDate": "e.series_date",
    "SeriesTime": "e.series_time",
    "PerformedProcedureStepStartDate": "e.step_date",
    "PerformedProcedureStepStartTime": "e.step_time",
    "BodyPartExamined": "e.body_part",
    "Laterality": "e.laterality",
    "ProtocolName": "e.protocol",
    "StationName": "e.station",
    "InstitutionName": "e.institution",
    "Manufacturer": "e.manufacturer",
    "ManufacturerModelName": "e.model",
    "ScheduledProcedureStepID": "e.step_id",
    "RequestedProcedureID": "e.procedure_id",
    "SOPInstanceUID": "i.sop_uid",
    "SOPClassUID": "i.sop_class",
    "InstanceNumber": "i.instance_number",
    "ContentDate": "i.content_date",
    "ContentTime": "i.content_time",
    "CompletionFlag": "i.completion",
    "VerificationFlag": "i.verification",
    "NumberOfFrames": "i.frame_count",
    "Rows": "i.rows_px",
    "Columns": "i.columns_px",
    TAKEN_DATE: _SQL["taken_date"],
}
_SEARCHES: Final = {
    Level.STUDY: "search_studies",
    Level.SERIES: "search_series",
    Level.INSTANCE: "search_instances",
}
_COUNTS: Final = {
    Level.STUDY: "count_found_studies",
    Level.SERIES: "count_found_series",
    Level.INSTANCE: "count_found_instances",
}
_NUMBERS: Final = frozenset(("SeriesNumber", "InstanceNumber", "NumberOfFrames", "Rows", "Columns"))
_LISTS: Final = frozenset(("ModalitiesInStudy", "SOPClassesInStudy"))


@dataclass(slots=True)
class Search:
    """A statement with its arguments. ``is_planned``: it wants ``plan_for_search`` before it."""

    text: str = ""
    arguments: list[Any] = field(default_factory=list)
    is_planned: bool = False


def search(query: ImageQuery) -> Search:
    """The statement of a search; ValueError for a key that this level does not have."""
    is_poll = query.stored_after_seq is not None
    if query.level is Level.STUDY and is_poll:
        made = _made(query, "search_changed_studies")
    elif _is_by_pieces(query):
        made = _made(query, "search_gathered_studies")
    else:
        made = _made(query, _SEARCHES[query.level])
    made.text = made.text.replace(":order", _SQL["commit_order" if is_poll else "newest_first"])
    return _paged(made, query)


def search_newest(query: ImageQuery) -> Search | None:
    """The same search among the newest studies alone, to be tried first; None: there is no need.

    How many studies match cannot be estimated from pieces of names, which are not independent, nor
    from elements of lists that are rare: a plan for few is slow for many, and the other way round.
    """
    if not _is_by_pieces(query):
        return None
    made = _made(query, "search_newest_studies")
    made.text = made.text.replace(":newest", str(_NEWEST))
    return _paged(made, query)


def _is_by_pieces(query: ImageQuery) -> bool:
    """Whether nothing but pieces of names and elements of lists says what is searched for."""
    is_all = query.patients is None and query.stored_after_seq is None
    return (
        is_all
        and query.level is Level.STUDY
        and bool(query.matches)
        and all(
            match.keyword in _LISTS
            or (match.keyword in NAMES and match.how in ("wildcard", "fuzzy"))
            for match in query.matches
        )
    )


def _paged(made: Search, query: ImageQuery) -> Search:
    # The server plans for what it knows: a limit that is an argument it takes for a tenth of all.
    made.text = made.text.replace(":limit", str(min(max(query.limit, 0), _LARGEST)))
    if query.offset > 0:
        made.is_planned = True
        made.text = made.text.replace(":offset", _place(made, min(query.offset, _LARGEST)))
    else:
        made.text = made.text.replace(":offset", "0")
    return made


def count(query: ImageQuery) -> Search:
    """The statement that counts what a search finds."""
    is_changes = query.stored_after_seq is not None and query.level is Level.STUDY
    return _made(query, "count_changed_studies" if is_changes else _COUNTS[query.level])


def _made(query: ImageQuery, name: str) -> Search:
    made = Search()
    conditions = ["true"]
    if query.patients is not None:
        conditions.append(_filled(made, "of_patients", "", list(query.patients)))
    if query.stored_after_seq is not None:
        conditions.append(_filled(made, "after_commit", "", query.stored_after_seq))
    for match in query.matches:
        _check(query.level, match)
        conditions += _conditions(made, match)
    made.text = _SQL[name].replace(":where", " AND ".join(conditions))
    return made


def _check(level: Level, match: Match) -> None:
    levels = _LEVELS[: _LEVELS.index(level) + 1]
    if match.keyword == TAKEN_DATE and level is Level.INSTANCE:
        return
    if not any(match.keyword in MATCHABLE[each] for each in levels):
        raise ValueError(f"{match.keyword} is no matching key of level {level}")


def _conditions(made: Search, match: Match) -> list[str]:
    column = _COLUMNS[match.keyword]
    if match.keyword in _LISTS:
        made.is_planned = True
        return [_list_condition(made, column, match)]
    if match.keyword in _NUMBERS:
        return [_number_condition(made, column, match)]
    match match.how:
        case "range":
            return _range(made, column, match)
        case "fuzzy":
            return _fuzzy(made, column, match)
        case "wildcard":
            return _wildcard(made, column, match)
    if match.keyword in NAMES:
        return _name(made, column, match)
    if len(match.values) == 1:
        return [_filled(made, "is_one", column, match.values[0])]
    return [_filled(made, "is_any", column, list(match.values))]


def _range(made: Search, column: str, match: Match) -> list[str]:
    first, last = match.values
    found = []
    if first:
        found.append(_filled(made, "from_on", column, first))
    if last:
        found.append(_filled(made, "up_to", column, last))
    return found


def _fuzzy(made: Search, column: str, match: Match) -> list[str]:
    asked = words(match.values[0])
    found = [_filled(made, "has_word", column, f"% {like_pattern(word)}%") for word in asked]
    return found + _gram_condition(made, match, grams_of_words(asked))


def _wildcard(made: Search, column: str, match: Match) -> list[str]:
    made.is_planned = True
    if match.keyword not in NAMES:
        return [_filled(made, "is_like", column, like_pattern(match.values[0]))]
    pattern = folded(match.values[0])
    if not pattern.strip("*"):
        return []
    found = [_filled(made, "is_like", column, f"%={like_pattern(pattern)}=%")]
    return found + _gram_condition(made, match, grams_of_pattern(pattern))


def _name(made: Search, column: str, match: Match) -> list[str]:
    """A whole name without wildcards: any component group of the stored one."""
    name = folded(match.values[0])
    if not name:
        return [_filled(made, "is_one", column, "")]
    found = [_filled(made, "is_like", column, f"%={like_pattern(name)}=%")]
    return found + _gram_condition(made, match, grams_of_pattern(name))


def _gram_condition(made: Search, match: Match, pieces: list[str]) -> list[str]:
    made.is_planned = True
    if match.keyword != "PatientName" or not pieces:
        return []
    return [_filled(made, "has_grams", "", pieces)]


def _list_condition(made: Search, column: str, match: Match) -> str:
    if match.how == "wildcard":
        return _filled(made, "has_like", column, like_pattern(match.values[0]))
    return _filled(made, "overlaps", column, list(match.values))


def _number_condition(made: Search, column: str, match: Match) -> str:
    numbers = [int(value) for value in match.values if value.strip().lstrip("+-").isdecimal()]
    fitting = [number for number in numbers if abs(number) < 1 << 31]
    return _filled(made, "is_any", column, fitting)


def _filled(made: Search, name: str, column: str, value: Any) -> str:
    return _SQL[name].replace(":column", column).replace(":value", _place(made, value))


def _place(made: Search, value: Any) -> str:
    made.arguments.append(value)
    return f"${len(made.arguments)}"
