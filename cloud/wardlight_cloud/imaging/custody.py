"""Whether an object is held as it was stored: what a receipt, and "we have it", rest on.

An object that was damaged is as if it were not there: whoever still has it is asked to send it, and
what comes takes its place. So "held" means: durable, every octet read and its hash right, and no
check has found anything wrong with it that nothing has ended since. What was read within the last
VERIFIED_S by this process, and was not written to since, is not read again: a sender that offers
the same objects over and over costs one read of each in that time.

Errors  StorageError: object store or database are away, so nothing can be said
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final, Protocol

from wardlight_cloud.imaging.metrics import CHECKED
from wardlight_cloud.imaging.object_check import Pause, judged
from wardlight_cloud.store.image_arrivals import Receipt
from wardlight_cloud.store.image_keeping import FindingKind, StoredObject, Tier
from wardlight_cloud.store.object_base import ObjectStore

_log = logging.getLogger(__name__)
VERIFIED_S: Final = 600.0
_REMEMBERED: Final = 4096  # a few hundred octets each
_AT_ONCE: Final = 4
_SHOWN_DIGITS: Final = 12
_Stamp = tuple[int, datetime | None]
"""Size, and when the file changed last (a folder) or was uploaded (S3)."""


class CustodyStore(Protocol):
    """What this asks of the database."""

    async def is_doubted(self, sha256: bytes) -> bool:
        """See ImageKeepingStore."""

    async def stored_object(self, sha256: bytes) -> StoredObject | None:
        """See ImageKeepingStore."""

    async def note_check(
        self, sha256: bytes, found: FindingKind | None, *, seen: StoredObject | None = None
    ) -> None:
        """See ImageKeepingStore."""

    async def note_replaced(self, sha256: bytes, tier: Tier) -> int:
        """See ImageKeepingStore."""


class ReceiptStore(Protocol):
    """Where receipts stand."""

    async def receipts(self, sop_uids: Sequence[str]) -> Mapping[str, Receipt]:
        """See ImageStore."""


class Held(Enum):
    """What is had of an object."""

    WHOLE = "whole"
    ABSENT = "absent"
    DAMAGED = "damaged"  # it counts as not there; what comes takes its place
    OTHER_SIZE = "other size"  # it is whole, and of another size than was said


class Custody:
    """Judges objects; any number of calls at a time."""

    def __init__(
        self,
        objects: ObjectStore,
        store: CustodyStore,
        *,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._store = store
        self._pause = pause
        self._clock = clock
        self._verified: OrderedDict[bytes, tuple[_Stamp, float]] = OrderedDict()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def held(self, sha256: bytes, size: int) -> Held:
        """What is had of an object of this hash and size; damage that is found is noted."""
        found = await self._objects.durable_size(sha256)
        if found is None:
            return Held.ABSENT
        if await self._store.is_doubted(sha256):
            return Held.DAMAGED
        stamp = (found, await self._objects.stored_at(sha256))
        if not self._was_read(sha256, stamp):
            wrong, seen = await self._judged(sha256)
            if wrong == "missing":  # a rule has removed it just now
                return Held.ABSENT
            if wrong is not None:
                await self._note(sha256, wrong, seen)
                return Held.DAMAGED
            self._remember(sha256, stamp)
        return Held.WHOLE if found == size else Held.OTHER_SIZE

    def _was_read(self, sha256: bytes, stamp: _Stamp) -> bool:
        known, at = self._verified.get(sha256, (None, 0.0))
        return known == stamp and self._clock() - at < VERIFIED_S

    def _remember(self, sha256: bytes, stamp: _Stamp) -> None:
        self._verified[sha256] = stamp, self._clock()
        self._verified.move_to_end(sha256)
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)

    async def _judged(self, sha256: bytes) -> tuple[FindingKind | None, StoredObject | None]:
        """What is wrong with it, and how it stood on the index before it was read."""
        async with self._room:
            seen = await self._store.stored_object(sha256)
            found = await judged(self._objects, sha256, pause=self._pause)
            if found != "differs":
                return found, seen
            # Another process may have replaced it while it was read.
            seen = await self._store.stored_object(sha256)
            return await judged(self._objects, sha256, pause=self._pause), seen

    async def may_be_held(self, sha256: bytes) -> bool:
        """Whether something is there that nothing is known to be wrong with; it is not read."""
        if await self._objects.size(sha256) is None:
            return False
        return not await self._store.is_doubted(sha256)

    async def replaced(self, sha256: bytes) -> None:
        """An object on record came again and lies where it should: findings of it end."""
        self._verified.pop(sha256, None)
        tier: Tier = "cold" if await self._objects.is_cold(sha256) else "hot"
        ended = await self._store.note_replaced(sha256, tier)
        if ended:
            about = {"object": sha256.hex()[:_SHOWN_DIGITS], "findings": ended}
            _log.warning(
                "a damaged object was replaced by the same one that came again", extra=about
            )

    async def _note(self, sha256: bytes, wrong: FindingKind, seen: StoredObject | None) -> None:
        await self._store.note_check(sha256, wrong, seen=seen)
        CHECKED.labels(wrong).inc()
        # An operator finds the object by it in `images scrub`; it says nothing of a patient.
        about = {"object": sha256.hex()[:_SHOWN_DIGITS], "finding": wrong}
        _log.error("an object is not as it was stored", extra=about)


async def committed(
    store: ReceiptStore, objects: ObjectStore, sop_uids: Sequence[str]
) -> dict[str, bytes]:
    """SHA-256 of the instances that are safe here: on the index, their objects there and durable,
    and nothing found wrong with them.
    """  # fmt: skip
    safe: dict[str, bytes] = {}
    for uid, receipt in (await store.receipts(sop_uids)).items():
        if await objects.durable_size(receipt.sha256) == receipt.size:
            safe[uid] = receipt.sha256
    return safe
