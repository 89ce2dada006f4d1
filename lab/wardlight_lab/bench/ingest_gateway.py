"""The gateway of the ingest measurement: a process of its own with the product's outbox and uplink.

``python -m wardlight_lab.bench.ingest_gateway --config edge.toml --load streams --minutes N`` fills
its outbox, says what it holds, waits for a line on stdin, and drains. Lines on stdout are JSON:

    {"records", "readings", "seconds"}   filled, durably
    {"seconds", "live_ms"}               after ``go``: acked to the last record; ms from the append
                                         of each live record to its ack
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from wardlight_edge import logs
from wardlight_edge.config import Settings, load
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_edge.uplink.uplink import Uplink
from wardlight_lab.bench.gateway_clock import HOUR_MS, AgedClock
from wardlight_lab.bench.ward import MINUTE_MS, Cuff, Ward

_LOADS: Final = {"streams": (5, 0), "events": (0, 250)}  # oximeters, cuffs


class MeasuredOutbox(SqliteOutbox):
    """Notes when live records were settled."""

    def watch(self) -> None:
        """Begin to note."""
        self.appended_s: dict[int, float] = {}
        self.live_ms: list[float] = []
        self.drained = asyncio.Event()

    async def settle(
        self,
        *,
        upto: int,
        ranges: Sequence[tuple[int, int]] = (),
        rejected: Sequence[tuple[int, str]] = (),
    ) -> int:
        """See Outbox; the ack has come when this is called."""
        now_s = time.monotonic()
        for seq in list(self.appended_s):
            if seq <= upto or any(first <= seq <= last for first, last in ranges):
                self.live_ms.append((now_s - self.appended_s.pop(seq)) * 1000)
        gone = await super().settle(upto=upto, ranges=ranges, rejected=rejected)
        if self.status().records <= len(self.appended_s):
            self.drained.set()
        return gone


async def fill(outbox: SqliteOutbox, clock: AgedClock, load_name: str, minutes: int) -> int:
    """Append a backlog of so many minutes, the last of them an hour ago; returns its readings."""
    oximeters, cuffs = _LOADS[load_name]
    ward = Ward(
        outbox.series_number,
        oximeters=oximeters,
        cuffs=cuffs,
        cuff_every_min=1,
        minutes=min(minutes, 240),
    )
    readings = 0
    for minute in range(minutes):
        before_ms = (minutes - minute) * MINUTE_MS + HOUR_MS
        made = ward.minute(minute, clock.mono_ms() - before_ms, clock.wall_ms() - before_ms)
        await outbox.append([one.record for one in made])
        readings += sum(one.readings for one in made)
    return readings


async def add_live(outbox: MeasuredOutbox, clock: AgedClock, every_s: float) -> None:
    """Append a blood pressure again and again until cancelled."""
    cuff = Cuff("ble:0000000B0001", outbox.series_number)
    while True:
        started_s = time.monotonic()
        wall_ms = clock.wall_ms()
        one = cuff.measurement(clock.mono_ms(), wall_ms)
        (seq,) = await outbox.append([one.record])
        outbox.appended_s[seq] = started_s
        await asyncio.sleep(max(0.0, started_s + every_s - time.monotonic()))


async def drain(
    settings: Settings, outbox: MeasuredOutbox, clock: AgedClock, live_every_s: float | None
) -> dict[str, Any]:
    """Run the uplink until all that was there is acked."""
    outbox.watch()
    started_s = time.monotonic()
    async with Uplink(settings.uplink, settings.gateway, outbox, clock):
        adding = None
        if live_every_s is not None:
            adding = asyncio.create_task(add_live(outbox, clock, live_every_s))
        await outbox.drained.wait()
        seconds = time.monotonic() - started_s
        if adding is not None:
            adding.cancel()
            with suppress(asyncio.CancelledError):
                await adding
    return {"seconds": seconds, "live_ms": outbox.live_ms}


async def run(options: argparse.Namespace) -> None:
    """One life of the process."""
    settings = load(options.config)
    logs.configure(settings.log)
    clock = AgedClock(options.minutes // 60 + 1)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = read_or_make(settings.data_dir / "outbox.key")
    live_age_ms = int(settings.uplink.live_age_s * 1000)
    file = settings.data_dir / "outbox.sqlite"
    async with MeasuredOutbox(file, key, settings.outbox, clock, live_age_ms=live_age_ms) as outbox:
        started_s = time.monotonic()
        readings = await fill(outbox, clock, options.load, options.minutes)
        seconds = time.monotonic() - started_s
        _say({"records": outbox.status().records, "readings": readings, "seconds": seconds})
        await asyncio.to_thread(sys.stdin.readline)
        _say(await drain(settings, outbox, clock, options.live_every))


def _say(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="A gateway with a backlog, for the bench.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--load", choices=list(_LOADS), required=True)
    parser.add_argument("--minutes", type=int, required=True)
    parser.add_argument("--live-every", type=float, metavar="S")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
