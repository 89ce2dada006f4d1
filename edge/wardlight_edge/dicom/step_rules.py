"""What a Modality Performed Procedure Step may be and become.

    N-CREATE -> IN PROGRESS -> (N-SET)* -> COMPLETED | DISCONTINUED, and nothing after that

In      the attributes as they are held, and those of a request
Out     the attributes as they are then
Errors  StepRefused: status of the response, and which attributes it is about
Source  DICOM PS3.4, F.7.2.1 and F.7.2.2 with table F.7.2-1; PS3.7, C.4 (status codes), 10.1.3 and
        10.1.5; error id A710H: PS3.4, F.7.2.2.3

Attributes that are required with a value (type 1) must be there. Those that may be empty (type 2)
may be absent too: many modalities leave them out, and their steps count.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from wardlight_edge.dicom import data_sets
from wardlight_edge.dicom.same_value import says_the_same

STATUS: Final = "PerformedProcedureStepStatus"
IN_PROGRESS: Final = "IN PROGRESS"
COMPLETED: Final = "COMPLETED"
DISCONTINUED: Final = "DISCONTINUED"
ENDS: Final = frozenset({COMPLETED, DISCONTINUED})

INVALID_VALUE: Final = 0x0106
PROCESSING_FAILURE: Final = 0x0110
MISSING_ATTRIBUTE: Final = 0x0120
MISSING_VALUE: Final = 0x0121
NO_LONGER_UPDATED: Final = 0xA710  # an Error ID of PROCESSING_FAILURE

_TO_BEGIN: Final = (
    "ScheduledStepAttributesSequence", "PerformedProcedureStepID", "PerformedStationAETitle",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", STATUS, "Modality",
)  # fmt: skip
_TO_END: Final = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
_OF_SERIES: Final = ("ProtocolName", "SeriesInstanceUID")
_FIXED: Final = (
    "ScheduledStepAttributesSequence", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName",
    "PerformedLocation", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "Modality", "StudyID",
)  # fmt: skip


class StepRefused(Exception):
    """A request that the rules do not allow. ``tags``: the attributes it is about."""

    def __init__(
        self, status: int, comment: str, tags: Iterable[int] = (), error_id: int | None = None
    ) -> None:
        super().__init__(f"{status:#06x}: {comment}")
        self.status = status
        self.comment = comment
        self.tags = tuple(tags)
        self.error_id = error_id


def begun(attributes: Dataset) -> Dataset:
    """The step that an N-CREATE makes."""
    _require(attributes, _TO_BEGIN)
    for scheduled in data_sets.items(attributes, "ScheduledStepAttributesSequence"):
        _require(scheduled, ("StudyInstanceUID",))
    if data_sets.text(attributes, STATUS) != IN_PROGRESS:
        raise _invalid("a step begins IN PROGRESS", (STATUS,))
    return attributes


def changed(held: Dataset, changes: Dataset) -> Dataset:
    """The step after an N-SET; neither argument is changed."""
    if data_sets.text(held, STATUS) in ENDS:
        comment = "Performed Procedure Step Object may no longer be updated"
        raise StepRefused(PROCESSING_FAILURE, comment, error_id=NO_LONGER_UPDATED)
    # Many modalities send again what they sent, or empty: neither changes the step.
    other = [name for name in _FIXED if name in changes and not says_the_same(held, changes[name])]
    if other:
        raise _invalid("what was set at the beginning stays", other)
    step = deepcopy(held)
    step.update({each.tag: each for each in changes if each.keyword not in _FIXED})
    status = data_sets.text(step, STATUS)
    if status not in ENDS | {IN_PROGRESS}:
        raise _invalid("no status of a step", (STATUS,))
    if status in ENDS:
        _require(step, _TO_END)
    if status == COMPLETED:
        _require(step, ("PerformedSeriesSequence",))
        for series in data_sets.items(step, "PerformedSeriesSequence"):
            _require(series, _OF_SERIES)
    return step


def _require(attributes: Dataset, names: Sequence[str]) -> None:
    absent = [name for name in names if name not in attributes]
    if absent:
        raise StepRefused(MISSING_ATTRIBUTE, f"{absent[0]} is missing"[:64], _tags(absent))
    empty = [name for name in names if attributes[name].is_empty]
    if empty:
        raise StepRefused(MISSING_VALUE, f"{empty[0]} has no value"[:64], _tags(empty))


def _invalid(comment: str, names: Sequence[str]) -> StepRefused:
    return StepRefused(INVALID_VALUE, comment, _tags(names))


def _tags(names: Iterable[str]) -> list[int]:
    return [tag for name in names if (tag := tag_for_keyword(name)) is not None]
