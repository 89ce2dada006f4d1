"""C-FIND of the Patient Root and Study Root information models.

A handler for pynetdicom: yields (status, identifier) for each match, then the final status unless
that is Success.
Source  PS3.4 C.4.1 (statuses in C.4.1.1.4)
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from wardlight_cloud.dimse.loop_thread import LoopCalls
from wardlight_cloud.dimse.patients import (
    AmbiguousPatientError,
    check_one,
    number_and_issuer,
    of_patient,
    people,
)
from wardlight_cloud.dimse.requests import FindRequest, QueryLevel
from wardlight_cloud.dimse.responses import find_response
from wardlight_cloud.imaging.availability import Available
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, ImageStore, Level, Match
from wardlight_shared.errors import StorageError

PENDING: Final = 0xFF00
PENDING_KEY_IGNORED: Final = 0xFF01
CANCELLED: Final = 0xFE00
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_FIT: Final = 0xA900
UNABLE_TO_PROCESS: Final = 0xC001
_MOST_STUDIES: Final = 65535
_PATIENT_COUNTS: Final[Mapping[str, Callable[[ImageRow], int]]] = {
    "NumberOfPatientRelatedStudies": lambda _: 1,
    "NumberOfPatientRelatedSeries": lambda row: row.study_series,
    "NumberOfPatientRelatedInstances": lambda row: row.study_instances,
}
"""What each study of the patient adds."""
_log = logging.getLogger(__name__)

Answer = tuple[int | Dataset, Dataset | None]


class Finder:
    """Answers searches from the index."""

    def __init__(self, store: ImageStore, calls: LoopCalls, reads: ReadLog, ae_title: str) -> None:
        self._store = store
        self._calls = calls
        self._reads = reads
        self._ae_title = ae_title

    def answers(
        self, request: FindRequest, caller: Reader, is_cancelled: Callable[[], bool]
    ) -> Iterator[Answer]:
        """One answer a match, at most ``request.query.limit``."""
        most = request.query.limit
        try:
            # One more than is given shows that there are more.
            rows = self._calls.call(self._store.images(replace(request.query, limit=most + 1)))
            if request.is_of_one_patient:
                check_one(rows)
            available = self._available(rows[:most], request.level)
        except StorageError as error:
            _log.warning("a search was refused", extra={"error": str(error)})
            yield refusal(OUT_OF_RESOURCES, "the index does not answer"), None
            return
        except AmbiguousPatientError as error:
            yield refusal(UNABLE_TO_PROCESS, str(error)), None
            return
        status = PENDING_KEY_IGNORED if request.ignored else PENDING
        count = 0
        for row in self._of_level(rows[:most], request.level):
            if is_cancelled():
                yield CANCELLED, None
                return
            counts = self._patient_counts(row, request)
            self._reads.note(caller, row.study_uid, "dimse")
            yield status, find_response(row, request, self._ae_title, counts, available)
            count += 1
        if len(rows) > most:
            yield refusal(OUT_OF_RESOURCES, f"more than {most} matches; ask for fewer"), None
        _log.debug("answered a search", extra={"level": request.level.value, "matches": count})

    def _of_level(self, rows: tuple[ImageRow, ...], level: QueryLevel) -> Iterator[ImageRow]:
        """The rows; of the studies of one patient the first."""
        if level is not QueryLevel.PATIENT:
            yield from rows
            return
        yield from (person.rows[0] for person in people(rows))

    def _available(self, rows: tuple[ImageRow, ...], level: QueryLevel) -> Available:
        if level not in (QueryLevel.STUDY, QueryLevel.SERIES) or not rows:
            return Available()
        uids = sorted({row.study_uid for row in rows})
        return Available(self._calls.call(self._store.lacking(uids)))

    def _patient_counts(self, row: ImageRow, request: FindRequest) -> dict[str, int]:
        asked = {key.keyword for key in request.keys} & _PATIENT_COUNTS.keys()
        if not asked:
            return {}
        # Also those that the search leaves out.
        theirs = people(self._calls.call(self._store.images(_perhaps_of_patient(row))))
        studies = next(
            (each.rows for each in theirs if row.study_uid in {one.study_uid for one in each.rows}),
            [row],  # it was removed meanwhile
        )
        return {keyword: sum(map(_PATIENT_COUNTS[keyword], studies)) for keyword in sorted(asked)}


def refusal(status: int, comment: str) -> Dataset:
    """A status with its Error Comment (0000,0902), an LO."""
    found = Dataset()
    found.Status = status
    found.ErrorComment = comment[:64]
    return found


def _perhaps_of_patient(row: ImageRow) -> ImageQuery:
    """Studies of the same number; who has none is told by the register alone, or by the study."""
    number, _ = number_and_issuer(row)
    if number:
        return ImageQuery(Level.STUDY, of_patient(number, ""), limit=_MOST_STUDIES)
    if row.patient is not None:
        return ImageQuery(Level.STUDY, patients=(row.patient,), limit=_MOST_STUDIES)
    match = Match("StudyInstanceUID", "equal", (row.study_uid,))
    return ImageQuery(Level.STUDY, (match,))
