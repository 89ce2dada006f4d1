"""The collector's part of imaging: blobs that come up, worklists that go down."""

import asyncio
from dataclasses import dataclass

from wardlight_cloud.imaging.blob_intake import BlobIntake
from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.blobs import Blobs
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.ports import Publish
from wardlight_cloud.ingest.worklists import Worklists
from wardlight_cloud.store.orders import OrderStore
from wardlight_shared.topics import Topic


@dataclass(frozen=True, slots=True)
class Imaging:
    """What the composition root gives a collector for images."""

    intake: BlobIntake
    orders: OrderStore


class ImageDesk:
    """Hears ``up/blob``; ``run`` beside it."""

    def __init__(
        self,
        imaging: Imaging,
        publish: Publish,
        leases: Leases,
        admission: Admission,
        timeout_s: float,
    ) -> None:
        self._worklists = Worklists(imaging.orders, publish, leases, admission, timeout_s)
        self._blobs = Blobs(imaging.intake, publish, leases, admission, self._worklists)

    def hear(self, topic: Topic, payload: bytes) -> None:
        """Take a message; never blocks."""
        self._blobs.hear(topic, payload)

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._worklists.run(), name="worklists")
            group.create_task(self._blobs.run(), name="blobs")
