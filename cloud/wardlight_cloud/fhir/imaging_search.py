"""Searches of ImagingStudy, DocumentReference and ECG Observations to queries of the index.

All of them go through the studies in the order of their commits, so pages never skip or repeat a
row while others arrive; a study that changes meanwhile comes again with its new version. Studies
that are nobody's are not served.

Cursors  the last commit of the page, bound to the search
Errors   FhirError 400 with the parameter at fault; ValueError for a cursor of another search
Source   R4 4.0.1 search parameters of ImagingStudy, DocumentReference, Observation
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from wardlight_cloud.fhir.addresses import id_of_reference
from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.dicom_json import DCM, UID_SYSTEM
from wardlight_cloud.fhir.image_doubts import DoubtReads
from wardlight_cloud.fhir.imaging_ids import ImagingIds
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.parameters import reference_id, split_values, token
from wardlight_cloud.fhir.report_chains import chains
from wardlight_cloud.store.image_places import ImagePlaceStore
from wardlight_cloud.store.imaging import (
    TAKEN_DATE,
    ImageQuery,
    ImageRow,
    ImageStore,
    Level,
    Match,
)
from wardlight_cloud.store.order_reads import OrderReadStore
from wardlight_cloud.store.queries import TimeBound
from wardlight_cloud.store.sealing import CursorStore

IMAGING_STUDY_PARAMETERS: Final = {
    "_id": "token",
    "_lastUpdated": "date",
    "identifier": "token",
    "patient": "reference",
    "subject": "reference",
    "started": "date",
    "modality": "token",
    "status": "token",
    "endpoint": "reference",
}
DOCUMENT_PARAMETERS: Final = {
    "_id": "token",
    "_lastUpdated": "date",
    "identifier": "token",
    "patient": "reference",
    "subject": "reference",
    "related": "reference",
    "status": "token",
}
ENDPOINT_PARAMETERS: Final = {"_id": "token", "connection-type": "token"}
AVAILABLE: Final = "available"
STATUS_SYSTEM: Final = "http://hl7.org/fhir/imagingstudy-status"
FINAL: Final = ("final", "http://hl7.org/fhir/observation-status")
CURRENT: Final = ("current", "http://hl7.org/fhir/document-reference-status")
SUPERSEDED: Final = ("superseded", "http://hl7.org/fhir/document-reference-status")
_OID: Final = "urn:oid:"
_LOOKED_AT: Final = 200
_CURSOR_BYTES: Final = 16


class ImagingReads(ImageStore, ImagePlaceStore, OrderReadStore, CursorStore, DoubtReads, Protocol):
    """What searches ask of the store."""


@dataclass(frozen=True, slots=True)
class ImagingSearch:
    """A parsed search. ``stored``: when the study changed last; ``digest`` binds cursors to it.

    ``is_superseded``: only reports in whose place another one stands, or only others; None = all.
    """

    query: ImageQuery
    stored: tuple[TimeBound, ...] = ()
    is_empty: bool = False
    digest: bytes = b""
    is_superseded: bool | None = None

    async def find(
        self, store: ImagingReads, *, count: int, after: bytes | None
    ) -> tuple[tuple[ImageRow, ...], bytes | None]:
        """A page and the next cursor; rows of one commit stay on one page, however many."""
        place = self._place(after)
        if self.is_empty:
            return (), None
        low, high = await _commits(store, self.stored)
        place = max(place, low)
        kept: list[ImageRow] = []
        limit = max(_LOOKED_AT, count + 1)
        while True:
            query = replace(self.query, stored_after_seq=place, limit=limit)
            rows = await store.images(query)
            whole = rows if len(rows) < limit else _without_last_commit(rows)
            if not whole and rows:
                limit *= 2  # more rows in one commit than were read
                continue
            for commit in _by_commit(await self._of_status(store, whole)):
                if high is not None and commit[0].commit_seq > high:
                    return tuple(kept), None
                served = [row for row in commit if row.patient is not None]
                if kept and len(kept) + len(served) > count:
                    return tuple(kept), self._cursor(kept[-1].commit_seq)
                kept += served
            if len(rows) < limit:
                return tuple(kept), None
            place = whole[-1].commit_seq

    async def _of_status(self, store: ImagingReads, rows: Sequence[ImageRow]) -> Sequence[ImageRow]:
        if self.is_superseded is None:
            return rows
        found = (await chains(store, rows)).superseded
        return [
            row for row in rows
            if row.ref is None or (row.ref.sop_uid in found) is self.is_superseded
        ]  # fmt: skip

    def behind(self, commit_seq: int) -> bytes:
        """The cursor behind a commit."""
        return self._cursor(commit_seq)

    def _cursor(self, commit_seq: int) -> bytes:
        return commit_seq.to_bytes(8, "big") + self.digest

    def _place(self, cursor: bytes | None) -> int:
        if cursor is None:
            return -1
        if len(cursor) != _CURSOR_BYTES or cursor[8:] != self.digest or cursor[0] & 0x80:
            raise ValueError("not a cursor of this search")
        return int.from_bytes(cursor[:8], "big")


def _by_commit(rows: Sequence[ImageRow]) -> Iterable[list[ImageRow]]:
    group: list[ImageRow] = []
    for row in rows:
        if group and row.commit_seq != group[0].commit_seq:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _without_last_commit(rows: Sequence[ImageRow]) -> Sequence[ImageRow]:
    """Those of commits of which nothing is missing."""
    return [row for row in rows if row.commit_seq != rows[-1].commit_seq]


async def _commits(store: ImagePlaceStore, stored: Iterable[TimeBound]) -> tuple[int, int | None]:
    """(after this commit, up to this one) of the bounds on the time of a change."""
    low, high = -1, None
    for bound in stored:
        # Instants are told in microseconds, which is as exact as they are kept.
        after = bound.op in ("gt", "le")
        instant = bound.instant
        if after and instant < datetime.max.replace(tzinfo=UTC):
            instant += timedelta(microseconds=1)
        commit = await store.commit_before(instant)
        if bound.op in ("gt", "ge"):
            low = max(low, commit)
        else:
            high = commit if high is None else min(high, commit)
    return low, high


@dataclass(slots=True)
class Draft:
    """A search while its parameters are read."""

    matches: list[Match] = field(default_factory=list)
    patients: set[UUID] | None = None
    stored: list[TimeBound] = field(default_factory=list)
    is_empty: bool = False
    is_superseded: bool | None = None

    def narrow(self, keyword: str, values: Iterable[str]) -> None:
        """One of these values; with none of them nothing is found."""
        found = tuple(dict.fromkeys(values))
        self.is_empty |= not found
        self.matches.append(Match(keyword, "equal", found))

    def of_patients(self, name: str, text: str) -> None:
        """Of one of these patients."""
        found = {reference_id(name, value, "Patient") for value in split_values(text)} - {None}
        ids = {each for each in found if each is not None}
        self.patients = ids if self.patients is None else self.patients & ids
        self.is_empty |= not self.patients

    def of_ids(self, keyword: str, ids: ImagingIds, values: Iterable[str]) -> None:
        """With one of these ids."""
        self.narrow(keyword, (uid for value in values if (uid := ids.uid_of(value)) is not None))

    def search(self, level: Level, honoured: Parameters) -> ImagingSearch:
        """What was read."""
        patients = None if self.patients is None else tuple(sorted(self.patients))
        query = ImageQuery(level, tuple(self.matches), patients)
        return ImagingSearch(
            query, tuple(self.stored), self.is_empty, _digest(level, honoured), self.is_superseded
        )


def _digest(level: Level, honoured: Parameters) -> bytes:
    """Of what decides which rows there are: not of how many are shown at a time."""
    kept = [pair for pair in honoured if pair[0] not in ("_count", "_cursor", "_summary", "_total")]
    return hashlib.sha256(repr((level.value, kept)).encode()).digest()[:8]


def study_search(
    honoured: Parameters, ids: ImagingIds, endpoints: Mapping[str, str]
) -> ImagingSearch:
    """A search of ImagingStudy."""
    draft = Draft()
    readers: dict[str, Callable[[str, str], None]] = {
        "_id": lambda name, text: draft.of_ids("StudyInstanceUID", ids, split_values(text)),
        "_lastUpdated": lambda name, text: draft.stored.extend(time_bounds(name, text)),
        "identifier": lambda name, text: _study_identifier(draft, text),
        "patient": draft.of_patients,
        "subject": draft.of_patients,
        "started": lambda name, text: _by_day(draft, "StudyDate", name, text),
        "modality": lambda name, text: _modality(draft, text),
        "status": lambda name, text: _status(draft, text, AVAILABLE, STATUS_SYSTEM),
        "endpoint": lambda name, text: _endpoint(draft, text, endpoints),
    }
    for name, text in honoured:
        if name in readers:
            readers[name](name, text)
    return draft.search(Level.STUDY, honoured)


def instance_search(
    honoured: Parameters,
    ids: ImagingIds,
    studies: ImagingIds,
    sop_classes: Sequence[str],
    status: tuple[str, str],
    other: tuple[str, str] | None = None,
) -> ImagingSearch:
    """A search of resources that are instances of these SOP classes.

    All have one status, but for ``other``: of reports that are superseded.
    """
    draft = Draft()
    draft.narrow("SOPClassUID", sop_classes)
    readers: dict[str, Callable[[str, str], None]] = {
        "_id": lambda name, text: draft.of_ids("SOPInstanceUID", ids, split_values(text)),
        "_lastUpdated": lambda name, text: draft.stored.extend(time_bounds(name, text)),
        "identifier": lambda name, text: draft.narrow("SOPInstanceUID", uids_of(text)),
        "patient": draft.of_patients,
        "subject": draft.of_patients,
        "related": lambda name, text: _related(draft, text, studies),
        "date": lambda name, text: _by_day(draft, TAKEN_DATE, name, text),
        "status": lambda name, text: _document_status(draft, text, status, other),
    }
    for name, text in honoured:
        if name in readers:
            readers[name](name, text)
    return draft.search(Level.INSTANCE, honoured)


def time_bounds(name: str, text: str) -> tuple[TimeBound, ...]:
    """Comparisons of a date parameter."""
    try:
        return bounds(text)
    except ValueError as error:
        raise invalid(name, str(error)) from error


def uids_of(text: str) -> list[str]:
    """UIDs of an identifier parameter: ``urn:dicom:uid|urn:oid:1.2.3`` or the value alone."""
    found = []
    for value in split_values(text):
        system, code = token(value)
        if system in (None, UID_SYSTEM) and code.startswith(_OID):
            found.append(code.removeprefix(_OID))
    return found


def _study_identifier(draft: Draft, text: str) -> None:
    """A UID, or an accession number, which has no system."""
    uids = uids_of(text)
    others = [token(value) for value in split_values(text)]
    accessions = [
        code for system, code in others if system in (None, "") and not code.startswith(_OID)
    ]
    if uids and accessions:
        raise invalid("identifier", "look for UIDs or for accession numbers, not both at once")
    if accessions:
        draft.narrow("AccessionNumber", accessions)
    else:
        draft.narrow("StudyInstanceUID", uids)


def _modality(draft: Draft, text: str) -> None:
    pairs = [token(value) for value in split_values(text)]
    draft.narrow("ModalitiesInStudy", (code for system, code in pairs if system in (None, DCM)))


def _status(draft: Draft, text: str, only: str, of: str) -> None:
    """The status that all of them have, and its system: studies available, ECGs final."""
    draft.is_empty |= not any(
        code == only and system in (None, of) for system, code in map(token, split_values(text))
    )


def _document_status(
    draft: Draft, text: str, usual: tuple[str, str], other: tuple[str, str] | None
) -> None:
    asked = [token(value) for value in split_values(text)]
    found = [
        of is not None and any(code == of[0] and system in (None, of[1]) for system, code in asked)
        for of in (usual, other)
    ]
    draft.is_empty |= not any(found)
    if other is not None and any(found) and not all(found):
        draft.is_empty |= draft.is_superseded is (not found[1])
        draft.is_superseded = found[1]


def _endpoint(draft: Draft, text: str, endpoints: Mapping[str, str]) -> None:
    """Every study is at both of ours."""
    names = {id_of_reference(value, "Endpoint") for value in split_values(text)}
    draft.is_empty |= names.isdisjoint(endpoints)


def _related(draft: Draft, text: str, studies: ImagingIds) -> None:
    ids = (id_of_reference(value, "ImagingStudy") for value in split_values(text))
    # What else a document may be related to, others wrote.
    draft.of_ids("StudyInstanceUID", studies, [each for each in ids if each is not None])


def _by_day(draft: Draft, keyword: str, name: str, text: str) -> None:
    """By day: the clock of a modality says no offset, so hours cannot be compared."""
    for bound in time_bounds(name, text):
        day = bound.instant.date()
        is_first_moment = bound.instant.timetz() == datetime.min.replace(tzinfo=UTC).timetz()
        if bound.op == "lt" and is_first_moment and day > day.min:
            day -= timedelta(days=1)
        written = day.strftime("%Y%m%d").rjust(8, "0")
        ends = (written, "") if bound.op in ("ge", "gt") else ("", written)
        draft.matches.append(Match(keyword, "range", ends))
