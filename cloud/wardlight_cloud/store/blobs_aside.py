"""Blobs that are kept as objects and stand on no index: what an operator has to look at.

Every coroutine raises StorageError; one call is one transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from wardlight_cloud.store.image_arrivals import Source


@dataclass(frozen=True, slots=True)
class AsideBlob:
    """One item of a gateway. ``reason``: one word of imaging/errors.py."""

    sha256: bytes
    size: int
    reason: str
    source: Source
    aside_at: datetime | None = None


class BlobAsideStore(Protocol):
    """What was set aside."""

    async def put_blob_aside(self, blob: AsideBlob) -> None:
        """Keep; the same item again changes nothing."""

    async def blobs_aside(self, *, count: int = 100) -> tuple[AsideBlob, ...]:
        """Newest first."""

    async def remove_blob_aside(self, sha256: bytes) -> bool:
        """An operator has dealt with it; False = there was none. The object stays."""
