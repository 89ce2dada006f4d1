"""The gateway under chaos: the product's outbox and uplink, fed with numbered records.

``python -m wardlight_lab.chaos.load --config edge.toml --ledger FILE --rate N`` appends records as
sessions do and writes a ledger line only after ``append`` has returned: what stands in the ledger
was accepted. Each reading carries a number that occurs once in the world (its mantissa), so that
the store can be compared value by value. Among them: single events, events that the device sends a
second time (same event id), and stream blocks.

The ledger's lines are those of ledger.py.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

from wardlight_edge import logs
from wardlight_edge.clock import Clock, SystemClock
from wardlight_edge.config import Settings, load
from wardlight_edge.outbox.base import NewRecord, Outbox
from wardlight_lab.chaos.gateway import open_parts
from wardlight_lab.chaos.ledger import accepted, write
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import OutboxFull
from wardlight_shared.records import (
    BlockBody,
    Column,
    EventBody,
    Group,
    Lane,
    SeriesKey,
    TimeMethod,
    encode_body,
    event_ord,
)

DEVICE: Final = "ble:C0FFEE000001"
STREAM: Final = "serial:chaos"
_BLOCK: Final = 30
_AGAIN_EVERY: Final = 7


class Numbers:
    """Numbers that no process of this ledger has used: continues after the ledger's highest."""

    def __init__(self, ledger: Path) -> None:
        self._next = 1 + max((one.last for one in accepted(ledger)), default=0)
        # Numbers of a life that was killed between COMMIT and ledger line must not come again.
        self._next += 1_000_000 - self._next % 1_000_000

    def take(self, count: int) -> int:
        """The first of ``count`` new numbers."""
        first = self._next
        self._next += count
        return first


class Load:
    """Appends records at a rate until told to stop.

    While a file ``LEDGER.pause`` lies beside the ledger nothing is appended; ``LEDGER.waiting``
    then holds the number of records that wait in the outbox.
    """

    def __init__(self, outbox: Outbox, clock: Clock, ledger: Path) -> None:
        self._outbox = outbox
        self._clock = clock
        self._numbers = Numbers(ledger)
        self._descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._event = outbox.series_number(SeriesKey(DEVICE, METRICS["body_weight"].wire))
        # One series for all blocks, 20 ms between them: none may be moved onto its neighbour.
        self._stream = outbox.series_number(SeriesKey(STREAM, METRICS["spo2"].wire))
        self._turn = 0
        self._block_ms = 0
        self._pause = ledger.with_suffix(".pause")
        self._waiting = ledger.with_suffix(".waiting")

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        """About ``rate`` records a second, in bursts of three."""
        while not stop.is_set():
            if self._pause.exists():
                self._waiting.write_text(str(self._outbox.status().records), encoding="ascii")
            else:
                await self._append()
            try:
                async with asyncio.timeout(3 / rate):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _append(self) -> None:
        self._turn += 1
        first = self._numbers.take(2 + _BLOCK)
        events = [self._single(first), self._single(first + 1)]
        records = [*events, self._block(first + 2)]
        if self._turn % _AGAIN_EVERY == 0:
            records.append(events[0])  # the device sends its reading once more
        epoch = self._outbox.epoch
        try:
            seqs = await self._outbox.append(records)
        except OutboxFull:
            return
        if self._outbox.epoch != epoch:
            # The file was replaced meanwhile: under which epoch these seqs stand is not known here.
            epoch = 0
        write(self._descriptor, first, 2 + _BLOCK, epoch, seqs[:3])

    def _single(self, number: int) -> NewRecord:
        event_id = number.to_bytes(16, "little")
        body = EventBody(
            age_ms=0, method=TimeMethod.RECEIPT, error_ms=0, ord=event_ord(None, event_id),
            device_time=None, skew_s=None, series=[self._event], mantissas=[number], scales=[-3],
        )  # fmt: skip
        lane = Lane.ALARM if number % 5 == 0 else Lane.LIVE
        mono_ms, wall_ms = self._clock.mono_ms(), self._clock.wall_ms()
        return NewRecord(lane, event_id, mono_ms, wall_ms, encode_body(body))

    def _block(self, first: int) -> NewRecord:
        column = Column(self._stream, -3, first, 1, b"\x01" * (_BLOCK - 1))
        group = Group(0, 1, 1, _BLOCK, 1, b"", [column])
        body = encode_body(BlockBody(TimeMethod.SAMPLE_COUNT, 0, [group]))
        self._block_ms = max(self._clock.mono_ms(), self._block_ms + _BLOCK + 1)
        return NewRecord(Lane.LIVE, None, self._block_ms, self._clock.wall_ms(), body)


async def _run(settings: Settings, ledger: Path, rate: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    async with open_parts(settings, clock) as outbox:
        await Load(outbox, clock, ledger).run(rate, stop)


def main() -> int:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.chaos.load")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=60.0)
    options = parser.parse_args()
    settings = load(options.config)
    logs.configure(settings.log)
    asyncio.run(_run(settings, options.ledger, options.rate))
    return 0


if __name__ == "__main__":
    sys.exit(main())
