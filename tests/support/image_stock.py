"""Images in a real store and object store, put there by the real intake, without a gateway.

async with image_stock(store, settings) as stock:
    await stock.add(octets)
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from wardlight_cloud.config import ImagesSettings, Settings
from wardlight_cloud.imaging.intake import ImageIntake, Taken
from wardlight_cloud.imaging.matching import Issuers
from wardlight_cloud.imaging.pool import HeaderPool
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_cloud.store.objects import open_objects


@dataclass(frozen=True)
class ImageStock:
    """What takes files."""

    store: Store
    objects: ObjectStore
    intake: ImageIntake

    async def add(
        self, octets: bytes, *, patient: UUID | None = None, source: Source | None = None
    ) -> Taken:
        """Store a file and put it on the index."""
        sha256 = hashlib.sha256(octets).digest()
        await self.objects.put(sha256, octets)
        return await self.intake.take(
            sha256, len(octets), source or Source("import"), patient=patient
        )


@asynccontextmanager
async def image_stock(store: Store, settings: Settings) -> AsyncIterator[ImageStock]:
    """A stock beside a store that is open."""
    images = ImagesSettings(processes=1, issuer="urn:test:mrn")
    objects = await open_objects(settings)
    async with HeaderPool(images) as pool:
        yield ImageStock(
            store, objects, ImageIntake(store, objects, pool, issuers=Issuers.of(images))
        )
    await objects.close()
