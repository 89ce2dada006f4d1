"""Who did what with patients' data: the part of the store's Protocol that keeps it.

Rows are only added; what is older than the settings say is removed, and nothing else ever is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from wardlight_cloud.store.resources import Patients

Face = Literal["fhir", "dicomweb", "dashboard", "api", "sign-in", "notice", "hl7", "dimse", "audit"]
"""notice, hl7: what was sent, by subscription or as HL7 v2; dimse: reads of images by other nodes.

audit: of the trail itself, when something could not be kept.
"""


class AuditEntry(NamedTuple):
    """One request as it was answered, or one message as it was sent. Texts may be "".

    at           seconds since 1970
    action       C, R, U, D, E (execute), as AuditEvent.action
    interaction  name of the interaction ("read", "search-type", "login", ...)
    status       of HTTP; 0 = of no request; hl7: 0 taken, 400 refused, 500 not acknowledged
    client       API client, or who was sent to; login: the user, also one who was not let in
    patients     UUIDs of the patients it was about, as far as can be told, commas between them
    """

    at: float
    face: Face
    action: str
    interaction: str
    status: int
    kind: str
    resource_id: str
    query: str
    client: str
    login: str
    address: str
    patients: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry on record."""

    event_id: int
    recorded_at: datetime
    face: str
    action: str
    interaction: str
    status: int
    kind: str
    resource_id: str
    query: str
    client: str
    login: str
    address: str
    patients: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Search, the latest first. None or empty = not asked for.

    ``patients``: about one of them; ``reach``: whose entries may be seen (None = all). ``start``
    and ``end``: recorded in [start, end). ``statuses``: [low, high] ranges of HTTP statuses.
    ``events``: (recorded_at, event_id); ``after``: the same of the last row of the page before.
    """

    reach: Patients
    patients: tuple[UUID, ...] | None = None
    start: datetime | None = None
    end: datetime | None = None
    events: tuple[tuple[datetime, int], ...] | None = None
    actions: tuple[str, ...] | None = None
    faces: tuple[str, ...] | None = None
    interactions: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
    statuses: tuple[tuple[int, int], ...] | None = None
    count: int = 50
    after: tuple[datetime, int] | None = None


class AuditStore(Protocol):
    """Every coroutine raises StorageError."""

    async def put_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries, all or none. A study's patients are those it has now."""

    async def audit_events(self, query: AuditQuery) -> tuple[AuditRow, ...]:
        """Up to ``count`` rows."""

    async def forget_audit(self, *, older_than: datetime) -> int:
        """Remove what was recorded before; returns how many."""
