"""Works an outbox on a file system that runs full, several times; prints what happened as JSON.

Usage: full_disk_child.py FOLDER, in a mount namespace of its own; mounts a small tmpfs there.
"""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from support.outbox_records import KEY, LIVE_AGE_MS, body, number_of, settings
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.outbox.base import Choice, Level, NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_shared.errors import OutboxFull
from wardlight_shared.records import Lane


class RebootingClock(SystemClock):
    boot = "first boot"

    def boot_id(self) -> str:
        return self.boot


CLOCK = RebootingClock()
CYCLES = 4


def records(first: int) -> list[NewRecord]:
    return [
        NewRecord(Lane.LIVE, None, CLOCK.mono_ms(), CLOCK.wall_ms(), body(number, 250))
        for number in range(first, first + 20)
    ]


def open_outbox(path: Path) -> SqliteOutbox:
    given = settings(quota_bytes=1 << 30, reserve_bytes=1 << 20)
    return SqliteOutbox(path, KEY, given, CLOCK, live_age_ms=LIVE_AGE_MS)


async def fill(outbox: SqliteOutbox, accepted: dict[int, int], first: int) -> int:
    """Append until refused; returns the next number."""
    while True:
        try:
            seqs = await outbox.append(records(first))
        except OutboxFull:
            return first + 20
        accepted |= {seq: first + place for place, seq in enumerate(seqs)}
        first += 20


async def run(folder: Path) -> dict[str, object]:
    accepted: dict[int, int] = {}
    levels: list[str] = []
    removed: list[int] = []
    number = 0
    async with open_outbox(folder / "outbox.db") as outbox:
        epoch = outbox.epoch
        for cycle in range(CYCLES):
            number = await fill(outbox, accepted, number)
            levels.append(outbox.status().level.value)
            hog = folder / "hog"  # somebody else takes a part of what is left
            if cycle % 2:
                with suppress(OSError):
                    hog.write_bytes(bytes(400_000))
            lowest, highest = outbox.status().lowest, outbox.status().highest
            upto = (lowest + highest) // 2
            removed.append(await outbox.settle(upto=upto))
            accepted = {seq: number for seq, number in accepted.items() if seq > upto}
            hog.unlink(missing_ok=True)
            await wait_until(lambda: outbox.status().level is not Level.FULL, what="room again")
    # A start on a disk that others have filled: the boot's number needs a write.
    with suppress(OSError), (folder / "hog").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    CLOCK.boot = "another boot"
    async with open_outbox(folder / "outbox.db") as outbox:
        boot = outbox.boot
        taken = await outbox.take(Choice.BACKFILL, max_records=1 << 30, max_bytes=1 << 40)
        found = {one.seq: number_of(one) for one in taken}
        return {
            "same_epoch": outbox.epoch == epoch,
            "boot": boot,
            "levels": levels,
            "removed": removed,
            "accepted": len(accepted),
            "lost": len(accepted.items() - found.items()),
            "unasked": len(found.items() - accepted.items()),
        }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(target)], check=True)
    sys.stdout.write(json.dumps(asyncio.run(run(target))))
    sys.stdout.flush()
    os._exit(0)
