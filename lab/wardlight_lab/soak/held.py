"""What this process holds at a moment."""

import asyncio
import gc

import msgspec

from wardlight_edge import health


class Held(msgspec.Struct, frozen=True):
    """Resident memory in KB, descriptors, tasks, objects that the collector of garbage knows."""

    second: int
    memory_kb: int
    descriptors: int
    tasks: int
    objects: int


def held(second: int) -> Held:
    """Now, after a collection of garbage."""
    gc.collect()
    return Held(
        second=second,
        memory_kb=health.memory_bytes() // 1024,
        descriptors=health.open_files(),
        tasks=len(asyncio.all_tasks()),
        objects=len(gc.get_objects()),
    )
