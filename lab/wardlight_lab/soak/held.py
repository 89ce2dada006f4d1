"""What this process holds at a moment.

Source  proc(5): /proc/self/statm (resident pages), /proc/self/fd
"""

import asyncio
import gc
import resource
from pathlib import Path

import msgspec


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
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Held(
        second=second,
        memory_kb=pages * resource.getpagesize() // 1024,
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        tasks=len(asyncio.all_tasks()),
        objects=len(gc.get_objects()),
    )
