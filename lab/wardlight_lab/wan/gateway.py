"""A gateway's outbox, spool and uplink, with vital signs that are timed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from wardlight_edge.clock import SystemClock
from wardlight_edge.config import Settings
from wardlight_edge.daemon import open_outbox, open_spool
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.spool.opening import open_receiving
from wardlight_edge.uplink.status import ImageState
from wardlight_edge.uplink.uplink import Uplink
from wardlight_lab.bench.gateway import LiveEvents
from wardlight_shared.blobs import BlobKind

_POLL_S: Final = 0.01


class Vitals:
    """Live events and how long each took until its acknowledgement."""

    def __init__(self, outbox: Outbox, events: LiveEvents) -> None:
        self._outbox = outbox
        self._events = events
        self._before = outbox.status().settled
        self.taken: list[float] = []

    async def watch(self) -> None:
        """Until cancelled; events are acknowledged in their order, all but exactly."""
        while True:
            settled = self._outbox.status().settled - self._before
            now_s = time.time()
            accepted = self._events.accepted
            while len(self.taken) < min(settled, len(accepted)):
                self.taken.append(now_s - accepted[len(self.taken)][1])
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def gateway(settings: Settings, rate: float) -> AsyncIterator[tuple[ImageState, Vitals]]:
    """The gateway while it delivers, with ``rate`` vital signs a second."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, clock = read_or_make(settings.data_dir / "outbox.key"), SystemClock()
    async with (
        open_outbox(settings, clock, key) as outbox,
        Uplink(
            settings.uplink,
            settings.gateway,
            outbox,
            clock,
            open_spool=lambda: open_spool(settings.data_dir, key),
        ) as uplink,
    ):
        events = LiveEvents(outbox, clock)
        vitals = Vitals(outbox, events)
        tasks = [
            asyncio.create_task(events.run(rate), name="vital signs"),
            asyncio.create_task(vitals.watch(), name="vital signs are timed"),
        ]
        try:
            yield uplink.status().images, vitals
        finally:
            for task in tasks:
                task.cancel()


def put(settings: Settings, files: Sequence[tuple[str, bytes]]) -> None:
    """Put images into the spool as the imaging process does; blocking."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = read_or_make(settings.data_dir / "outbox.key")
    with open_receiving(settings.data_dir, key, DicomSettings(min_free_bytes=0)) as spool:
        for name, octets in files:
            incoming = spool.begin(BlobKind.INSTANCE, name, len(octets))
            incoming.write(octets)
            incoming.accept({"sop_instance": name, "calling_ae": "LAB"})


async def until(condition: Callable[[], bool], longest_s: float) -> None:
    """Wait for a condition; TimeoutError when it does not come."""
    async with asyncio.timeout(longest_s):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(_POLL_S)
