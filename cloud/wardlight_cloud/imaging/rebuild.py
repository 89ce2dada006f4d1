"""The index made again from the objects.

Answers of searches and metadata are the same octets as before, since nothing on the index depends
on the order in which instances came. Objects that are no DICOM instance are counted and left. What
people decided (assignments, choices, holds, notes) is kept apart and holds for the new index. Who
brought a file is on record, so its patient is looked for at the same site as before. What a rule
removed does not come back: an object that it left behind goes with those that nothing needs.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.intake import Headers, ImageIntake
from wardlight_cloud.imaging.matching import Issuers
from wardlight_cloud.imaging.versions import show_version
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.image_arrivals import KnownFile, NewInstance, PutOutcome, Source
from wardlight_cloud.store.image_keeping import FindingKind, StoredObject, Tier
from wardlight_cloud.store.imaging import Identified, InstanceRef, IsThere, Version
from wardlight_cloud.store.object_base import ObjectMissingError, ObjectStore
from wardlight_cloud.store.orders import Order

_log = logging.getLogger(__name__)
_GROUP: Final = 64
_SOURCE: Final = Source("import")


@dataclass(slots=True)
class Rebuilt:
    """What was done. ``buried``: had been removed; ``refused``: reason -> no instance."""

    objects: int = 0
    stored: int = 0
    known: int = 0
    versions: int = 0
    buried: int = 0
    refused: dict[str, int] = field(default_factory=dict)


class _Restoring:
    """The store as the intake sees it: nothing is audited, since nothing arrives."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put_instances(
        self, instances: Sequence[NewInstance], *, is_there: IsThere | None = None
    ) -> list[PutOutcome]:
        return await self._store.restore_instances(instances)

    async def file_known(self, sha256: bytes) -> KnownFile | None:
        return await self._store.file_known(sha256)

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        return await self._store.instance(sop_uid)

    async def versions(self, sop_uid: str | None = None) -> tuple[Version, ...]:
        return await self._store.versions(sop_uid)

    async def first_uploads(self, sha256s: Collection[bytes]) -> Mapping[bytes, Source]:
        return await self._store.first_uploads(sha256s)

    async def instances_as_new(self, study_uid: str) -> tuple[NewInstance, ...]:
        return await self._store.instances_as_new(study_uid)

    async def show_version(
        self, shown: NewInstance, beside: Sequence[NewInstance], *, by: str | None, reason: str
    ) -> None:
        await self._store.show_version(shown, beside, by=by, reason=reason)

    async def note_upload(self, sha256: bytes, source: Source) -> bool:
        return await self._store.note_upload(sha256, source)

    async def is_doubted(self, sha256: bytes) -> bool:
        return await self._store.is_doubted(sha256)

    async def stored_object(self, sha256: bytes) -> StoredObject | None:
        return await self._store.stored_object(sha256)

    async def note_check(
        self, sha256: bytes, found: FindingKind | None, *, seen: StoredObject | None = None
    ) -> None:
        await self._store.note_check(sha256, found, seen=seen)

    async def note_replaced(self, sha256: bytes, tier: Tier) -> int:
        """Nothing came: what was wrong with an object is so still."""
        return 0

    async def identified(self, values: Sequence[str]) -> tuple[Identified, ...]:
        return await self._store.identified(values)

    async def order_of(self, accession: str) -> Order | None:
        return await self._store.order_of(accession)


async def rebuild(
    store: Store,
    objects: ObjectStore,
    headers: Headers,
    *,
    issuers: Issuers,
    everything: bool = False,
    told: Callable[[Rebuilt], None] = lambda _: None,
) -> Rebuilt:
    """Put every object on the index that is not there; ``everything``: empty the index before.

    Can be run again after it was cut off. ``told`` is called after each group.
    """
    if everything:
        await store.clear_images()
    intake = ImageIntake(_Restoring(store), objects, headers, issuers=issuers)
    done = Rebuilt()
    group: list[tuple[bytes, int]] = []
    async for each in objects.hashes():
        group.append(each)
        if len(group) == _GROUP:
            await _take(store, objects, intake, group, done)
            told(done)
            group = []
    await _take(store, objects, intake, group, done)
    await store.finish_restoring()
    for sop_uid, sha256 in (await store.misplaced()).items():
        await show_version(store, intake, sop_uid, sha256)
    told(done)
    return done


async def _take(
    store: Store,
    objects: ObjectStore,
    intake: ImageIntake,
    group: Sequence[tuple[bytes, int]],
    done: Rebuilt,
) -> None:
    done.objects += len(group)
    known = await store.indexed([sha256 for sha256, _ in group])
    done.known += len(known)
    left = {sha256: size for sha256, size in group if sha256 not in known}
    buried = await store.bury_again(left)
    done.buried += len(buried)
    missing = [(sha256, size) for sha256, size in left.items() if sha256 not in buried]
    sources = await store.first_uploads([sha256 for sha256, _ in missing])
    outcomes = await asyncio.gather(
        *(_take_one(intake, *each, sources.get(each[0], _SOURCE)) for each in missing)
    )
    for outcome in outcomes:
        match outcome:
            case PutOutcome.STORED:
                done.stored += 1
            case PutOutcome():
                done.versions += 1
            case reason:
                done.refused[reason] = done.refused.get(reason, 0) + 1
    cold = [sha256 for sha256, _ in missing if await objects.is_cold(sha256)]
    if cold:
        await store.set_tier(cold, "cold")


async def _take_one(
    intake: ImageIntake, sha256: bytes, size: int, source: Source
) -> PutOutcome | str:
    try:
        return (await intake.take(sha256, size, source)).outcome
    except HeaderError as error:
        return error.reason
    except ObjectMissingError:
        return "missing"
