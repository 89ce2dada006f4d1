"""How long images are kept, whether they are whole, and how the index is made again.

A part of the store's Protocol, for imaging/ and for operators. Every coroutine raises StorageError;
one call is one transaction.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol
from uuid import UUID

from wardlight_cloud.store.image_arrivals import NewInstance, PutOutcome, Source

Tier = Literal["hot", "cold"]
FindingKind = Literal["missing", "differs", "unindexed", "unreadable"]
FindingEnd = Literal["well", "other", "replaced", "removed"]
"""A check found the object well, or something else; it came again; it was removed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A study that no rule removes; ``released_at`` None = it holds."""

    study_uid: str
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeepRule:
    """Studies that did not change since ``before`` may go.

    ``modalities``: only those that have no other ones; empty = all. ``unmatched``: only those that
    are no patient's.
    """

    name: str
    before: datetime
    modalities: tuple[str, ...] = ()
    unmatched: bool = False


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that the index knows."""

    sha256: bytes
    size: int
    tier: Tier
    stored_at: datetime
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with an object; open until a check finds it well, or it comes again.

    ``ended`` is None for those that ended before that was kept.
    """

    finding_id: int
    sha256: bytes
    kind: FindingKind
    found_at: datetime
    resolved_at: datetime | None = None
    ended: FindingEnd | None = None


@dataclass(frozen=True, slots=True)
class ObjectTotals:
    """How much there is."""

    objects: int
    size_bytes: int
    cold: int
    cold_bytes: int
    findings: int


@dataclass(frozen=True, slots=True)
class Times:
    """What the database knows of the time.

    ``now``: by its clock. ``newest``: when anything was last committed; ``before``: the newest
    commit that is COMMITS_SPAN older than that one, or more. ``received``: when gateways, by their
    clocks, received the latest of the files that they brought within COMMITS_SPAN. None = never.
    """

    now: datetime
    newest: datetime | None
    before: datetime | None = None
    received: datetime | None = None


COMMITS_SPAN: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that nobody was found for. ``issuer``: of its patient id, as the register writes.

    ``gateways``: those that brought its files; "" for what came in another way. ``identities``: all
    that its instances said until then.
    """

    number: int
    study_uid: str
    attributes: bytes
    issuer: str
    gateways: tuple[str, ...] = ("",)
    identities: tuple[str, ...] = ()


class ImageKeepingStore(Protocol):
    """Holds, retention, checks, tiers and versions."""

    async def hold_study(self, study_uid: str, *, reason: str, by: str) -> None:
        """Put a study under hold; one that is held already stays as it is.

        It also keeps files of the study that are versions beside an instance of another study.
        StorageError: there is no such study, or no longer.
        """

    async def release_study(self, study_uid: str, *, by: str) -> bool:
        """End a hold; False where there is none."""

    async def holds(self, study_uid: str | None = None) -> tuple[Hold, ...]:
        """Holds that last; of a study also those that ended. Newest first."""

    async def times(self) -> Times:
        """What the database knows of the time."""

    async def due_studies(self, rule: KeepRule, *, count: int) -> tuple[str, ...]:
        """Studies that a rule removes now, the longest unchanged first; held ones never."""

    async def remove_study(self, study_uid: str, rule: KeepRule) -> int:
        """Take a study off the index, each instance with its tombstone; returns how many.

        0 where the rule does not hold any more: it changed, or was put under hold.
        """

    async def unused_objects(self, *, count: int, after: bytes = b"") -> tuple[bytes, ...]:
        """Objects that nothing on the index needs, by hash, after this one."""

    async def remove_unused(
        self, sha256: bytes, remove: Callable[[bytes], Awaitable[None]]
    ) -> bool:
        """Remove an object that nothing needs, while nobody can begin to need it."""

    async def objects_to_check(self, *, before: datetime, count: int) -> tuple[StoredObject, ...]:
        """Objects not checked since ``before``, the longest unchecked first."""

    async def stored_object(self, sha256: bytes) -> StoredObject | None:
        """An object as the index has it now; None = it does not."""

    async def note_check(
        self, sha256: bytes, found: FindingKind | None, *, seen: StoredObject | None = None
    ) -> None:
        """An object was checked: what is wrong with it, or nothing.

        ``seen``: as it stood before it was read. Where it was checked, replaced or removed since
        then, nothing is kept of what was read.
        """

    async def note_replaced(self, sha256: bytes, tier: Tier) -> int:
        """An object that was there, or should have been, came again and lies in this tier.

        How many open findings that ends.
        """

    async def is_doubted(self, sha256: bytes) -> bool:
        """Whether a check found something wrong with an object, and nothing has ended that."""

    async def findings(self, *, count: int = 100) -> tuple[Finding, ...]:
        """Open findings, newest first."""

    async def ended_findings(self, *, count: int = 100) -> tuple[Finding, ...]:
        """Findings that ended, the last one first."""

    async def object_totals(self) -> ObjectTotals:
        """How many objects there are, and how large."""

    async def objects_to_cool(
        self, *, before: datetime, count: int, after: StoredObject | None = None
    ) -> tuple[StoredObject, ...]:
        """Objects of the first tier that were stored before ``before``, oldest first.

        Those that a check found damaged are not among them. ``after``: the last of the page before.
        """

    async def set_tier(self, sha256s: Sequence[bytes], tier: Tier) -> None:
        """Say in which tier objects are."""

    async def matchable_studies(self, *, after: int, count: int) -> tuple[Waiting, ...]:
        """Studies that nobody was found for, after a number, of which there is more to know now.

        Their patient id is in the register, or somebody's order has it.
        """

    async def match_study(self, waiting: Waiting, patient: UUID) -> bool:
        """Somebody was found for a study; False where it is somebody's by now, or says more."""

    async def doubt_study(self, study_uid: str) -> None:
        """A waiting study names several people: it waits for an operator, as ``ambiguous``."""

    async def indexed(self, sha256s: Collection[bytes]) -> frozenset[bytes]:
        """Those of these objects that the index knows."""

    async def accounted(self, sha256s: Collection[bytes]) -> frozenset[bytes]:
        """Those of these objects that the index knows, or that are set aside for an operator."""

    async def bury_again(self, objects: Mapping[bytes, int]) -> frozenset[bytes]:
        """Those of these objects (hash -> size) that were removed and did not come again.

        They are objects that nothing needs from now on.
        """

    async def restore_instances(self, instances: Sequence[NewInstance]) -> list[PutOutcome]:
        """As ``put_instances``, without audit rows: for an index that is made again."""

    async def first_uploads(self, sha256s: Collection[bytes]) -> Mapping[bytes, Source]:
        """Who brought these files first, where that is on record."""

    async def clear_images(self) -> None:
        """Empty the index; what people decided stays."""

    async def finish_restoring(self) -> None:
        """Give times back that the audit rows know."""

    async def misplaced(self) -> Mapping[str, bytes]:
        """UID -> file that should be shown in place of the one that is.

        It is the one last chosen, else the one that was uploaded first.
        """

    async def instances_as_new(self, study_uid: str) -> tuple[NewInstance, ...]:
        """What stands on the index of a study, without matching keys and level attributes."""

    async def show_version(
        self, shown: NewInstance, beside: Sequence[NewInstance], *, by: str | None, reason: str
    ) -> None:
        """Show another file of a UID; the one shown until now becomes a version.

        All that the index says of both studies is made anew of what is shown now, whose they are
        too.

        ``beside``: all other instances of the studies that both files belong to, as they are.
        ``by`` None: no choice of anybody, so none is kept. StorageError where these studies changed
        meanwhile, or there is no such version.
        """
