"""Orders, worklist entries and performed procedure steps in the store's Protocol.

An order is known by its number, which is the accession number of its images and the identifier of
its ServiceRequest. Each of its scheduled procedure steps is a worklist entry, meant for some
gateways. Every coroutine raises StorageError; one call is one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID


class EntryState(StrEnum):
    """What is known of a scheduled procedure step; only the first three are on worklists."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in-progress"
    DISCONTINUED = "discontinued"
    COMPLETED = "completed"
    REMOVED = "removed"


class StepStatus(StrEnum):
    """Performed Procedure Step Status (0040,0252)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A scheduled procedure step. (accession, step_id) is its identity.

    ``patient``: of the register, where it is known there; ``patient_id`` and ``issuer``: as the
    modality will write them. ``starts``: ``YYYYMMDD HHMMSS``, local time of the site.
    """

    accession: str
    step_id: str
    study_uid: str
    patient: UUID | None
    patient_id: str
    issuer: str
    modality: str
    station_ae: str
    starts: str
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry(Entry):
    """One to be put on the lists of ``gateways``; ``data_set``: what they get (worklist.py).

    ``birth_date``: that it says of its patient, YYYYMMDD; "" = none.
    """

    data_set: bytes
    birth_date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow(Entry):
    """One as it is held. ``gateways``: on whose list it is now."""

    entry: int
    state: EntryState
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """Whose order it is, for what comes with its accession number.

    ``gateways``: that it is or was given to. ``birth_date``: of its patient in the register.
    ``data_sets``: its entries as modalities get them, which may say another one.
    """

    accession: str
    patient: UUID | None
    patient_id: str
    issuer: str
    study_uids: tuple[str, ...]
    gateways: tuple[str, ...]
    birth_date: date | None = None
    data_sets: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class EntryChange:
    """What a gateway has to know of one entry; ``data_set`` None = no longer on its list."""

    entry: int
    revision: int
    data_set: bytes | None


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of a gateway's list after ``since``, ascending by revision, each with its own.

    ``since`` is 0 where the list has to begin anew. ``newest``: the list's revision. ``as_of``:
    when it was read. ``epoch``: of the database as it runs now, never 0; revisions of another one
    may have been given again.
    """

    since: int
    newest: int
    as_of: datetime
    entries: tuple[EntryChange, ...]
    epoch: int


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """Which scheduled step a performed one is about; "" where the modality does not say."""

    accession: str
    step_id: str
    study_uid: str


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One N-CREATE or N-SET; (gateway, sop_uid, spool, number) is its identity.

    ``status`` None: the event says nothing of it. ``scheduled``: of an N-CREATE. ``started`` and
    ``ended``: ``YYYYMMDD HHMMSS``, "" where not said. ``octets``: the file as it came.
    ``patient_id``, ``issuer``, ``birth_date``: to whom it is done, as the modality says.
    """

    sop_uid: str
    gateway: str
    spool: int
    number: int
    sha256: bytes
    octets: bytes
    calling_ae: str
    received_at: datetime
    status: StepStatus | None
    scheduled: tuple[ScheduledStep, ...] = ()
    station_ae: str = ""
    modality: str = ""
    started: str = ""
    ended: str = ""
    series: tuple[str, ...] = ()
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""


class StepPut(StrEnum):
    """What became of an event."""

    STORED = "stored"
    KNOWN = "known"  # this event was there already: nothing changed
    CONTRADICTS = "contradicts"  # stored, but an order that it names is another patient's
    DIFFERS = "differs"  # another event has its identity: nothing changed, an operator has to look


@dataclass(frozen=True, slots=True)
class StepRow:
    """A performed procedure step after all its events.

    ``remark``: why an entry does not follow it: the order that it names is another patient's, or it
    tells no entry of its gateway's from others.
    """

    sop_uid: str
    gateway: str
    status: StepStatus
    scheduled: tuple[ScheduledStep, ...]
    station_ae: str
    modality: str
    started: str
    ended: str
    series: tuple[str, ...]
    events: int
    updated_at: datetime
    remark: Literal["", "another-patient", "no-entry"] = ""


class OrderStore(Protocol):
    """Orders, the worklists of gateways, and what was performed of them."""

    async def put_entries(self, entries: Sequence[NewEntry]) -> tuple[int, int]:
        """Put entries on lists; returns how many are new and how many were changed.

        The same again changes nothing. An entry that was completed stays off the lists; one that
        was removed comes back. StorageError, and nothing is kept, where an order is another
        patient's, or of one whom the register knows with another birth date than an entry says, or
        a gateway is not in the register.
        """

    async def remove_entries(self, accession: str, step_id: str | None = None) -> int:
        """Take an order (or one step of it) off all lists; returns how many entries that were."""

    async def entries(
        self, *, gateway: str | None = None, everything: bool = False, count: int = 1000
    ) -> tuple[EntryRow, ...]:
        """Entries by start; those on a list, or with ``everything`` the others too."""

    async def changes_of(
        self, gateway: str, since: int, *, epoch: int = 0, count: int = 256
    ) -> Changes:
        """What changed of a gateway's list after a revision of an epoch; 0 = of this one."""

    async def worklist_revisions(self, gateways: Sequence[str]) -> Mapping[str, int]:
        """Revisions of the lists of these gateways; one that never had a list is not among them."""

    async def order_of(self, accession: str) -> Order | None:
        """The order of this accession number, while it or what was done of it is known."""

    async def put_step_event(self, event: StepEvent) -> StepPut:
        """Keep an event; a step that is COMPLETED takes its entries off the lists.

        Its entries are those that were given to its gateway, of the patient that it names; without
        a step ID the one of its modality, or at its station. What has ended stays as it ended,
        whatever comes later.
        """

    async def steps(self, *, accession: str | None = None, count: int = 100) -> tuple[StepRow, ...]:
        """Performed procedure steps, the last changed first."""

    async def step_events(self, sop_uid: str) -> tuple[StepEvent, ...]:
        """All events of steps with this UID, in the order in which they were received."""
