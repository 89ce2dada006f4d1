"""Which of several files with one SOP Instance UID is shown.

Nothing is overwritten: the others stay as versions. The file that is shown decides what the index
says of its series and study, so all instances of these studies are put on it again, from what
stands on it, and matched with the register again; only the chosen file is read anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson

from wardlight_cloud.imaging.columns import instance_header
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.store.image_arrivals import InstanceHeader, NewInstance, Source
from wardlight_cloud.store.imaging import InstanceRef, Version
from wardlight_shared.errors import StorageError

_TRIES: Final = 3
_ARCHIVE: Final = "archive"


class VersionStore(Protocol):
    """What this asks of the store."""

    async def versions(self, sop_uid: str | None = None) -> tuple[Version, ...]:
        """See ImageStore."""

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        """See ImageStore."""

    async def first_uploads(self, sha256s: Collection[bytes]) -> Mapping[bytes, Source]:
        """See ImageKeepingStore."""

    async def instances_as_new(self, study_uid: str) -> tuple[NewInstance, ...]:
        """See ImageKeepingStore."""

    async def show_version(
        self, shown: NewInstance, beside: Sequence[NewInstance], *, by: str | None, reason: str
    ) -> None:
        """See ImageKeepingStore."""


class Matcher(Protocol):
    """ImageIntake."""

    async def header(self, sha256: bytes) -> InstanceHeader:
        """See ImageIntake."""

    async def matched(self, instances: Sequence[NewInstance]) -> list[NewInstance]:
        """See ImageIntake."""


async def show_instead_of_cut(
    store: VersionStore, intake: Matcher, sop_uid: str, sha256: bytes
) -> bool:
    """Show a file that is whole where the one that is shown is cut off; False: it is not.

    Such a file was taken by a version that did not look at lengths. That it is shown no more stays
    on record as a choice, or the index made again would show the one that came first.
    StorageError: it could not be read, or its study changed; it is a version all the same.
    """
    shown = await store.instance(sop_uid)
    if shown is None or shown.sha256 == sha256:
        return False
    try:
        await intake.header(shown.sha256)
    except HeaderError as error:
        if error.reason != "cut":
            return False
    else:
        return False
    await show_version(
        store, intake, sop_uid, sha256, by=_ARCHIVE, reason="the file shown before is cut off"
    )
    return True


async def show_version(
    store: VersionStore,
    intake: Matcher,
    sop_uid: str,
    sha256: bytes,
    *,
    by: str | None = None,
    reason: str = "",
) -> None:
    """Show this file of the UID; StorageError: there is no such version, or no object of it."""
    versions = {each.sha256: each for each in await store.versions(sop_uid)}
    chosen = versions.get(sha256)
    if chosen is None:
        raise StorageError("there is no such file of this SOP Instance UID")
    if chosen.is_shown:
        return
    header = await intake.header(sha256)
    uploads = await store.first_uploads([sha256])
    source = uploads.get(sha256, Source("import"))
    (shown,) = await intake.matched([NewInstance(sha256, chosen.size, header, source)])
    for tries_left in reversed(range(_TRIES)):
        beside = await intake.matched(await _beside(store, shown))
        try:
            await store.show_version(shown, beside, by=by, reason=reason)
        except StorageError:
            if not tries_left:
                raise
        else:
            return


async def _beside(store: VersionStore, shown: NewInstance) -> list[NewInstance]:
    """The other instances of the studies of both files."""
    sop_uid = shown.header.sop_uid
    before = await store.instance(sop_uid)
    studies = {shown.header.study_uid, *((before.study_uid,) if before else ())}
    found: list[NewInstance] = []
    for study in sorted(studies):
        found += _complete(await store.instances_as_new(study))
    return [each for each in found if each.header.sop_uid != sop_uid]


def _complete(instances: Sequence[NewInstance]) -> list[NewInstance]:
    """Matching keys and attributes of the levels, from the stored headers."""
    made = []
    for each in instances:
        known = each.header
        header: dict[str, Any] = orjson.loads(known.header)
        again = instance_header(
            header, known.header, known.transfer_syntax, frames=known.frames, bulk=known.bulk
        )
        made.append(replace(each, header=again))
    return made
