"""How a stored object gets onto the index: header, patient, one transaction for many.

The object was put into the object store, and so its hash verified, before it is taken. Takes that
run at the same time share a transaction: while one is committed the next gathers.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from wardlight_cloud.imaging.announced import Announced
from wardlight_cloud.imaging.custody import Custody, CustodyStore
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.held_path import held_path
from wardlight_cloud.imaging.matching import Issuers, match, registered_birth_date
from wardlight_cloud.imaging.metrics import HEADER_SECONDS, REFUSED, TAKEN
from wardlight_cloud.imaging.versions import VersionStore, show_instead_of_cut
from wardlight_cloud.store.image_arrivals import (
    InstanceHeader,
    KnownFile,
    NewInstance,
    PutOutcome,
    Source,
)
from wardlight_cloud.store.imaging import Identified, IsThere
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_cloud.store.orders import Order
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_GROUP_MOST: Final = 64
_GROUP_BYTES: Final = 16 * 1024 * 1024
_WAITING_MOST: Final = 256
_NOTHING_SAID: Final = Announced()


class IntakeStore(CustodyStore, VersionStore, Protocol):
    """What the intake asks of the store."""

    async def put_instances(
        self, instances: Sequence[NewInstance], *, is_there: IsThere | None = None
    ) -> list[PutOutcome]:
        """See ImageStore."""

    async def file_known(self, sha256: bytes) -> KnownFile | None:
        """See ImageStore."""

    async def note_upload(self, sha256: bytes, source: Source) -> bool:
        """See ImageStore."""

    async def identified(self, values: Sequence[str]) -> tuple[Identified, ...]:
        """See ImageStore."""

    async def order_of(self, accession: str) -> Order | None:
        """See OrderStore."""


class Headers(Protocol):
    """What reads a file's header: HeaderPool."""

    async def read(self, path: Path) -> InstanceHeader:
        """See HeaderPool."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an object."""

    outcome: PutOutcome
    header: InstanceHeader


@dataclass(slots=True)
class _Waiting:
    instance: NewInstance
    result: asyncio.Future[PutOutcome]


class ImageIntake:
    """Takes objects; one of it in a process, any number of takes at a time.

    async with HeaderPool(settings.images) as pool:
        intake = ImageIntake(store, objects, pool, issuers=Issuers.of(settings.images))
        taken = await intake.take(sha256, size, Source("stow"))
    """

    def __init__(
        self, store: IntakeStore, objects: ObjectStore, headers: Headers, *, issuers: Issuers
    ) -> None:
        self._store = store
        self._objects = objects
        self._headers = headers
        self._issuers = issuers
        self.custody = Custody(objects, store)
        self._room = asyncio.Semaphore(_WAITING_MOST)
        self._waiting: list[_Waiting] = []
        self._putting: asyncio.Task[None] | None = None

    async def take(
        self,
        sha256: bytes,
        size: int,
        source: Source,
        *,
        patient: UUID | None = None,
        header: InstanceHeader | None = None,
        announced: Announced = _NOTHING_SAID,
    ) -> Taken:
        """Put an object of the object store on the index; returns after COMMIT.

        A file that comes where one is shown that is cut off is shown in its place: STORED.
        Taking it again is KNOWN and writes an audit row, for an item of a gateway only once.
        ``patient``: whose it is where the caller knows better than the register's identifiers.
        ``header``: where the caller has read it already.
        HeaderError: it is no DICOM instance, or another one than was announced, for ever.
        StorageError: try again. ObjectMissingError: the object is not there.
        """
        async with self._room:
            found = header or await self._header(sha256)
            announced.check_header(found)
            outcome = await self._put(sha256, size, found, source, patient)
        if outcome is PutOutcome.KNOWN:  # what the caller has stored took the place of the same
            await self.custody.replaced(sha256)
        if outcome is PutOutcome.CONFLICT:
            if await self._is_shown_now(sha256, found.sop_uid):
                outcome = PutOutcome.STORED
            else:
                await self._tell_of_conflict(sha256, found)
        TAKEN.labels(outcome).inc()
        return Taken(outcome, found)

    async def _is_shown_now(self, sha256: bytes, sop_uid: str) -> bool:
        try:
            return await show_instead_of_cut(self._store, self, sop_uid, sha256)
        except StorageError as error:  # it is kept beside the other one
            _log.warning("a conflict was not looked at", extra={"reason": str(error)})
            return False

    async def _tell_of_conflict(self, sha256: bytes, header: InstanceHeader) -> None:
        """Of another study it is missing in its own, which may be another patient's."""
        shown = await self._store.instance(header.sop_uid)
        if shown is not None and shown.study_uid != header.study_uid:
            _log.error(
                "a file has the SOP Instance UID of an object of another study, and is not seen in "
                "its own; see `images versions`",
                extra={"sha256": sha256.hex()},
            )

    async def known(
        self, sha256: bytes, source: Source, announced: Announced = _NOTHING_SAID
    ) -> bool:
        """True where this file is on the index; its audit row is written then.

        HeaderError: it is another instance than was announced.
        """
        file = await self._store.file_known(sha256)
        if file is None:
            return False
        announced.check_known(file)
        if announced.sop_class and not file.sop_class:
            announced.check_header(await self.header(sha256))
        return await self._store.note_upload(sha256, source)

    async def header(self, sha256: bytes) -> InstanceHeader:
        """Read an object's header and nothing more; errors as ``take``."""
        async with self._room:
            return await self._header(sha256)

    async def _header(self, sha256: bytes) -> InstanceHeader:
        async with local_file(self._objects, sha256) as path:
            with HEADER_SECONDS.time():
                return await self._read(path)

    async def _read(self, path: Path) -> InstanceHeader:
        try:
            return await self._headers.read(path)
        except HeaderError as error:
            REFUSED.labels(error.reason).inc()
            raise

    async def _put(
        self,
        sha256: bytes,
        size: int,
        header: InstanceHeader,
        source: Source,
        patient: UUID | None,
    ) -> PutOutcome:
        result: asyncio.Future[PutOutcome] = asyncio.get_running_loop().create_future()
        instance = NewInstance(sha256, size, header, source, patient)
        self._waiting.append(_Waiting(instance, result))
        if self._putting is None or self._putting.done():
            self._putting = asyncio.create_task(self._put_all(), name="image intake")
        return await result

    async def _put_all(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                outcomes = await self._put_group([each.instance for each in group])
            except StorageError as error:
                await self._put_apart(group, error)
            except BaseException as error:
                _fail(group, error)
                raise
            else:
                for each, outcome in zip(group, outcomes, strict=True):
                    if not each.result.done():
                        each.result.set_result(outcome)

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        octets = 0
        while self._waiting and len(group) < _GROUP_MOST and octets < _GROUP_BYTES:
            group.append(self._waiting.pop(0))
            octets += len(group[-1].instance.header.header)
        return group

    async def _put_apart(self, group: Sequence[_Waiting], error: StorageError) -> None:
        """One instance that the database refuses must not hold up those that came with it."""
        if len(group) == 1:
            _fail(group, error)
            return
        for each in group:
            try:
                (outcome,) = await self._put_group([each.instance])
            except StorageError as own:
                _fail([each], own)
            else:
                if not each.result.done():
                    each.result.set_result(outcome)

    async def _put_group(self, instances: Sequence[NewInstance]) -> list[PutOutcome]:
        matched = await self.matched(instances)
        return await self._store.put_instances(matched, is_there=self._is_there)

    async def _is_there(self, sha256: bytes) -> bool:
        return await self._objects.durable_size(sha256) is not None

    async def matched(self, instances: Sequence[NewInstance]) -> list[NewInstance]:
        """These with whose they are, by the register and the orders as they are now."""
        ids = {each.header.patient_id for each in instances if each.patient is None} - {""}
        candidates = await self._store.identified(sorted(ids)) if ids else ()
        accessions = {each.header.columns.get("AccessionNumber", "") for each in instances} - {""}
        orders = {each: await self._store.order_of(each) for each in sorted(accessions)}
        return [self._with_patient(each, candidates, orders) for each in instances]

    def _with_patient(
        self,
        instance: NewInstance,
        candidates: Sequence[Identified],
        orders: Mapping[str, Order | None],
    ) -> NewInstance:
        header, gateway = instance.header, instance.source.gateway
        issuer = self._issuers.issuer(header.issuer, gateway, instance.source.assumed_issuer)
        if instance.patient is not None:
            return replace(instance, issuer=issuer)
        order = orders.get(header.columns.get("AccessionNumber", ""))
        patient, reason = match(header, issuer, candidates, self._issuers, order, gateway)
        registered = registered_birth_date(patient, candidates, order)
        return replace(
            instance, patient=patient, unmatched=reason, issuer=issuer, registered=registered
        )


@asynccontextmanager
async def local_file(objects: ObjectStore, sha256: bytes) -> AsyncIterator[Path]:
    """An object as a file of this machine: itself, or a copy that is removed at the end."""
    with held_path(objects.local_path, sha256) as path:
        if path is not None:
            yield path
            return
    with tempfile.NamedTemporaryFile(prefix="wardlight-object-") as copy:
        async for piece in objects.stream(sha256):
            await asyncio.to_thread(copy.write, piece)
        copy.flush()
        yield Path(copy.name)


def _fail(group: Sequence[_Waiting], error: BaseException) -> None:
    for each in group:
        if not each.result.done():
            each.result.set_exception(error)
