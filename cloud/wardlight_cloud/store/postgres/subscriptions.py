"""SubscriptionStore: whose subscriptions are, their events, leases of deliverers."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.postgres.changes import Ear
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call, storage_errors
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.resources import ResourceRow
from wardlight_cloud.store.subscriptions import (
    Match,
    Progress,
    Settled,
    Subscriber,
    SubscriptionEvent,
    SubscriptionRow,
    SubscriptionState,
)
from wardlight_shared.errors import StorageError

_SQL: Final = statements("subscriptions")
_AUTHORIZATION: Final = statements("authorization")
_CHANNEL: Final = "wardlight_subscription"
_LISTEN_S: Final = 15.0
_KEY: Final = "subscription"
_KEY_BYTES: Final = 32


class SubscriptionsPart(Part):
    """See SubscriptionStore."""

    @storage_call
    async def note_subscriber(
        self, subscription_id: str, subscriber: Subscriber, token_sha256: bytes, *, most: int
    ) -> bool:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            noted = await connection.fetchval(
                _SQL["note_subscriber"], subscription_id, subscriber.client, subscriber.login,
                subscriber.patient, list(subscriber.scopes), subscriber.base, token_sha256, most,
            )  # fmt: skip
        return noted is not None

    @storage_call
    async def define_subscription(
        self, row: ResourceRow, *, wants: bool, is_same: bool, ends_at: datetime | None
    ) -> None:
        """See SubscriptionStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["revise_subscriptions"])
            defined = await connection.fetchrow(
                _SQL["define_subscription"], row.id, row.commit_seq, row.body, ends_at, wants,
                is_same,
            )  # fmt: skip
            if defined is not None and defined["is_anew"]:
                await connection.execute(_SQL["clear_events"], row.id)
            await connection.execute(_SQL["tell_subscriptions"])

    @storage_call
    async def stop_subscription(
        self, subscription_id: str, version: int, reason: str, *, body: bytes | None = None
    ) -> None:
        """See SubscriptionStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["revise_subscriptions"])
            await connection.execute(
                _SQL["stop_subscription"], subscription_id, version, body, reason
            )
            await connection.execute(_SQL["tell_subscriptions"])

    @storage_call
    async def note_version(self, subscription_id: str, version: int, shown: str | None) -> None:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["note_version"], subscription_id, version, shown)

    @storage_call
    async def drop_subscription(self, subscription_id: str) -> None:
        """See SubscriptionStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["revise_subscriptions"])
            await connection.execute(_SQL["drop_subscription"], subscription_id)
            await connection.execute(_SQL["tell_subscriptions"])

    @storage_call
    async def subscriptions(
        self, ids: Sequence[str] | None = None, *, client: str | None = None
    ) -> tuple[SubscriptionRow, ...]:
        """See SubscriptionStore."""
        wanted = None if ids is None else list(ids)
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["subscriptions"], wanted, client)
        return tuple(map(_subscription, rows))

    @storage_call
    async def subscription_progress(self) -> Progress:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["subscription_progress"])
        assert row is not None  # noqa: S101 - the migration made it
        return Progress(
            row["commit_seq"], row["resource_seq"], row["place"], row["turn"], row["revision"],
            row["newest"],
        )  # fmt: skip

    @storage_call
    async def add_events(self, seen: Progress, now: Progress, matches: Sequence[Match]) -> bool:
        """See SubscriptionStore."""
        async with self._connections.transaction() as connection:
            moved = await connection.fetchval(
                _SQL["move_progress"], seen.turn, seen.revision, now.commit_seq, now.resource_seq,
                now.place,
            )  # fmt: skip
            if moved is None:
                return False
            if matches:
                await _add(connection, matches)
                await connection.execute(_SQL["tell_subscriptions"])
        return True

    @storage_call
    async def take_subscriptions(
        self, holder: str, *, count: int, lease_s: float
    ) -> tuple[SubscriptionRow, ...]:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["take_subscriptions"], holder, count, lease_s)
        return tuple(map(_subscription, rows))

    @storage_call
    async def settle_subscription(
        self, holder: str, row: SubscriptionRow, settled: Settled
    ) -> bool:
        """See SubscriptionStore."""
        async with self._connections.transaction() as connection:
            if settled.begins or settled.state is not row.state:
                await connection.execute(_SQL["revise_subscriptions"])
            done = await connection.fetchval(
                _SQL["settle_subscription"], row.subscription_id, holder, row.generation,
                settled.state.value, settled.reason, settled.attempts, settled.failing_since,
                settled.sent_number, settled.begins, settled.pause_s,
            )  # fmt: skip
            if settled.state is not row.state:
                await connection.execute(_SQL["tell_subscriptions"])
        return done is not None

    @storage_call
    async def release_subscriptions(self, holder: str) -> None:
        """See SubscriptionStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["give_up_leases"], holder)
            await connection.execute(_SQL["tell_subscriptions"])

    @storage_call
    async def seconds_to_next(self) -> float | None:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            found: float | None = await connection.fetchval(_SQL["seconds_to_next"])
        return found

    @storage_call
    async def subscription_events(
        self, subscription_id: str, *, first: int, last: int, count: int
    ) -> tuple[SubscriptionEvent, ...]:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["subscription_events"], subscription_id, first, last, count
            )
        return tuple(
            SubscriptionEvent(
                row["number"], row["commit_seq"], row["stored_at"].astimezone(UTC), row["kind"],
                row["id"], tuple(UUID(int=each.int) for each in row["patients"]), row["is_left"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def renew_secret(self, subscription_id: str) -> int | None:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            turn: int | None = await connection.fetchval(_SQL["renew_secret"], subscription_id)
        return turn

    @storage_call
    async def subscription_key(self) -> bytes:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            made = secrets.token_bytes(_KEY_BYTES)
            await connection.execute(_AUTHORIZATION["keep_secret"], _KEY, made)
            kept: bytes = await connection.fetchval(_AUTHORIZATION["secret"], _KEY)
        return kept

    @storage_call
    async def put_binding(
        self, token_sha256: bytes, subscription_ids: Sequence[str], *, lasts_s: float
    ) -> None:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["forget_bindings"])
            await connection.execute(
                _SQL["put_binding"], token_sha256, list(subscription_ids), lasts_s
            )

    @storage_call
    async def use_binding(self, token_sha256: bytes) -> tuple[str, ...] | None:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["use_binding"], token_sha256)
        return tuple(row["subscription_ids"]) if row is not None and row["is_timely"] else None

    @storage_call
    async def forget_subscription_events(self, *, days: int) -> int:
        """See SubscriptionStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["forget_unwritten"])
            status = await connection.execute(_SQL["forget_events"], days)
        return int(status.rpartition(" ")[2])

    @asynccontextmanager
    async def subscription_signals(self) -> AsyncIterator[AsyncIterator[None]]:
        """See SubscriptionStore; the iterator raises StorageError when its connection is lost."""
        ear = Ear()
        async with AsyncExitStack() as stack:
            with storage_errors("subscription_signals"):
                listening = self._connections.listen(_CHANNEL, ear.hear, ear.lose)
                await stack.enter_async_context(listening)
            yield _signals(ear)


async def _signals(ear: Ear) -> AsyncIterator[None]:
    while True:
        await ear.wait(_LISTEN_S)
        if ear.is_lost:
            raise StorageError("subscription_signals: the listening connection was lost")
        yield


async def _add(connection: Connection, matches: Sequence[Match]) -> None:
    await connection.execute(
        _SQL["add_events"],
        [each.subscription_id for each in matches],
        [each.generation for each in matches],
        [each.commit_seq for each in matches],
        [each.stored_at for each in matches],
        [each.kind for each in matches],
        [each.id for each in matches],
        [",".join(map(str, each.patients)) for each in matches],
        [each.is_left for each in matches],
    )


def _subscription(row: Any) -> SubscriptionRow:
    patient = None if row["patient_id"] is None else UUID(int=row["patient_id"].int)
    subscriber = Subscriber(row["client"], row["login"], patient, tuple(row["scopes"]), row["base"])
    return SubscriptionRow(
        row["subscription_id"], subscriber,
        None if row["allowed"] is None else tuple(row["allowed"]), row["generation"],
        row["version"], row["secret_turn"], SubscriptionState(row["state"]), row["shown"],
        row["reason"], row["definition"], row["is_matching"], row["last_number"],
        row["sent_number"], row["attempts"], row["failing_since"], row["ends_at"],
    )  # fmt: skip
