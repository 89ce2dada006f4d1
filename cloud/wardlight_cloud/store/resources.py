"""Stored resources in the store's Protocol: what EHRs and apps write, with versions and search.

A resource is known by (kind, id). Its body is JSON text without ``resourceType``, ``id``,
``meta.versionId`` and ``meta.lastUpdated``; a ``meta`` that is left stands first in it. Each
change makes a version whose number is the ``commit_seq`` of its transaction, so versions, history
and ``_lastUpdated`` have one order, which is that of all other rows of the store.

Every read takes the patients that the asker may see as an argument without default: None = all.
Then only resources are seen all of whose patients are among them, and that have one at least; a
kind that is nobody's (Organization) is asked for with None.

Every Patient of the register is a stored resource, too: the store makes its body from the columns
whenever the register changes (``put_patient``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from wardlight_cloud.store.base import Patient
    from wardlight_cloud.store.queries import TimeBound

Patients = tuple[UUID, ...] | None
"""Whose resources may be seen; None = everybody's."""


@dataclass(frozen=True, slots=True)
class TextValue:
    """A value to be found by: token, reference (``Kind/id`` or URL), URI, or folded string.

    ``system``: of a token, "" for none; of a string, the text as it was written.
    """

    param: str
    value: str
    system: str = ""


@dataclass(frozen=True, slots=True)
class RangeValue:
    """An interval to be found by, low <= high: microseconds since 1970, or numbers.

    None = without an end. ``unit``: "" for dates and bare numbers.
    """

    param: str
    low: Decimal | None
    high: Decimal | None
    unit: str = ""


IndexValue = TextValue | RangeValue


@dataclass(frozen=True, slots=True)
class TextMatch:
    """One alternative; None = any. ``how`` is about ``value``."""

    value: str | None
    system: str | None = None
    how: Literal["equal", "prefix", "contains"] = "equal"


@dataclass(frozen=True, slots=True)
class HasText:
    """A value of ``param`` is one of the alternatives; ``negated``: none of its values is.

    ``is_other``: one of its values is none of them (looked for among what other conditions leave).
    """

    param: str
    any_of: tuple[TextMatch, ...]
    negated: bool = False
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class RangeMatch:
    """One alternative. ``low`` and ``high`` are the interval that is asked for (R4 3.1.1.4.1).

    eq: the value lies within; ne: it does not; lt, gt: it reaches below, above; le, ge: the same,
    or it lies within; eb, sa: it ends before, begins after; ap: the two overlap.
    """

    op: Literal["eq", "ne", "lt", "gt", "le", "ge", "sa", "eb", "ap"]
    low: Decimal
    high: Decimal
    unit: str = ""


@dataclass(frozen=True, slots=True)
class HasRange:
    """An interval of ``param`` compares so with one of the alternatives."""

    param: str
    any_of: tuple[RangeMatch, ...]


@dataclass(frozen=True, slots=True)
class HasAny:
    """``param`` has a value at all; ``negated``: it has none."""

    param: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class HasId:
    """The id is one of these."""

    ids: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class RefersTo:
    """``param`` refers to a resource of ``kind`` that meets the conditions (a chain).

    A Patient's ``identifier`` among them is meant to name one person: see SeveralPeople.
    """

    param: str
    kind: str
    patients: Patients
    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class IsReferredTo:
    """A resource of ``kind`` that meets the conditions refers here with ``param`` (_has)."""

    kind: str
    param: str
    patients: Patients
    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the sets of conditions is met in whole; no sets: nothing meets it."""

    sets: tuple[tuple["Condition", ...], ...]


Condition = HasText | HasRange | HasAny | HasId | RefersTo | IsReferredTo | AnyOf


@dataclass(frozen=True, slots=True)
class ResourceQuery:
    """Search of one kind; all conditions must be met.

    ``sort``: "" in the order of creation, which no later change disturbs; ``_lastUpdated`` in
    commit order; else the name of a param with ranges, by the beginning of the first interval,
    those without one at the end. ``descending`` turns the last two round. ``after`` is the cursor
    of the page before.
    """

    kind: str
    patients: Patients
    conditions: tuple[Condition, ...] = ()
    stored: "tuple[TimeBound, ...]" = ()
    sort: str = ""
    descending: bool = False
    count: int = 50
    after: bytes | None = None


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A resource as it is now, or was in one version; ``body`` None = deleted.

    ``sort_low``: where it stands in a search sorted by intervals. ``is_new``: the version that
    created it, or created it again.
    """

    key: int
    kind: str
    id: str
    commit_seq: int
    stored_at: datetime
    body: bytes | None
    patients: tuple[UUID, ...]
    is_new: bool = False
    sort_low: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ResourcePage:
    """One page and the cursor of the next; None = this was the last."""

    rows: tuple[ResourceRow, ...]
    next: bytes | None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Versions, newest first: of one resource, of a kind, of all kinds named.

    ``patients`` is about the patients that each version had.
    """

    kinds: tuple[str, ...]
    patients: Patients
    id: str | None = None
    since: datetime | None = None
    count: int = 50
    after: bytes | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a search must find when the change is made, else nothing is written.

    ``id`` None = nothing at all, else this resource and no other one.
    """

    query: ResourceQuery
    id: str | None


@dataclass(frozen=True, slots=True)
class Put:
    """Make a version of a resource; it is created where there is none, or a deleted one.

    ``if_version``: only over this version; 0 = only where there is none now; None = whatever is
    there. A body that is the same as the one held makes no version. ``patient``: the columns of
    the register, with a Patient; its id is that of the resource.
    """

    kind: str
    id: str
    body: bytes
    patients: tuple[UUID, ...]
    index: tuple[IndexValue, ...]
    if_version: int | None = None
    expected: Expectation | None = None
    patient: "Patient | None" = None


@dataclass(frozen=True, slots=True)
class Delete:
    """End a resource; its versions stay. One that is not there, or no more, is left as it is."""

    kind: str
    id: str
    if_version: int | None = None
    expected: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """Change nothing; the others are made only where this is met."""

    expected: Expectation


ResourceChange = Put | Delete | Expect


class Happened(StrEnum):
    """What became of a change."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a change; version and instant of what is there now.

    Both None where nothing was ever there to delete, and of an Expect.
    """

    happened: Happened
    commit_seq: int | None
    stored_at: datetime | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was written: the change at ``place`` met something else than it asked for.

    version: ``if_version`` is not the one held; expectation: the search finds something else;
    identifier: ``identifier`` (system, value) of a Patient is another one's.
    """

    place: int
    cause: Literal["version", "expectation", "identifier"]
    identifier: tuple[str, str] | None = None


class SeveralPeople(Exception):
    """A chain names people by an identifier that several Patients in reach have.

    Two Patients cannot get the same identifier, but data of before may have such pairs; what is
    found by one of them would be of two people. ``param``: what the chain begins with.
    """

    def __init__(self, param: str) -> None:
        super().__init__("a chain names several people by one identifier")
        self.param = param


class ResourceStore(Protocol):
    """Stored resources.

    Raises StorageError; ValueError for a cursor of another search; searches and writes raise
    SeveralPeople.
    """

    async def write_resources(
        self, changes: Sequence[ResourceChange]
    ) -> tuple[Written, ...] | Conflict:
        """Make all changes in one transaction and one commit, or none.

        Conditions are looked at while no other resource can change. ValueError when two changes
        name the same resource.
        """

    async def resources(self, query: ResourceQuery) -> ResourcePage:
        """Search; what stays as it is while pages are read is neither skipped nor repeated."""

    def resource_cursor(self, query: ResourceQuery, row: ResourceRow) -> bytes:
        """The cursor behind a row of a page of this search."""

    async def resource_count(self, query: ResourceQuery) -> int:
        """How many all pages of a search have; counts them all."""

    async def resource_owners(self, kind: str, *, since: int) -> tuple[int, tuple[UUID, ...]]:
        """The newest commit of a kind (0 = none ever), and whose resources commits after
        ``since`` wrote.
        """

    async def resources_by_id(
        self, kind: str, ids: Sequence[str], *, patients: Patients
    ) -> tuple[ResourceRow, ...]:
        """Those of the ids that exist, deleted ones among them, in the order of creation."""

    async def resource_version(
        self, kind: str, resource_id: str, commit_seq: int, *, patients: Patients
    ) -> ResourceRow | None:
        """One version."""

    async def resource_history(self, query: HistoryQuery) -> ResourcePage:
        """Versions of resources, newest first."""

    async def resource_history_count(self, query: HistoryQuery) -> int:
        """How many versions all pages have."""

    async def references_of(self, keys: Sequence[int], params: Sequence[str]) -> tuple[str, ...]:
        """``Kind/id`` that these resources refer to with these params, each once, in order."""
