"""A process that appends for ever and prints each seq after `append` has returned it.

Usage: appending_child.py FILE WRITERS. Each line: seq, a blank, the number inside the record.
"""

import asyncio
import os
import sys
from pathlib import Path

from support.outbox_records import KEY, LIVE_AGE_MS, body, settings
from wardlight_edge.clock import SystemClock
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_shared.records import Lane


async def write(outbox: SqliteOutbox, clock: SystemClock, writer: int) -> None:
    number = writer << 32
    while True:
        count = 1 + number % 7
        lane = Lane(number % 4)
        records = [
            NewRecord(lane, None, clock.mono_ms(), clock.wall_ms(), body(number + place))
            for place in range(count)
        ]
        seqs = await outbox.append(records)
        lines = "".join(f"{seq} {number + place}\n" for place, seq in enumerate(seqs))
        os.write(1, lines.encode())  # a pipe takes up to PIPE_BUF bytes whole
        number += count


async def main(path: Path, writers: int) -> None:
    clock = SystemClock()
    given = settings(quota_bytes=1 << 30)
    async with SqliteOutbox(path, KEY, given, clock, live_age_ms=LIVE_AGE_MS) as outbox:
        await asyncio.gather(*(write(outbox, clock, writer) for writer in range(writers)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
