"""Which of several files with one SOP Instance UID is shown.

Nothing is overwritten: the others stay as versions. The file that is shown decides what the index
says of its series and study, so all instances of these studies are put on it again, from what
stands on it, and matched with the register again; only the chosen file is read anew.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from wardlight_cloud.imaging.columns import instance_header
from wardlight_cloud.imaging.intake import ImageIntake
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.imaging import NewInstance, Source
from wardlight_shared.errors import StorageError

_TRIES: Final = 3


async def show_version(
    store: Store,
    intake: ImageIntake,
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


async def _beside(store: Store, shown: NewInstance) -> list[NewInstance]:
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
