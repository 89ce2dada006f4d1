"""Opens the face for blobs of gateways in the API process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import Route

from wardlight_cloud.blobs.proofs import Proofs
from wardlight_cloud.blobs.routes import BlobRoutes
from wardlight_cloud.config import Settings
from wardlight_cloud.imaging.receiving import receiving
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.objects import open_objects


@asynccontextmanager
async def opened_blob_face(settings: Settings, store: Store) -> AsyncIterator[list[Route]]:
    """The routes while they may be served; none where there is no authority to check against."""
    if not settings.broker.ca_file.is_file():
        yield []
        return
    proofs = Proofs.of(settings.broker.ca_file)
    objects = await open_objects(settings)
    try:
        async with receiving(settings, store, objects) as intake:
            yield BlobRoutes(intake, store, proofs).routes()
    finally:
        await objects.close()
