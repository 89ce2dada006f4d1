"""What is known of commits: a part of the store's Protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Commit:
    """``is_upload``: readings came with it; others gave devices to patients, for instance."""

    commit_seq: int
    stored_at: datetime
    is_upload: bool


class CommitStore(Protocol):
    """Raises StorageError."""

    async def commits(self, seqs: Sequence[int]) -> Mapping[int, Commit]:
        """Those of the commits that there are."""
