"""The store's Protocols: all that ingest, FHIR, dashboard and alarms know of a database.

Implemented by store/postgres/ (native partitions, or TimescaleDB where it is found); one
conformance suite runs on both (tests/contract/test_store_*.py). Every coroutine raises StorageError
when the database refuses or is away; nothing is half done: one call, one transaction.

Times in arguments and results are aware UTC datetimes unless a name ends in ``_us`` or ``_ms``.
Consumers cursor on ``commit_seq``: it grows in the order in which transactions become visible, so
a reader that has seen n has seen everything below n.

Length: the types that all parts share, and the sum of their Protocols
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

from wardlight_cloud.store.audit import AuditStore
from wardlight_cloud.store.authorization import AuthorizationStore
from wardlight_cloud.store.batch import IngestBatch, IngestResult, LedgerState
from wardlight_cloud.store.blobs_aside import BlobAsideStore
from wardlight_cloud.store.commits import CommitStore
from wardlight_cloud.store.device_facts import DeviceFactStore
from wardlight_cloud.store.exports import ExportStore
from wardlight_cloud.store.forwarding import ForwardingStore
from wardlight_cloud.store.hl7_out import Hl7Store
from wardlight_cloud.store.image_keeping import ImageKeepingStore
from wardlight_cloud.store.image_places import ImagePlaceStore
from wardlight_cloud.store.image_reads import ImageReadStore
from wardlight_cloud.store.imaging import ImageStore
from wardlight_cloud.store.logins import LoginStore
from wardlight_cloud.store.maintenance import MaintenanceStore
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.observation_texts import ObservationTextStore
from wardlight_cloud.store.observation_versions import ObservationVersionStore
from wardlight_cloud.store.order_reads import OrderReadStore
from wardlight_cloud.store.orders import OrderStore
from wardlight_cloud.store.quarantine import QuarantineStore
from wardlight_cloud.store.queries import NumberCount, ObservationPage, ObservationQuery
from wardlight_cloud.store.resources import ResourceStore
from wardlight_cloud.store.sealing import CursorStore
from wardlight_cloud.store.streams import StreamStore
from wardlight_cloud.store.subscriptions import SubscriptionStore
from wardlight_cloud.store.told_times import ToldTimeStore
from wardlight_cloud.store.unassigned import UnassignedStore


@dataclass(frozen=True, slots=True)
class Gateway:
    """One known gateway. ``online`` is what its state topic said last, at ``state_at``."""

    gateway: str
    enrolled_at: datetime
    last_seen_at: datetime | None
    online: bool
    state_at: datetime | None
    software: str | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """Answer to "n recorded, n stored, these are missing, for this cause" for one epoch."""

    gateway: str
    epoch: int
    recorded: int  # highest seq the gateway has told of
    stored: int
    rejected: int
    removed: Mapping[str, int]  # cause -> records removed on purpose, each with its tombstone
    missing: tuple[tuple[int, int], ...]  # recorded, not settled: still on the gateway or in flight
    losses: Mapping[str, int]  # cause -> readings lost before they had a seq (named gaps)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejected record, for the operator page."""

    letter_id: int
    gateway: str
    epoch: int
    seq: int
    reason: str
    size_bytes: int
    stored_at: datetime
    released: bool


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient of the register. ``identifiers`` are (system, value)."""

    patient_id: UUID
    family: str
    given: str
    birth_date: date | None
    gender: Literal["male", "female", "other", "unknown"]
    identifiers: tuple[tuple[str, str], ...]
    commit_seq: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as the gateways told of it. ``info`` has the fields of shared DeviceInfo.

    ``commit_seq`` and ``updated_at`` are of its last change; to be seen or to measure is none.
    ``last_stored_at``: when its newest reading was stored.
    """

    device_id: UUID
    identity: str
    gateway: str | None
    info: Mapping[str, str]
    battery_percent: int | None
    link: str | None
    last_seen_at: datetime | None
    commit_seq: int
    updated_at: datetime
    calibration_due: date | None
    last_stored_at: datetime | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Device (and its user index, None = any) belongs to a patient over [valid_from, valid_to).

    User UNKNOWN_USER takes the readings whose user the device did not know.
    """

    assignment_id: UUID
    device_id: UUID
    user: int | None
    patient_id: UUID
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class LatestRow:
    """The newest reading of one series that belongs to a patient now.

    A number that the device calls invalid is none: ``absent`` says so.
    """

    patient_id: UUID
    series_id: int
    device_id: UUID
    metric: int
    unit: str
    user: int | None
    time: datetime
    stored_at: datetime
    mantissa: int
    scale: int
    absent: int
    flags: int
    error_ms: int
    commit_seq: int


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One point of a trend: a reading (count 1) or a bucket. Values are floats for drawing only."""

    time: datetime
    count: int
    minimum: float
    maximum: float
    mean: float
    absent: int  # readings without a number in the bucket


@dataclass(frozen=True, slots=True)
class Change:
    """Commits became visible up to ``commit_seq``."""

    commit_seq: int


class IngestStore(Protocol):
    """What the collector writes through."""

    async def ingest(self, batches: Sequence[IngestBatch]) -> list[IngestResult]:
        """Store batches in ONE transaction and return after COMMIT.

        Dedupe in this order: (gateway, epoch, seq) in the ledger; event id; row key (series,
        time, ord). A different value on the same row key goes to quarantine. In the same
        transaction: ledger, event ids, readings, details, waveforms, latest, rollup marks,
        statuses, gaps (their ``seqs`` count as removed), dead letters.
        """

    async def ledger(self, gateway: str, epoch: int) -> LedgerState:
        """What is settled of an epoch (empty state when unknown)."""

    async def note_hello(self, gateway: str, epoch: int, highest: int, software: str) -> None:
        """Remember how much the gateway has recorded, for the ledger report."""

    async def note_state(self, gateway: str, online: bool, software: str) -> None:
        """Remember the gateway's presence."""

    async def is_enabled(self, gateway: str) -> bool:
        """False for a gateway that is not in the register or was switched off."""

    async def released(self, gateway: str, epoch: int) -> tuple[int, ...]:
        """Seqs of rejected records an operator has released, for ``down/receipt``."""

    async def live_until(self) -> Mapping[str, datetime]:
        """Gateway -> until when somebody watches one of its patients."""


class LeaseStore(Protocol):
    """Shard leases of collectors: each shard has at most one holder at a time."""

    async def renew(self, holder: str, *, shards: int, ttl_s: float) -> frozenset[int]:
        """Keep, take and give up shards so that live holders share evenly; returns those held.

        Database time decides. A holder that does not renew within ``ttl_s`` loses its shards.
        """

    async def release(self, holder: str) -> None:
        """Give up all shards at once (graceful stop)."""


class ReadStore(Protocol):
    """What FHIR, dashboard and alarms read."""

    async def observations(self, query: ObservationQuery) -> ObservationPage:
        """Search; never skips or repeats a row between pages while rows arrive."""

    def observation_cursor(self, query: ObservationQuery, row: ObservationRow) -> bytes:
        """The cursor behind a row of a page of this search."""

    async def observation_count(self, query: ObservationQuery) -> int:
        """How many Observations all pages of a search have; reads all of them, so it costs."""

    async def last_observations(
        self, query: ObservationQuery, *, group: Callable[[int, str], str], most: int
    ) -> tuple[ObservationRow, ...]:
        """The newest ``most`` of each patient and group (of metric and unit), by time descending.

        All that were measured at the time of the last of these come with it. Order and place of
        the query do not count.
        """

    async def observed_numbers(self, query: ObservationQuery) -> tuple[NumberCount, ...]:
        """How often each number was measured; those that are withdrawn or invalid are none.

        Whose, of what and when is all that is asked: no ids, commits or sieve. StorageError when
        there are more different numbers than anybody measures.
        """

    async def patients(
        self,
        *,
        ids: Sequence[UUID] | None = None,
        identifier: tuple[str | None, str] | None = None,
        family_prefix: str | None = None,
        count: int = 50,
        after: bytes | None = None,
    ) -> tuple[tuple[Patient, ...], bytes | None]:
        """Patients in the order (family, given, id) and the next cursor."""

    async def devices(
        self,
        *,
        ids: Sequence[UUID] | None = None,
        patient: UUID | None = None,
        identity: str | None = None,
        count: int = 50,
        after: bytes | None = None,
    ) -> tuple[tuple[DeviceRow, ...], bytes | None]:
        """Devices in the order of id; ``patient``: assigned to that patient now."""

    async def latest(
        self, patients: Sequence[UUID] | None = None, *, since: int | None = None
    ) -> tuple[LatestRow, ...]:
        """Newest readings of the series that belong to these patients now (None = all).

        ``since``: only what changed after that commit; the work is that of the change.
        """

    async def trend(
        self, series_id: int, *, start: datetime, end: datetime, max_points: int
    ) -> tuple[TrendPoint, ...]:
        """Raw points when they are few, else 1-minute or 1-hour buckets; ascending."""

    async def gateways(self) -> tuple[Gateway, ...]:
        """All gateways."""

    async def ledger_report(self, gateway: str | None = None) -> tuple[LedgerReport, ...]:
        """Reports of all epochs of one or all gateways."""

    async def dead_letters(self, *, count: int = 100) -> tuple[DeadLetter, ...]:
        """Newest first, not released ones."""

    async def commit_seq(self) -> int:
        """The newest visible commit."""

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[Change]]:
        """Listen for commits of any collector; coalesced, never misses the last one."""

    async def is_ready(self) -> bool:
        """True when the database answers and the schema is the one this program knows."""


class RegisterStore(Protocol):
    """Register of patients, devices, gateways, assignments and API clients."""

    async def put_patient(self, patient: Patient) -> Patient:
        """Create or replace by id; returns it with its new commit_seq.

        StorageError when an identifier (system and value) that is new to it is another patient's.
        """

    async def put_gateway(self, gateway: str, *, enabled: bool = True) -> None:
        """Create or switch a gateway."""

    async def put_device(self, identity: str, *, gateway: str | None = None) -> UUID:
        """Id of the device, created when new."""

    async def assign(
        self,
        device_id: UUID,
        patient_id: UUID,
        *,
        user: int | None,
        valid_from: datetime,
        valid_to: datetime | None = None,
    ) -> Assignment:
        """Assign from a moment on; an open assignment of the same device and user ends there.

        With ``valid_to`` it holds until then, and any assignment that it meets is an error. The
        affected Observations get new commit sequences.
        """

    async def unassign(self, assignment_id: UUID, *, valid_to: datetime) -> None:
        """End an assignment; the affected Observations get new commit sequences."""

    async def assignments(self, *, device_id: UUID | None = None) -> tuple[Assignment, ...]:
        """All assignments, or those of one device."""

    async def put_client(self, name: str, token_sha256: bytes, scopes: Sequence[str]) -> None:
        """Create or replace an API client with a bearer token (only its hash is stored)."""

    async def remove_client(self, name: str) -> bool:
        """End a client and its token; False when there is none of this name."""

    async def watch(self, patient_id: UUID, *, until: datetime) -> None:
        """Somebody watches this patient: its gateways send 1 s blocks until then."""

    async def release_dead_letter(self, letter_id: int) -> None:
        """An operator has dealt with it; the gateway may drop its copy."""


class Store(
    IngestStore,
    LeaseStore,
    MaintenanceStore,
    ReadStore,
    ObservationTextStore,
    RegisterStore,
    QuarantineStore,
    UnassignedStore,
    LoginStore,
    AuthorizationStore,
    AuditStore,
    CommitStore,
    CursorStore,
    ObservationVersionStore,
    ToldTimeStore,
    DeviceFactStore,
    StreamStore,
    ForwardingStore,
    OrderStore,
    OrderReadStore,
    ImageStore,
    ImageKeepingStore,
    ImagePlaceStore,
    ImageReadStore,
    BlobAsideStore,
    ResourceStore,
    ExportStore,
    SubscriptionStore,
    Hl7Store,
    Protocol,
):
    """Everything, as the composition root holds it."""

    async def close(self) -> None:
        """Return connections; running calls finish or fail with StorageError."""
