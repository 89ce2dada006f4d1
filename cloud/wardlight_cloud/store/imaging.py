"""Images in the store's Protocol: the index of studies, series and instances, and what is about it.

The objects themselves are in store/object_base.py's ObjectStore; the index can be rebuilt from
them. Attributes are DICOM JSON (PS3.18, annex F), as UTF-8 text ready to be sent. UIDs are text.
Every coroutine raises StorageError; one call is one transaction.

Length: one Protocol with the values that its calls take and give.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Literal, Protocol
from uuid import UUID

from wardlight_cloud.store.image_arrivals import (
    KnownFile,
    NewInstance,
    PutOutcome,
    Receipt,
    Source,
    UnmatchedReason,
)


class Level(StrEnum):
    """Levels of the Query/Retrieve information models that the index has."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


MATCHABLE: Final[Mapping[Level, frozenset[str]]] = {
    Level.STUDY: frozenset(
        (
            "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
            "StudyDescription", "ReferringPhysicianName", "PatientName", "PatientID",
            "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "ModalitiesInStudy",
            "SOPClassesInStudy",
        )
    ),
    Level.SERIES: frozenset(
        (
            "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate",
            "SeriesTime", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
            "BodyPartExamined", "Laterality", "ProtocolName", "StationName", "InstitutionName",
            "Manufacturer", "ManufacturerModelName", "ScheduledProcedureStepID",
            "RequestedProcedureID",
        )
    ),
    Level.INSTANCE: frozenset(
        (
            "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "ContentDate", "ContentTime",
            "CompletionFlag", "VerificationFlag", "NumberOfFrames", "Rows", "Columns",
        )
    ),
}  # fmt: skip
"""Keywords that a Match may name, by the level they belong to."""

TAKEN_DATE: Final = "TakenDate"
"""A Match may name it at the level of instances: the day of AcquisitionDateTime, else
ContentDate, else StudyDate."""


WaitsFor = UnmatchedReason | Literal["no-number", "no-issuer"]
"""Why a study waits, to be told: "unknown" apart by what would have to be known."""


@dataclass(frozen=True, slots=True)
class Identified:
    """An identifier of the register, and the patient who has it."""

    value: str
    system: str
    patient: UUID
    birth_date: date | None
    family: str = ""
    given: str = ""
    gender: str = ""


@dataclass(frozen=True, slots=True)
class InstanceRef:
    """Where the octets of an indexed instance are; ``is_doubted``: as ImageKeepingStore has it."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    sha256: bytes
    size: int
    number: int | None
    rows: int
    columns_px: int
    frame_count: int
    tier: Literal["hot", "cold"]
    stored_at: datetime
    is_doubted: bool = False


@dataclass(frozen=True, slots=True)
class Lacking:
    """What cannot be had of a series at once, or not at all.

    ``is_cold``: something of it lies in the slow place. ``doubted``: how many of its instances are
    not given out, for a check found their objects damaged or missing.
    """

    is_cold: bool
    doubted: int


@dataclass(frozen=True, slots=True)
class Match:
    """One matching key of a query: keyword of the attribute, and how it is matched.

    equal     any of ``values`` (a list of UIDs has several)
    wildcard  ``values[0]`` with * and ?
    range     [values[0], values[1]], either may be empty; as text of the column
    fuzzy     every word of ``values[0]`` begins a word of the name
    """

    keyword: str
    how: Literal["equal", "wildcard", "range", "fuzzy"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """A search at a level; keys of the levels above may be matched too.

    ``matches``: all of them hold; keywords of MATCHABLE, ValueError for another one.
    ``patients``: only images of these patients of the register; None = of all and of none.
    ``stored_after_seq``: only studies that changed after this commit, in the order of commits.
    Order: newest study first (StudyDate, StudyTime, key), then series and instance number.
    """

    level: Level
    matches: tuple[Match, ...] = ()
    patients: tuple[UUID, ...] | None = None
    limit: int = 100
    offset: int = 0
    stored_after_seq: int | None = None


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A match: the attributes of its level and those above, and the counts DICOM asks for."""

    study_uid: str
    study: bytes
    study_series: int
    study_instances: int
    modalities: tuple[str, ...]
    sop_classes: tuple[str, ...]
    patient: UUID | None
    updated_at: datetime
    commit_seq: int
    series_uid: str | None = None
    series: bytes | None = None
    series_instances: int = 0
    ref: InstanceRef | None = None
    instance: bytes | None = None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A study whose patient the register does not know, or knows twice: an operator decides.

    ``issuer``: as the study names it; ``given_by``: who gave out its patient id, as the register
    would write it, also by the settings; "" = nobody says.
    """

    study_uid: str
    patient_id: str
    issuer: str
    accession: str
    modalities: tuple[str, ...]
    instances: int
    since: datetime
    reason: UnmatchedReason
    given_by: str = ""

    @property
    def why(self) -> WaitsFor:
        """The reason, and what is missing where nobody can be found."""
        if self.reason != "unknown":
            return self.reason
        if not self.patient_id:
            return "no-number"
        return "unknown" if self.given_by else "no-issuer"


@dataclass(frozen=True, slots=True)
class Version:
    """A file that has the SOP Instance UID of another one.

    ``study_uid``: that it says it is of; "" = not on record. ``is_elsewhere``: that is not the
    study of the file that is shown, so it is seen nowhere in its own.
    """

    sop_uid: str
    sha256: bytes
    size: int
    stored_at: datetime
    source: Source
    is_shown: bool = False  # the one that queries and retrieval give
    study_uid: str = ""
    is_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """That something was entered in error: who said so, and when."""

    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class KeyNote:
    """What somebody noted about an image; it appears on the patient's timeline.

    It stays as it was written. ``withdrawn``: it was in error; ``replaces``: the note in whose
    place it stands.
    """

    note_id: UUID
    study_uid: str
    sop_uid: str
    frame: int
    text: str
    author: str
    written_at: datetime
    drawing: Mapping[str, object] = field(default_factory=dict)
    withdrawn: Withdrawal | None = None
    replaces: UUID | None = None


Frames = tuple[tuple[tuple[int, int], ...], ...]
IsThere = Callable[[bytes], Awaitable[bool]]
"""Whether an object is in the object store."""


class ImageStore(Protocol):
    """The index of images."""

    async def put_instances(
        self, instances: Sequence[NewInstance], *, is_there: IsThere | None = None
    ) -> list[PutOutcome]:
        """Index instances in one transaction, with counters, audit rows and receipts.

        ``is_there`` is asked for each object inside it, when nobody can remove one any more;
        ObjectMissingError, and nothing is stored, where it says False.
        """

    async def identified(self, values: Sequence[str]) -> tuple[Identified, ...]:
        """Identifiers of the register that have one of these values, of any system."""

    async def images(self, query: ImageQuery) -> tuple[ImageRow, ...]:
        """Search."""

    async def image_count(self, query: ImageQuery) -> int:
        """How many rows all pages of a search have."""

    async def instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[InstanceRef, ...]:
        """Instances of a study, series, or the one, in the order of series and number."""

    async def lacking(self, study_uids: Sequence[str]) -> Mapping[tuple[str, str], Lacking]:
        """(study, series) of these studies, of those series that cannot all be had at once."""

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        """The instance of this UID."""

    async def headers(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[tuple[InstanceRef, bytes], ...]:
        """Instances with their stored headers."""

    async def header_sizes(self, sop_uids: Sequence[str]) -> dict[str, int]:
        """Octets of the stored headers of instances that are there."""

    async def headers_of(self, sop_uids: Sequence[str]) -> tuple[tuple[InstanceRef, bytes], ...]:
        """These instances with their stored headers, in this order, of those that are there."""

    async def frames(self, sop_uid: str, sha256: bytes) -> Frames | None:
        """(offset, length) of the fragments of each frame; None: it is not this file's by now."""

    async def bulk(self, sop_uid: str, sha256: bytes) -> Mapping[str, tuple[int, int]] | None:
        """Tag path -> (offset, length) of large values (InstanceHeader); None as of ``frames``."""

    async def patient_of_study(self, study_uid: str) -> UUID | None:
        """Whose study it is; None = nobody's yet."""

    async def receipts(self, sop_uids: Sequence[str]) -> Mapping[str, Receipt]:
        """The files of instances on the index with whose objects nothing is known to be wrong.

        Whether they are there is the object store's to say: see imaging/custody.py.
        """

    async def file_known(self, sha256: bytes) -> KnownFile | None:
        """What a file is of, that is on the index, shown or as a version; None = it is not."""

    async def note_upload(self, sha256: bytes, source: Source) -> bool:
        """A file came again: write the audit row; False where it is not on the index.

        The same (gateway, spool, item) again writes nothing.
        """

    async def assign_study(self, study_uid: str, patient: UUID, *, by: str) -> None:
        """An operator says whose study it is; it leaves the queue and gets a new commit_seq."""

    async def unmatched(self, *, count: int = 100) -> tuple[Unmatched, ...]:
        """The reconcile queue, oldest first."""

    async def versions(self, sop_uid: str | None = None) -> tuple[Version, ...]:
        """Conflict versions of an instance, or all."""

    async def put_note(self, note: KeyNote) -> None:
        """Write a note, and withdraw the one it replaces, by its author at its time.

        The same id again changes nothing. StorageError where the study has no note to replace.
        """

    async def withdraw_note(self, note_id: UUID, study_uid: str, withdrawal: Withdrawal) -> bool:
        """A note was in error; False where the study has none such. The first word stands."""

    async def notes(
        self, *, study_uid: str | None = None, patient: UUID | None = None, count: int = 100
    ) -> tuple[KeyNote, ...]:
        """Notes, newest first."""
