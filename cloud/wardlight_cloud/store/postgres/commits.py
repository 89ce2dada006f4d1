"""CommitStore."""

from collections.abc import Mapping, Sequence
from typing import Final

from wardlight_cloud.store.commits import Commit
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("commits")
_LARGEST: Final = (1 << 63) - 1


class CommitsPart(Part):
    """See CommitStore."""

    @storage_call
    async def commits(self, seqs: Sequence[int]) -> Mapping[int, Commit]:
        """See CommitStore."""
        wanted = [seq for seq in seqs if 0 < seq <= _LARGEST]
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["commits_known"], wanted)
        return {row["commit_seq"]: Commit(**row) for row in rows}
