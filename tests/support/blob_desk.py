"""The collector's part of blobs on stores in memory, with what it knows of others played."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

from support.memory_objects import MemoryObjects
from wardlight_cloud.imaging.announced import Announced
from wardlight_cloud.imaging.blob_intake import BlobIntake
from wardlight_cloud.imaging.custody import Custody
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.intake import Taken
from wardlight_cloud.imaging.steps import StepOutcome
from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.blobs import Blobs
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.store.blobs_aside import AsideBlob
from wardlight_cloud.store.image_arrivals import InstanceHeader, KnownFile, PutOutcome, Source
from wardlight_cloud.store.image_keeping import FindingKind, StoredObject, Tier
from wardlight_shared import topics
from wardlight_shared.blobs import BlobState, Offer, WorklistWanted, decode_state
from wardlight_shared.errors import StorageError

GATEWAY = "gw-blobs"
TOPIC = topics.parse(topics.blob(GATEWAY))
UNREADABLE = b"no dicom"
THE_FILE = KnownFile("1.2.3", "1.2.840.10008.5.1.4.1.1.2")


async def no_pause(_seconds: float) -> None:
    """Read again at once."""


class Desk:
    """What was said and kept; ``hold`` and ``allow`` play leases and register."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.said: list[BlobState] = []
        self.uploads: list[tuple[bytes, int | None]] = []
        self.indexed: set[bytes] = set()
        self.aside: list[AsideBlob] = []
        self.steps: list[tuple[int, bytes]] = []
        self.revisions: list[int] = []
        self.hold = self.allow = True
        self.index_fails = 0
        self.defect = False
        self.findings: dict[bytes, FindingKind] = {}
        self.mended: list[bytes] = []
        self.custody = Custody(self.objects, self, pause=no_pause)
        self.intake = BlobIntake(self.objects, self, self, self, largest_bytes=1 << 20)

    # -- what is known of objects

    async def is_doubted(self, sha256: bytes) -> bool:
        return sha256 in self.findings

    async def stored_object(self, sha256: bytes) -> StoredObject | None:
        return None

    async def note_check(
        self, sha256: bytes, found: FindingKind | None, *, seen: StoredObject | None = None
    ) -> None:
        assert found is not None
        self.findings[sha256] = found

    async def note_replaced(self, sha256: bytes, tier: Tier) -> int:
        self.mended.append(sha256)
        return self.findings.pop(sha256, None) is not None

    # -- images, steps and what is set aside

    async def take(
        self, sha256: bytes, size: int, source: Source, *, announced: Announced
    ) -> Taken:
        if self.defect:
            raise ZeroDivisionError
        if self.index_fails:
            self.index_fails -= 1
            raise StorageError("the database is away")
        assert len(self.objects.objects[sha256]) == size
        if self.objects.objects[sha256].startswith(UNREADABLE):
            raise HeaderError("parse", "no instance")
        announced.check_known(THE_FILE)
        self.indexed.add(sha256)
        self.uploads.append((sha256, source.item))
        return Taken(PutOutcome.STORED, cast(InstanceHeader, None))

    async def known(self, sha256: bytes, source: Source, announced: Announced) -> bool:
        if sha256 in self.indexed:
            announced.check_known(THE_FILE)
        if sha256 in self.indexed and (sha256, source.item) not in self.uploads:
            self.uploads.append((sha256, source.item))
        return sha256 in self.indexed

    async def take_step(self, gateway: str, offer: Offer, octets: bytes) -> StepOutcome:
        assert gateway == GATEWAY
        if (offer.item, octets) in self.steps:
            return StepOutcome("known")
        self.steps.append((offer.item, octets))
        return StepOutcome("stored")

    async def put_blob_aside(self, blob: AsideBlob) -> None:
        if blob not in self.aside:
            self.aside.append(blob)

    # -- leases, register, link, worklists

    def holds(self, shard: int) -> bool:
        return self.hold

    async def allows(self, gateway: str) -> bool:
        return self.allow

    def publish(self, topic: str, payload: bytes) -> bool:
        assert topic == topics.down(GATEWAY, topics.Down.RECEIPT)
        self.said.append(decode_state(payload))
        return True

    def hear(self, gateway: str, wanted: WorklistWanted) -> None:
        self.revisions.append(wanted.revision)

    @contextlib.asynccontextmanager
    async def collecting(self) -> AsyncIterator[Blobs]:
        """A collector that has no memory of what came before."""
        blobs = Blobs(self.intake, self.publish, cast(Leases, self), cast(Admission, self), self)
        running = asyncio.create_task(blobs.run(), name="blobs")
        await asyncio.sleep(0)
        try:
            yield blobs
        finally:
            running.cancel()
            await asyncio.wait({running})
