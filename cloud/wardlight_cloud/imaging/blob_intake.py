"""What a gateway is told of its blobs: what is missing, that it is stored, or why not.

The same over MQTT (ingest/blobs.py) and HTTPS (blobs/routes.py). Nothing is kept here: what has
arrived stands in the object store, so that any process can answer for it. An item is STORED when
its hash is verified, its object durable and its index committed; or when the object was set aside
for an operator because it is no DICOM file, or another instance than the gateway says: then
``reason`` says so, and nobody may commit to it. An object that was damaged is wanted as if it were
not there.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from wardlight_cloud.imaging.announced import Announced
from wardlight_cloud.imaging.blob_metrics import ANSWERS, ASIDE, WRONG_HASH
from wardlight_cloud.imaging.custody import Custody, Held
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.intake import Taken
from wardlight_cloud.imaging.steps import StepOutcome
from wardlight_cloud.store.blobs_aside import AsideBlob
from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_shared import blobs
from wardlight_shared.blobs import MAX_RANGES, BlobKind, BlobState, BlobStatus, Offer
from wardlight_shared.errors import StorageError
from wardlight_shared.set_aside import receipt_reason

_log = logging.getLogger(__name__)
_WRONG_MOST: Final = 3
_REMEMBERED_WRONG: Final = 10_000
_AT_ONCE: Final = 4
_LARGEST_STEP: Final = 1024 * 1024
_LAST_MS: Final = 253_402_300_799_000  # the last second of the year 9999


class Images(Protocol):
    """ImageIntake."""

    @property
    def custody(self) -> Custody:
        """See ImageIntake."""

    async def take(
        self, sha256: bytes, size: int, source: Source, *, announced: Announced
    ) -> Taken:
        """See ImageIntake."""

    async def known(self, sha256: bytes, source: Source, announced: Announced) -> bool:
        """See ImageIntake."""


class Steps(Protocol):
    """StepIntake."""

    async def take_step(self, gateway: str, offer: Offer, octets: bytes) -> StepOutcome:
        """See StepIntake."""


class AsideStore(Protocol):
    """Where blobs stand that are kept and are on no index."""

    async def put_blob_aside(self, blob: AsideBlob) -> None:
        """Keep; the same item again changes nothing."""


class BlobIntake:
    """Answers for blobs; any number of calls at a time."""

    def __init__(
        self,
        objects: ObjectStore,
        images: Images,
        steps: Steps,
        aside: AsideStore,
        *,
        largest_bytes: int,
    ) -> None:
        self._objects = objects
        self._images = images
        self._steps = steps
        self._aside = aside
        self._largest = {BlobKind.INSTANCE: largest_bytes, BlobKind.STEP: _LARGEST_STEP}
        self._wrong: OrderedDict[bytes, int] = OrderedDict()
        self._turns: dict[bytes, tuple[asyncio.Lock, int]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    def refusal(self, offer: Offer) -> str | None:
        """Why a blob is not taken, whatever its octets are; None = it may come."""
        if offer.size > self._largest[offer.kind]:
            return "too large"
        return "empty" if offer.size == 0 else None

    async def put(self, offer: Offer, offset: int, octets: bytes) -> None:
        """Keep octets; durable on return. StorageError: the object store refuses."""
        await self._objects.put_part(offer.sha256, offset, octets)

    async def put_missing(self, offer: Offer, offset: int, octets: bytes) -> None:
        """Keep octets unless the object is there: a repeated chunk must leave no part behind."""
        if not await self._images.custody.may_be_held(offer.sha256):
            await self.put(offer, offset, octets)

    async def answer(self, gateway: str, offers: Sequence[Offer]) -> BlobState:
        """The state of the blob of these offers (one spool, one hash), after what it takes.

        Never raises StorageError: LATER says that it did not work now.
        """
        offer = offers[0]
        try:
            async with self._turn(offer.sha256):
                state = await self._state(gateway, offers)
        except StorageError as error:
            _log.warning("blob not taken yet", extra=_about(gateway, offer, str(error)))
            state = later(offer, "the store is busy")
        ANSWERS.labels(offer.kind.value, state.status.name.lower()).inc()
        return state

    async def _state(self, gateway: str, offers: Sequence[Offer]) -> BlobState:
        offer = offers[0]
        # Each of them: a hash may be offered as an image and as a step, whose bounds differ.
        refusal = next(filter(None, map(self.refusal, offers)), None)
        if refusal is not None:
            return _settled(BlobStatus.REFUSED, offers, refusal)
        held = await self._images.custody.held(offer.sha256, offer.size)
        if held is Held.OTHER_SIZE:
            return _settled(BlobStatus.REFUSED, offers, "another size")
        if held is not Held.WHOLE:
            ranges = list(await self._objects.parts(offer.sha256))
            if ranges != [(0, offer.size)]:
                return wanted(offer, ranges)
            if not await self._assembled(offer):
                return self._wrong_hash(gateway, offers)
        if held is Held.DAMAGED:
            await self._images.custody.replaced(offer.sha256)
        return await self._taken(gateway, offers, held)

    async def _assembled(self, offer: Offer) -> bool:
        async with self._room:
            return await self._objects.assemble(offer.sha256, offer.size)

    def _wrong_hash(self, gateway: str, offers: Sequence[Offer]) -> BlobState:
        WRONG_HASH.inc()
        offer = offers[0]
        count = self._wrong.pop(offer.sha256, 0) + 1
        _log.warning("a blob has another hash", extra=_about(gateway, offer, f"time {count}"))
        if count >= _WRONG_MOST:
            return _settled(BlobStatus.REFUSED, offers, "the octets have another hash")
        self._wrong[offer.sha256] = count
        if len(self._wrong) > _REMEMBERED_WRONG:
            self._wrong.popitem(last=False)
        return wanted(offer, [])

    async def _taken(self, gateway: str, offers: Sequence[Offer], held: Held) -> BlobState:
        reason = None
        for offer in offers:
            if offer.kind is BlobKind.STEP:
                refused = await self._take_step(gateway, offer)
                if refused is not None:
                    return _settled(BlobStatus.REFUSED, offers, refused)
            else:
                reason = await self._take_instance(gateway, offer, held) or reason
        if all(offer.kind is BlobKind.STEP for offer in offers):
            await self._objects.delete(offers[0].sha256)  # its octets stand with the event
        return _settled(BlobStatus.STORED, offers, reason)

    async def _take_step(self, gateway: str, offer: Offer) -> str | None:
        octets = await self._objects.read(offer.sha256)
        outcome = await self._steps.take_step(gateway, _bounded(offer), octets)
        return outcome.reason or "refused" if outcome.what == "refused" else None

    async def _take_instance(self, gateway: str, offer: Offer, held: Held) -> str | None:
        """None, or why it was set aside. ``held``: what was had before it came."""
        source = _source(gateway, offer)
        announced = Announced.of(offer.about)
        try:
            if not await self._images.known(offer.sha256, source, announced):
                await self._images.take(offer.sha256, offer.size, source, announced=announced)
            elif held is Held.ABSENT:  # it was missing
                await self._images.custody.replaced(offer.sha256)
        except HeaderError as error:
            ASIDE.labels(error.reason).inc()
            _log.error("a blob is set aside", extra=_about(gateway, offer, error.reason))
            await self._aside.put_blob_aside(
                AsideBlob(offer.sha256, offer.size, error.reason, source)
            )
            return receipt_reason(error.reason)
        return None

    @asynccontextmanager
    async def _turn(self, sha256: bytes) -> AsyncIterator[None]:
        """One answer for a blob at a time in this process."""
        lock, users = self._turns.get(sha256, (asyncio.Lock(), 0))
        self._turns[sha256] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._turns[sha256]
            if users == 1:
                del self._turns[sha256]
            else:
                self._turns[sha256] = lock, users - 1


def wanted(offer: Offer, ranges: Sequence[tuple[int, int]]) -> BlobState:
    """Send what is not in ``ranges``."""
    return BlobState(
        blobs.VERSION, offer.sha256, BlobStatus.WANTED, list(ranges[:MAX_RANGES]), offer.spool
    )


def later(offer: Offer, reason: str) -> BlobState:
    """Ask again."""
    return BlobState(blobs.VERSION, offer.sha256, BlobStatus.LATER, [], offer.spool, reason=reason)


def not_offered(sha256: bytes) -> BlobState:
    """Octets of a blob that was not offered here: spool 0 asks for the offer."""
    return BlobState(blobs.VERSION, sha256, BlobStatus.WANTED, [])


def _settled(status: BlobStatus, offers: Sequence[Offer], reason: str | None) -> BlobState:
    items = [offer.item for offer in offers]
    return BlobState(blobs.VERSION, offers[0].sha256, status, [], offers[0].spool, items, reason)


def _bounded(offer: Offer) -> Offer:
    """An offer whose time is a date and whose texts a database takes."""
    about = {
        name: value.replace("\0", "") if isinstance(value, str) else value
        for name, value in offer.about.items()
    }
    return msgspec.structs.replace(offer, received_ms=min(offer.received_ms, _LAST_MS), about=about)


def _source(gateway: str, offer: Offer) -> Source:
    def text(name: str) -> str:
        value = offer.about.get(name)
        return value.replace("\0", "") if isinstance(value, str) else ""

    return Source(
        "gateway",
        gateway,
        offer.spool,
        offer.item,
        text("calling_ae"),
        text("called_ae"),
        text("peer"),
        datetime.fromtimestamp(min(offer.received_ms, _LAST_MS) / 1000, UTC),
    )


def _about(gateway: str, offer: Offer, why: str) -> dict[str, object]:
    return {"gateway": gateway, "item": offer.item, "blob": offer.sha256.hex()[:12], "why": why}
