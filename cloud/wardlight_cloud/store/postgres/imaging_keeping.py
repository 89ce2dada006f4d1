"""ImageKeepingStore: holds, retention, checks of objects and their tiers."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.image_keeping import (
    COMMITS_SPAN,
    Finding,
    FindingKind,
    Hold,
    KeepRule,
    ObjectTotals,
    StoredObject,
    Tier,
    Times,
    Waiting,
)
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.imaging_queue import change_study
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError

_SQL: Final = statements("images_keeping")
_INGEST: Final = statements("ingest")


class ImageKeepingPart(Part):
    """See ImageKeepingStore."""

    @storage_call
    async def hold_study(self, study_uid: str, *, reason: str, by: str) -> None:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            # A rule that is removing it ends first, and then there is nothing to be held.
            if not await connection.fetch(_SQL["lock_held"], study_uid):
                raise StorageError("hold_study: there is no such study on the index")
            await connection.execute(_SQL["hold_study"], study_uid, reason, by)

    @storage_call
    async def release_study(self, study_uid: str, *, by: str) -> bool:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["release_study"], study_uid, by) is not None

    @storage_call
    async def holds(self, study_uid: str | None = None) -> tuple[Hold, ...]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["holds"], study_uid)
        return tuple(Hold(**row) for row in rows)

    @storage_call
    async def times(self) -> Times:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["times"], COMMITS_SPAN)
        assert row is not None  # noqa: S101 - it has no condition
        return Times(**row)

    @storage_call
    async def due_studies(self, rule: KeepRule, *, count: int) -> tuple[str, ...]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["due_studies"], *_conditions(rule), count)
        return tuple(row["study_uid"] for row in rows)

    @storage_call
    async def remove_study(self, study_uid: str, rule: KeepRule) -> int:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            study_pk = await connection.fetchval(
                _SQL["lock_due_study"], *_conditions(rule), study_uid
            )
            if study_pk is None:
                return 0
            files = await connection.fetch(_SQL["files_of_studies"], [study_pk])
            commit = await connection.fetchrow(_INGEST["take_commit"])
            assert commit is not None  # noqa: S101 - the function returns one row or raises
            # A hold that was placed while this waited for its locks is seen by this statement.
            if await connection.fetchval(_SQL["is_held"], study_pk):
                return 0
            status = await connection.execute(
                _SQL["bury_study"], study_pk, commit["commit_seq"], commit["stored_at"], rule.name
            )
            await connection.execute(_SQL["remove_versions_of_study"], study_pk)
            await connection.execute(_SQL["remove_study"], study_pk)
            await connection.execute(_SQL["count_refs"], [row["sha256"] for row in files])
        return int(status.rpartition(" ")[2])

    @storage_call
    async def unused_objects(self, *, count: int, after: bytes = b"") -> tuple[bytes, ...]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["unused_objects"], after, count)
        return tuple(row["sha256"] for row in rows)

    @storage_call
    async def remove_unused(
        self, sha256: bytes, remove: Callable[[bytes], Awaitable[None]]
    ) -> bool:
        """See ImageKeepingStore.

        The row is gone and not yet committed while the object is removed: whoever puts the same
        object on the index waits for that, and then looks whether the object is there.
        """
        async with self._connections.transaction() as connection:
            if await connection.fetchval(_SQL["remove_unused"], sha256) is None:
                return False
            await connection.execute(_SQL["resolve_findings"], sha256, None, "removed")
            await remove(sha256)
        return True

    @storage_call
    async def objects_to_check(self, *, before: datetime, count: int) -> tuple[StoredObject, ...]:
        """See ImageKeepingStore."""
        return await self._objects("objects_to_check", before, count)

    @storage_call
    async def stored_object(self, sha256: bytes) -> StoredObject | None:
        """See ImageKeepingStore."""
        found = await self._objects("stored_object", sha256)
        return found[0] if found else None

    @storage_call
    async def note_check(
        self, sha256: bytes, found: FindingKind | None, *, seen: StoredObject | None = None
    ) -> None:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            if seen is not None:
                row = await connection.fetchrow(_SQL["lock_checked"], sha256)
                if row is None or row["checked_at"] != seen.checked_at:
                    return
            await connection.execute(_SQL["note_checked"], sha256)
            was_doubted = await connection.fetchval(_SQL["is_doubted"], sha256)
            ended = "well" if found is None else "other"
            await connection.execute(_SQL["resolve_findings"], sha256, found, ended)
            if found is not None:
                await connection.execute(_SQL["add_finding"], sha256, found)
            if was_doubted != (found not in (None, "unindexed")):  # no other one is open now
                await _change_studies(connection, sha256)

    @storage_call
    async def note_replaced(self, sha256: bytes, tier: Tier) -> int:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["note_replaced"], sha256, tier)
            was_doubted = await connection.fetchval(_SQL["is_doubted"], sha256)
            status = await connection.execute(_SQL["resolve_findings"], sha256, None, "replaced")
            if was_doubted:
                await _change_studies(connection, sha256)
        return int(status.rpartition(" ")[2])

    @storage_call
    async def is_doubted(self, sha256: bytes) -> bool:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            return bool(await connection.fetchval(_SQL["is_doubted"], sha256))

    @storage_call
    async def findings(self, *, count: int = 100) -> tuple[Finding, ...]:
        """See ImageKeepingStore."""
        return await self._findings("findings", count)

    @storage_call
    async def ended_findings(self, *, count: int = 100) -> tuple[Finding, ...]:
        """See ImageKeepingStore."""
        return await self._findings("ended_findings", count)

    async def _findings(self, name: str, count: int) -> tuple[Finding, ...]:
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL[name], count)
        return tuple(Finding(**row) for row in rows)

    @storage_call
    async def object_totals(self) -> ObjectTotals:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["object_totals"])
        assert row is not None  # noqa: S101 - an aggregate has one row
        return ObjectTotals(**row)

    @storage_call
    async def objects_to_cool(
        self, *, before: datetime, count: int, after: StoredObject | None = None
    ) -> tuple[StoredObject, ...]:
        """See ImageKeepingStore."""
        last = (None, None) if after is None else (after.stored_at, after.sha256)
        return await self._objects("objects_to_cool", before, *last, count)

    @storage_call
    async def set_tier(self, sha256s: Sequence[bytes], tier: Tier) -> None:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["set_tier"], list(sha256s), tier)

    @storage_call
    async def matchable_studies(self, *, after: int, count: int) -> tuple[Waiting, ...]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["matchable_studies"], after, count)
        return tuple(
            Waiting(
                row["study_pk"], row["study_uid"], row["attributes"], row["issuer"],
                tuple(row["gateways"]) or ("",), tuple(row["identities"]),
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def match_study(self, waiting: Waiting, patient: UUID) -> bool:
        """See ImageKeepingStore."""
        async with self._connections.transaction() as connection:
            study_pk = await connection.fetchval(
                _SQL["match_study"], waiting.study_uid, patient, list(waiting.identities)
            )
            if study_pk is not None:
                await change_study(connection, study_pk)
        return study_pk is not None

    @storage_call
    async def doubt_study(self, study_uid: str) -> None:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["doubt_study"], study_uid)

    @storage_call
    async def indexed(self, sha256s: Collection[bytes]) -> frozenset[bytes]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["indexed"], list(sha256s))
        return frozenset(row["sha256"] for row in rows)

    @storage_call
    async def accounted(self, sha256s: Collection[bytes]) -> frozenset[bytes]:
        """See ImageKeepingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["accounted"], list(sha256s))
        return frozenset(row["sha256"] for row in rows)

    async def _objects(self, name: str, *arguments: Any) -> tuple[StoredObject, ...]:
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL[name], *arguments)
        return tuple(StoredObject(**row) for row in rows)


async def _change_studies(connection: Connection, sha256: bytes) -> None:
    """Whoever polls sees that an object is given out no longer, or again; its row is locked."""
    commit = await connection.fetchrow(_INGEST["take_commit"])
    assert commit is not None  # noqa: S101 - the function returns one row or raises
    await connection.execute(
        _SQL["change_studies_of_object"], sha256, commit["commit_seq"], commit["stored_at"]
    )


def _conditions(rule: KeepRule) -> tuple[datetime, list[str], bool]:
    return rule.before, list(rule.modalities), rule.unmatched
