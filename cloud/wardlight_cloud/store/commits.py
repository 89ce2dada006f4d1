"""What is known of commits: a part of the store's Protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from wardlight_cloud.store.resources import Patients

UploadKey = tuple[int, UUID]
"""(commit, patient)."""


@dataclass(frozen=True, slots=True)
class Commit:
    """``is_upload``: readings came with it; others gave devices to patients, for instance."""

    commit_seq: int
    stored_at: datetime
    is_upload: bool


@dataclass(frozen=True, slots=True)
class UploadQuery:
    """Commits in [start, end) that patients may have Observations of; None = not asked for.

    ``after``: the last key of the page before.
    """

    patients: Patients
    devices: tuple[UUID, ...] | None = None
    start: datetime | None = None
    end: datetime | None = None
    after: UploadKey | None = None
    count: int = 50


class CommitStore(Protocol):
    """Raises StorageError."""

    async def uploads(self, query: UploadQuery) -> tuple[UploadKey, ...]:
        """Up to ``count`` keys in their order: no Observation has a version that is not there.

        Some have none any more: it was corrected, or given to somebody else.
        """

    async def commits(self, seqs: Sequence[int]) -> Mapping[int, Commit]:
        """Those of the commits that there are."""
