"""A department's own account against what the cloud holds, read from its tables and objects."""

import asyncio
import hashlib
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.store.objects import open_objects
from wardlight_lab.chaos.department import Department
from wardlight_lab.chaos.image_verdict import ImageVerdict, judge_images
from wardlight_lab.chaos.step_verdict import StepVerdict, judge_steps
from wardlight_lab.chaos.tables import Tables

_DRAIN_S: Final = 240.0
_POLL_S: Final = 0.5


async def images_of(department: Department, tables: Tables, settings: Settings) -> ImageVerdict:
    """Images and commitments, once all of them had time to arrive."""
    promises = department.promises
    wanted = {each.uid for each in promises}
    for _ in range(int(_DRAIN_S / _POLL_S)):
        indexed = {uid for uid, _ in await tables.instances()}
        is_reported = department.asked <= department.reported
        if wanted <= indexed and department.committed and is_reported:
            break
        await asyncio.sleep(_POLL_S)
    objects = await open_objects(settings)
    try:
        found = {sha256 async for sha256, _ in objects.hashes()}
        sound = {each for each in found if _is_sound(await objects.read(each), each)}
    finally:
        await objects.close()
    return judge_images(
        promises,
        department.offered,
        rows=await tables.instances(),
        objects=frozenset(sound),
        versions=await tables.versions(),
        uploads=await tables.uploads(),
        committed=frozenset(department.committed),
        false_commitments=len(department.false_commitments),
        unreported=len(department.asked - department.reported),
    )


async def steps_of(department: Department, tables: Tables) -> StepVerdict:
    """Procedure steps, once all of them had time to arrive."""
    steps = department.steps
    for _ in range(int(_DRAIN_S / _POLL_S)):
        stored = await tables.step_events()
        if set(steps.accepted) <= set(stored):
            break
        await asyncio.sleep(_POLL_S)
    return judge_steps(steps.sent, steps.accepted, await tables.step_events())


def _is_sound(octets: bytes, sha256: bytes) -> bool:
    return hashlib.sha256(octets).digest() == sha256
