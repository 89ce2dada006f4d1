"""Whether an object is held as it was stored: what a receipt, and "we have it", rest on.

An object that was damaged is as if it were not there: whoever still has it is asked to send it, and
what comes takes its place. So "held" means: durable, every octet read and its hash right, and no
check has found anything wrong with it that nothing has ended since.

Errors  StorageError: object store or database are away, so nothing can be said
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, Protocol

from wardlight_cloud.imaging.metrics import CHECKED
from wardlight_cloud.imaging.object_check import Pause, judged
from wardlight_cloud.store.image_keeping import FindingKind, Tier
from wardlight_cloud.store.imaging import Receipt
from wardlight_cloud.store.object_base import ObjectStore

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 4
_SHOWN_DIGITS: Final = 12


class CustodyStore(Protocol):
    """What this asks of the database."""

    async def is_doubted(self, sha256: bytes) -> bool:
        """See ImageKeepingStore."""

    async def note_check(self, sha256: bytes, found: FindingKind | None) -> None:
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
        self, objects: ObjectStore, store: CustodyStore, *, pause: Pause = asyncio.sleep
    ) -> None:
        self._objects = objects
        self._store = store
        self._pause = pause
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def held(self, sha256: bytes, size: int) -> Held:
        """What is had of an object of this hash and size; damage that is found is noted."""
        found = await self._objects.durable_size(sha256)
        if found is None:
            return Held.ABSENT
        if await self._store.is_doubted(sha256):
            return Held.DAMAGED
        wrong = await self._judged(sha256)
        if wrong == "missing":  # a rule has removed it just now
            return Held.ABSENT
        if wrong is not None:
            await self._note(sha256, wrong)
            return Held.DAMAGED
        return Held.WHOLE if found == size else Held.OTHER_SIZE

    async def _judged(self, sha256: bytes) -> FindingKind | None:
        async with self._room:
            found = await judged(self._objects, sha256, pause=self._pause)
            if found != "differs":
                return found
            # Another process may have replaced it while it was read.
            return await judged(self._objects, sha256, pause=self._pause)

    async def may_be_held(self, sha256: bytes) -> bool:
        """Whether something is there that nothing is known to be wrong with; it is not read."""
        if await self._objects.size(sha256) is None:
            return False
        return not await self._store.is_doubted(sha256)

    async def replaced(self, sha256: bytes) -> None:
        """An object on record came again and lies where it should: findings of it end."""
        tier: Tier = "cold" if await self._objects.is_cold(sha256) else "hot"
        ended = await self._store.note_replaced(sha256, tier)
        if ended:
            about = {"object": sha256.hex()[:_SHOWN_DIGITS], "findings": ended}
            _log.warning(
                "a damaged object was replaced by the same one that came again", extra=about
            )

    async def _note(self, sha256: bytes, wrong: FindingKind) -> None:
        await self._store.note_check(sha256, wrong)
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
