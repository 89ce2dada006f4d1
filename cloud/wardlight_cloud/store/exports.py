"""Exports of many resources to files: a part of the store's Protocol.

An export is a row that outlives processes: what was asked for (``plan``), how far it is
(``progress``, both of fhir/bulk/ and read by nobody here), and who is at work on it, under a lease
that ends by itself. It shows what was committed behind ``since_seq``, up to and with
``commit_seq``: an export that begins at the ``transaction_time`` of another one begins at its
commit, so nothing is missed or shown twice between the two.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from wardlight_cloud.store.observation_texts import Form
from wardlight_cloud.store.resources import Patients, ResourceRow

if TYPE_CHECKING:
    from wardlight_cloud.store.queries import ObservationQuery


@dataclass(frozen=True, slots=True)
class ExportOwner:
    """Whose export it is: of a client, for a user, about a patient, if any."""

    client: str
    login: str | None
    patient: UUID | None


class ExportState(StrEnum):
    """What became of an export."""

    RUNNING = "running"  # or waiting for a process to take it
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Export:
    """One export whose files are there, or will be. ``request``: the address that asked for it."""

    export_id: UUID
    owner: ExportOwner
    state: ExportState
    asked_at: datetime
    ended_at: datetime | None
    transaction_time: datetime
    since_seq: int
    commit_seq: int
    attempt: int
    request: str
    plan: bytes
    progress: bytes | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class NewExport:
    """An export that somebody asks for; ``since``, ``until`` None = from the beginning, to now."""

    owner: ExportOwner
    request: str
    plan: bytes
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """How many may run at a time, and how many octets their files may hold together."""

    for_one: int
    in_all: int
    octets: int


class Refused(StrEnum):
    """Why there is no export."""

    FOR_ONE = "for-one"
    IN_ALL = "in-all"
    OCTETS = "octets"


@dataclass(frozen=True, slots=True)
class Commits:
    """Commits behind ``after``, up to and with ``last``."""

    after: int
    last: int


@dataclass(frozen=True, slots=True)
class Lines:
    """Resources, a line each; ``place``: where to go on behind them, for the same question."""

    text: bytes
    count: int
    place: bytes


class ExportStore(Protocol):
    """Every coroutine raises StorageError."""

    async def start_export(self, new: NewExport, limits: ExportLimits) -> Export | Refused:
        """Make an export, to be claimed."""

    async def export(self, export_id: UUID) -> Export | None:
        """One that has not ended for good."""

    async def end_export(self, export_id: UUID) -> bool:
        """End it for good, whatever it does; False where there is none. Its row stays."""

    async def has_claimable_export(self) -> bool:
        """Whether one waits for a process."""

    async def claim_export(self, holder: str, *, lease_s: float) -> Export | None:
        """Take the oldest that waits; nobody else does until the lease ends."""

    async def save_export(
        self, export_id: UUID, holder: str, progress: bytes, octets: int, *, lease_s: float
    ) -> bool:
        """Keep how far it is, and the lease; False: it was ended, or somebody else has it."""

    async def finish_export(
        self, export_id: UUID, holder: str, progress: bytes, octets: int
    ) -> bool:
        """All files are there."""

    async def fail_export(self, export_id: UUID, holder: str, problem: str) -> None:
        """It cannot be made; ``problem`` is told to the client."""

    async def leave_exports(self, holder: str) -> None:
        """Its holder has ended: somebody else may go on at once, from what was saved."""

    async def outdated_exports(self, *, hours: float) -> Sequence[UUID]:
        """Those that ended longer ago, or whose client is none any more."""

    async def live_exports(self) -> frozenset[UUID]:
        """Those whose files are in use."""

    async def export_octets(self) -> int:
        """Of the files of all of them."""

    async def exported_resources(
        self,
        kind: str,
        commits: Commits,
        *,
        patients: Patients,
        is_of_patients: bool,
        after: int,
        count: int,
    ) -> Sequence[ResourceRow]:
        """Stored resources as they were at the last of the commits, in the order of creation.

        ``is_of_patients``: only those that are a patient's. Deleted ones are among them unless the
        commits begin at the beginning.
        """

    def exported_readings(
        self, query: "ObservationQuery", commits: Commits, form: Form, *, place: bytes | None
    ) -> AsyncGenerator[Lines, None]:
        """Observations of readings whose commit lies within, once each; the order is the store's.

        Of the query what narrows counts: patients, devices, metrics, units, times. One that gets
        another commit meanwhile is left to whoever asks for that one. ValueError for a place that
        is none.
        """
