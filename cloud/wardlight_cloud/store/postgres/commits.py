"""CommitStore."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from wardlight_cloud.store.commits import Commit, UploadKey, UploadQuery
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("commits")
_LARGEST: Final = (1 << 63) - 1
_BEFORE_ALL: Final = (0, UUID(int=0))


class CommitsPart(Part):
    """See CommitStore."""

    @storage_call
    async def uploads(self, query: UploadQuery) -> tuple[UploadKey, ...]:
        """See CommitStore."""
        if () in (query.patients, query.devices):
            return ()
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["uploads"], query.patients, query.devices, query.start, query.end,
                *(query.after or _BEFORE_ALL), query.count,
            )  # fmt: skip
        return tuple((row["commit_seq"], row["patient_id"]) for row in rows)

    @storage_call
    async def commits(self, seqs: Sequence[int]) -> Mapping[int, Commit]:
        """See CommitStore."""
        wanted = [seq for seq in seqs if 0 < seq <= _LARGEST]
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["commits_known"], wanted)
        return {row["commit_seq"]: Commit(**row) for row in rows}
