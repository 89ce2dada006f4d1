"""Subscriptions in the store's Protocol: whose they are, their events, who delivers them now.

A Subscription is a stored resource; what is here stands beside it, by its id. Events of one
subscription have the numbers 1, 2, ... in the order of commits. One deliverer at a time has a
subscription, for as long as its lease lasts by the database's clock; a generation is one wording
of the resource, and what was found or sent for an older one is dropped.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.resources import ResourceRow


class SubscriptionState(StrEnum):
    """Where a subscription stands; the values but the first are R4's."""

    NEW = "new"
    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who subscribes: a client, for a user and about a patient if any, with a token's scopes.

    ``base``: the address of FHIR that it knows the server by.
    """

    client: str
    login: str | None
    patient: UUID | None
    scopes: tuple[str, ...]
    base: str


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription as it is now.

    ``allowed``: scopes that its client has now; None = the client, the grant or the token that it
    was made with has ended. ``definition``: the body of the resource. ``version``: of the resource.
    """

    subscription_id: str
    subscriber: Subscriber
    allowed: tuple[str, ...] | None
    generation: int
    version: int
    secret_turn: int
    state: SubscriptionState
    shown: str
    reason: str
    definition: bytes
    is_matching: bool
    last_number: int
    sent_number: int
    attempts: int
    failing_since: datetime | None
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionEvent:
    """A resource was made or changed as a subscription asks for.

    ``patients``: whose it was then. ``is_left``: whose it was until then.
    """

    number: int
    commit_seq: int
    stored_at: datetime
    kind: str
    id: str
    patients: tuple[UUID, ...]
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """An event that has no number yet, of one generation of a subscription."""

    subscription_id: str
    generation: int
    commit_seq: int
    stored_at: datetime
    kind: str
    id: str
    patients: tuple[UUID, ...]
    is_left: bool = False


class ObservationChange(msgspec.Struct, frozen=True, gc=False):
    """An Observation that a commit made, changed or gave to a patient, or took from one.

    ``is_left``: it is no longer of the patient whom ``row`` names, but of the ``holder``, None =
    of nobody; ``row.commit_seq`` says then since when it had been the patient's as it is.
    """

    row: ObservationRow
    commit_seq: int
    stored_at: datetime
    is_left: bool = False
    holder: UUID | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far commits were looked at; ``newest``: the newest commit that is visible.

    Observations up to ``commit_seq`` and, of those behind it, up to ``place``; resources up to
    ``resource_seq``. ``turn`` and ``revision`` must be the same when it is moved.
    """

    commit_seq: int
    resource_seq: int
    place: bytes | None
    turn: int
    revision: int
    newest: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What a turn of a deliverer leaves; ``begins``: events count from now, if none did yet.

    ``pause_s``: until there is something to do again, None = until there are events;
    ``sent_number``: up to where events have arrived.
    """

    state: SubscriptionState
    reason: str
    attempts: int
    failing_since: datetime | None
    sent_number: int
    pause_s: float | None
    begins: bool = False


class ChangeStore(Protocol):
    """What was committed, in the order of commits. Raises StorageError."""

    async def changed_resources(
        self, kinds: Sequence[str], *, after: int, upto: int, count: int
    ) -> tuple[tuple[ResourceRow, ...], int]:
        """Versions made by commits behind ``after``; whole commits, and up to which they reach.

        Deletions are among them.
        """

    async def left_resources(
        self, versions: Sequence[ResourceRow]
    ) -> Mapping[tuple[int, int], ResourceRow]:
        """The version before each of these that is a deletion, or is not of all of its patients.

        By key and commit of the later one; none where it had been deleted.
        """

    async def changed_observations(
        self, *, after: int, upto: int, place: bytes | None, count: int
    ) -> tuple[tuple[ObservationChange, ...], bytes | None]:
        """Readings' Observations that commits behind ``after`` made, changed, gave or took.

        In the order of commits; of one, what left a patient comes before what came to one.
        ``place``: behind the last one of the page before; the answer's is None where there is no
        further one.
        """

    async def left_observations(
        self, *, after: int, upto: int, place: bytes | None, count: int
    ) -> tuple[tuple[ObservationChange, ...], bytes | None]:
        """Of these only what left patients, and is not theirs again."""


class SubscriptionStore(ChangeStore, Protocol):
    """Raises StorageError; one call, one transaction."""

    async def note_subscriber(
        self, subscription_id: str, subscriber: Subscriber, token_sha256: bytes, *, most: int
    ) -> bool:
        """Note whose a subscription is that is about to be written; False: it has too many."""

    async def define_subscription(
        self, row: ResourceRow, *, wants: bool, is_same: bool, ends_at: datetime | None
    ) -> None:
        """Take a version of the resource: wanted from now on, or not.

        ``is_same``: it asks for the same as the one before, whose numbers go on.
        """

    async def stop_subscription(
        self, subscription_id: str, version: int, reason: str, *, body: bytes | None = None
    ) -> None:
        """End what cannot be served, for good; its owner reads the reason in the resource.

        ``version``: at least the one that it has, ``body``: of that version, where it is new.
        """

    async def note_version(self, subscription_id: str, version: int, shown: str | None) -> None:
        """The resource has this version now; ``shown``: the state that it tells."""

    async def drop_subscription(self, subscription_id: str) -> None:
        """Forget a subscription that was deleted, and its events."""

    async def subscriptions(
        self, ids: Sequence[str] | None = None, *, client: str | None = None
    ) -> tuple[SubscriptionRow, ...]:
        """Those of the ids, or of a client, or (without either) all whose events count now."""

    async def subscription_progress(self) -> Progress:
        """How far commits were looked at."""

    async def add_events(self, seen: Progress, now: Progress, matches: Sequence[Match]) -> bool:
        """Number events and move the progress; False, and nothing done: it was moved meanwhile."""

    async def take_subscriptions(
        self, holder: str, *, count: int, lease_s: float
    ) -> tuple[SubscriptionRow, ...]:
        """Lease subscriptions that have something to do, longest waiting first."""

    async def settle_subscription(
        self, holder: str, row: SubscriptionRow, settled: Settled
    ) -> bool:
        """End the lease; False, and nothing done: it is another one's by now."""

    async def release_subscriptions(self, holder: str) -> None:
        """End all leases of a deliverer that stops."""

    async def seconds_to_next(self) -> float | None:
        """Until a subscription has something to do; None = none has."""

    async def subscription_events(
        self, subscription_id: str, *, first: int, last: int, count: int
    ) -> tuple[SubscriptionEvent, ...]:
        """Events by number, those that are still kept."""

    async def renew_secret(self, subscription_id: str) -> int | None:
        """The number of the next secret; None when there is no such subscription."""

    async def subscription_key(self) -> bytes:
        """32 octets that are this database's own: secrets are made from them."""

    async def put_binding(
        self, token_sha256: bytes, subscription_ids: Sequence[str], *, lasts_s: float
    ) -> None:
        """Keep a token for a websocket."""

    async def use_binding(self, token_sha256: bytes) -> tuple[str, ...] | None:
        """What a token binds, once; None = it is not valid."""

    async def forget_subscription_events(self, *, days: int) -> int:
        """Forget events older than this, and what was never written; returns how many events."""

    def subscription_signals(self) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """Listen for events and for subscriptions that changed; coalesced, at least one a while."""
