"""A gateway without devices, as a process of its own: the product's outbox and uplink, measured.

``python -m wardlight_lab.bench.gateway --config edge.toml --report FILE`` connects, drains the
outbox that was filled before, and writes one JSON object when it is empty:

    {"started": s, "connected": s, "empty": s, "peak_mb": MB, "live": [[number, s], ...]}

Times are seconds since 1970. With --live-rate N, N events a second are accepted meanwhile; ``live``
says when ``append`` returned for each, and which number is its value in the store. Should the
uplink end by a fault, the report is {"failed": name}.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from wardlight_cloud.private_file import write_private
from wardlight_edge import config, logs
from wardlight_edge.clock import Clock, SystemClock
from wardlight_edge.config import Settings
from wardlight_edge.daemon import open_outbox
from wardlight_edge.outbox.base import NewRecord, Outbox
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.uplink.uplink import Uplink
from wardlight_lab.bench.process_memory import status_mb
from wardlight_shared.codes import METRICS
from wardlight_shared.records import EventBody, Lane, SeriesKey, TimeMethod, encode_body

LIVE_DEVICE: Final = "ble:0000000A11FE"
FIRST_NUMBER: Final = 1_000_000
_POLL_S: Final = 0.005


class LiveEvents:
    """Appends events with a number each and notes when each was accepted."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._series = outbox.series_number(SeriesKey(LIVE_DEVICE, METRICS["body_weight"].wire))
        self.accepted: list[tuple[int, float]] = []

    async def run(self, rate: float) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            number = FIRST_NUMBER + len(self.accepted)
            await self._outbox.append([self._record(number)])
            self.accepted.append((number, time.time()))
            await asyncio.sleep(max(0.0, started + len(self.accepted) / rate - loop.time()))

    def _record(self, number: int) -> NewRecord:
        body = EventBody(
            age_ms=0, method=TimeMethod.RECEIPT, error_ms=0, ord=0, device_time=None, skew_s=None,
            series=[self._series], mantissas=[number], scales=[-3],
        )  # fmt: skip
        event_id = self._outbox.epoch.to_bytes(8, "big") + number.to_bytes(8, "big")
        now = self._clock.mono_ms(), self._clock.wall_ms()
        return NewRecord(Lane.LIVE, event_id, *now, encode_body(body))


async def _run(settings: Settings, live_rate: float) -> dict[str, Any]:
    clock = SystemClock()
    key = read_or_make(settings.data_dir / "outbox.key")
    async with open_outbox(settings, clock, key) as outbox:
        backlog = outbox.status().records
        live = LiveEvents(outbox, clock)
        started = time.time()
        async with Uplink(settings.uplink, settings.gateway, outbox, clock) as uplink:
            appending = asyncio.create_task(_live(live, live_rate), name="live events")
            connected = await _when(uplink, lambda: uplink.status().connected)
            # Of the live events all but the newest: the backlog is what is measured.
            empty = await _when(
                uplink, lambda: outbox.status().settled >= backlog + len(live.accepted) - 1
            )
            appending.cancel()
    return {
        "started": started,
        "connected": connected,
        "empty": empty,
        "peak_mb": status_mb(os.getpid(), "VmHWM"),
        "live": live.accepted,
    }


async def _when(uplink: Uplink, condition: Callable[[], bool]) -> float:
    """When the condition became true. Raises what has ended the uplink."""
    while not condition():
        if uplink.task.done():
            uplink.task.result()
        await asyncio.sleep(_POLL_S)
    return time.time()


async def _live(live: LiveEvents, rate: float) -> None:
    if rate:
        await live.run(rate)


def main() -> int:
    """Drain once, report, end."""
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.bench.gateway")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--live-rate", type=float, default=0.0)
    options = parser.parse_args()
    settings = config.load(options.config)
    logs.configure(settings.log)
    try:
        report = asyncio.run(_run(settings, options.live_rate))
    except Exception as error:  # told to the measurement, which fails with it
        logging.getLogger(__name__).exception("the gateway has failed")
        report = {"failed": type(error).__name__}
    write_private(options.report, msgspec.json.encode(report).decode())
    signal.pause()  # the supervisor would start us again
    return 0


if __name__ == "__main__":
    sys.exit(main())
