"""What FHIR needs of the image index besides its rows: a key for ids, and the commits by time."""

from datetime import datetime
from typing import Protocol


class ImagePlaceStore(Protocol):
    """Every coroutine raises StorageError."""

    async def image_id_key(self) -> bytes:
        """64 octets that are this database's own and stay: of the ids of imaging resources."""

    async def commit_before(self, instant: datetime) -> int:
        """The newest commit that was stored before an instant; 0 = none."""
