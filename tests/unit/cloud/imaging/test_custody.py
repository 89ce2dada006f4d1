"""An object counts as held because it was read: now, or a moment ago and untouched since."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from support.dicom_files import sha256
from support.memory_objects import MemoryObjects
from wardlight_cloud.imaging.custody import VERIFIED_S, Custody, Held
from wardlight_cloud.store.image_keeping import FindingKind, StoredObject, Tier

OCTETS = b"octets of an object"
DIGEST = sha256(OCTETS)
SIZE = len(OCTETS)


class Counted(MemoryObjects):
    """Counts how often all of an object is read."""

    readings = 0

    async def stream(
        self, sha256: bytes, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        self.readings += 1
        async for piece in super().stream(sha256, start, end):
            yield piece


class Index:
    """What is known of the object; ``seen`` of each finding that was noted."""

    def __init__(self) -> None:
        self.doubted = False
        self.seen: list[StoredObject | None] = []
        self.asked = 0

    async def is_doubted(self, sha256: bytes) -> bool:
        return self.doubted

    async def stored_object(self, sha256: bytes) -> StoredObject | None:
        self.asked += 1
        at = datetime(2026, 1, self.asked, tzinfo=UTC)
        return StoredObject(sha256, SIZE, "hot", at, at)

    async def note_check(
        self, sha256: bytes, found: FindingKind | None, *, seen: StoredObject | None = None
    ) -> None:
        self.seen.append(seen)

    async def note_replaced(self, sha256: bytes, tier: Tier) -> int:
        self.doubted = False
        return 1


async def test_what_is_offered_over_and_over_is_read_once_in_a_while() -> None:
    objects, index, times = Counted(), Index(), [0.0]
    custody = Custody(objects, index, clock=lambda: times[-1])
    await objects.put(DIGEST, OCTETS)
    for _ in range(5):
        assert await custody.held(DIGEST, SIZE) is Held.WHOLE
    assert await custody.held(DIGEST, SIZE + 1) is Held.OTHER_SIZE
    assert objects.readings == 1
    times.append(VERIFIED_S)
    assert await custody.held(DIGEST, SIZE) is Held.WHOLE
    assert objects.readings == 2
    index.doubted = True  # what a check found counts at once
    assert await custody.held(DIGEST, SIZE) is Held.DAMAGED
    await custody.replaced(DIGEST)
    assert await custody.held(DIGEST, SIZE) is Held.WHOLE
    assert objects.readings == 3
    objects.objects[DIGEST] = OCTETS[::-1]  # written to, so it is read whenever that was
    assert await custody.held(DIGEST, SIZE) is Held.DAMAGED
    del objects.objects[DIGEST]
    assert await custody.held(DIGEST, SIZE) is Held.ABSENT


async def test_a_finding_is_of_what_stood_on_the_index_before_it_was_read() -> None:
    objects, index = Counted(), Index()
    objects.objects[DIGEST] = OCTETS[::-1]
    assert await Custody(objects, index).held(DIGEST, SIZE) is Held.DAMAGED
    (seen,) = index.seen
    assert seen is not None
    assert (objects.readings, seen.checked_at) == (2, datetime(2026, 1, 2, tzinfo=UTC))
