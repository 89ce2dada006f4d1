"""Who looked at images: the part of the store's Protocol that keeps it for whoever may ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol
from uuid import UUID

PERIOD: Final = timedelta(minutes=15)
"""Reads of one reader, study and face within a period are one row."""

Face = Literal["dicomweb", "viewer", "dimse"]
ReaderKind = Literal["user", "client", "node"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the login of a user, the name of a client, ``AE@address`` of a node."""

    kind: ReaderKind
    name: str


@dataclass(frozen=True, slots=True)
class ImageRead:
    """Reads of a study by somebody through a face: the first, the last, and how many requests."""

    reader: Reader
    study_uid: str
    face: Face
    first_at: datetime
    last_at: datetime
    requests: int


class ImageReadStore(Protocol):
    """Every coroutine raises StorageError."""

    async def put_reads(self, reads: Sequence[ImageRead]) -> None:
        """Add reads to those of their period, that of ``first_at``."""

    async def image_reads(
        self,
        *,
        study_uid: str | None = None,
        patient: UUID | None = None,
        reader: str | None = None,
        since: datetime | None = None,
        count: int = 100,
    ) -> tuple[ImageRead, ...]:
        """Reads that meet all that is given, the latest first; studies that were removed too."""
