"""Puts together what takes blobs of gateways: object store, header processes, intake.

async with receiving(settings, store) as intake: ...
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from wardlight_cloud.config import Settings
from wardlight_cloud.imaging.blob_intake import AsideStore, BlobIntake
from wardlight_cloud.imaging.intake import ImageIntake, IntakeStore
from wardlight_cloud.imaging.matching import Issuers
from wardlight_cloud.imaging.pool import HeaderPool
from wardlight_cloud.imaging.steps import StepIntake
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_cloud.store.orders import OrderStore


class ReceivingStore(AsideStore, IntakeStore, OrderStore, Protocol):
    """What taking blobs asks of the store."""


@asynccontextmanager
async def receiving(
    settings: Settings, store: ReceivingStore, objects: ObjectStore
) -> AsyncIterator[BlobIntake]:
    """One intake of this process."""
    async with HeaderPool(settings.images) as pool:
        issuers = Issuers.of(settings.images)
        yield BlobIntake(
            objects,
            ImageIntake(store, objects, pool, issuers=issuers),
            StepIntake(store),
            store,
            largest_bytes=settings.objects.largest_bytes,
        )
