"""ImagePlaceStore: the key of ids of imaging resources, commits by time."""

from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("image_places")
_KEY_BYTES: Final = 64


class ImagePlacesPart(Part):
    """See ImagePlaceStore."""

    async def image_id_key(self) -> bytes:
        """See ImagePlaceStore."""
        derive = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"wardlight imaging resource ids")
        return derive.derive(self._database.observation_key)

    @storage_call
    async def commit_before(self, instant: datetime) -> int:
        """See ImagePlaceStore."""
        async with self._connections.acquire() as connection:
            return int(await connection.fetchval(_SQL["commit_before"], instant))
