"""A collector in memory: keeps the ledger and counts, forgets the values; its link can be cut.

It answers as the wire protocol says (docs/wire-format.md): a hello with what it has, each envelope
with a cumulative ack.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.outbox.ranges import RangeSet
from wardlight_edge.uplink.base import Message
from wardlight_shared import control, topics
from wardlight_shared.control import Ack, Hello
from wardlight_shared.envelope import MAX_BYTES, VERSION, Envelope, open_envelope, sums
from wardlight_shared.errors import TransportError
from wardlight_shared.records import BlockBody, Body, EventBody, GapBody, StatusBody, WaveformBody

_MOST_MESSAGES: Final = 1024


class CountingCollector:
    """One gateway's collector.

    numbers  readings of each device, missing ones too; a record that comes twice counts once
    samples  waveform samples of each device
    gaps     named losses by (device, cause)
    statuses names of status changes
    """

    def __init__(self, gateway: str, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._ledger: dict[int, RangeSet] = {}
        self._devices: dict[int, str] = {}
        self._link: _Link | None = None
        self._is_cut = False
        self.numbers: Counter[str] = Counter()
        self.samples: Counter[str] = Counter()
        self.gaps: Counter[tuple[str | None, str]] = Counter()
        self.statuses: Counter[str] = Counter()
        self.records = 0
        self.repeated = 0

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator["_Link"]:
        """A link, as ``uplink.base.LinkFactory`` makes it."""
        if self._is_cut:
            raise TransportError("the way to the collector is cut")
        self._link = link = _Link(self)
        try:
            yield link
        finally:
            link.end("closed")
            self._link = None

    def cut(self) -> None:
        """The way breaks, and no link can be made."""
        self._is_cut = True
        if self._link is not None:
            self._link.end("the way to the collector was cut")

    def mend(self) -> None:
        """Links can be made again."""
        self._is_cut = False

    def take(self, topic: str, payload: bytes) -> list[Message]:
        """A message of the gateway; what is answered."""
        parsed = topics.parse(topic)
        if parsed.is_hello:
            hello = control.decode(payload, Hello)
            return [self._ack(hello.epoch, hello.mono_ms)]
        if parsed.lane is None:
            return []
        envelope = open_envelope(payload)
        self._store(envelope)
        return [self._ack(envelope.epoch, None)]

    def _store(self, envelope: Envelope) -> None:
        ledger = self._ledger.setdefault(envelope.epoch, RangeSet())
        self._devices |= {entry.number: entry.key.device for entry in envelope.series}
        for seq, body in zip(sums(envelope.seqs), envelope.bodies, strict=True):
            if seq in ledger:
                self.repeated += 1
                continue
            ledger.add(seq, seq)
            self.records += 1
            self._count(body)

    def _count(self, body: Body) -> None:
        match body:
            case EventBody():
                for series in body.series:
                    self.numbers[self._devices[series]] += 1
            case BlockBody():
                for group in body.groups:
                    for column in group.columns:
                        self.numbers[self._devices[column.series]] += group.count
            case WaveformBody():
                self.samples[self._devices[body.series]] += len(body.samples) // 2
            case GapBody():
                self.gaps[body.device, body.cause] += 1
            case StatusBody():
                self.statuses[body.name] += 1

    def _ack(self, epoch: int, echo: int | None) -> Message:
        ranges = list(self._ledger.get(epoch, RangeSet()))
        upto = 0
        if ranges and ranges[0][0] == 1:
            upto, ranges = ranges[0][1], ranges[1:]
        newest = ranges[-control.MAX_RANGES :]
        now_ms = self._clock.wall_ms()
        ack = Ack(control.VERSION, epoch, upto, newest, [], now_ms, echo, reads=VERSION)
        return Message(topics.down(self._gateway, topics.Down.ACK), control.encode(ack))


class _Link:
    """Implements ``uplink.base.Link``: what is published has arrived."""

    def __init__(self, collector: CountingCollector) -> None:
        self._collector = collector
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue(_MOST_MESSAGES)
        self._reason: str | None = None

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retained: bool = False,
        taken: Callable[[], None] | None = None,
        limit: int = MAX_BYTES,
    ) -> None:
        """Hand a message to the collector. Errors: TransportError."""
        del retained
        if len(payload) > limit:
            raise TransportError(f"a message of {len(payload)} bytes")
        if self._reason is not None:
            raise TransportError(self._reason)
        for answer in self._collector.take(topic, payload):
            self._inbox.put_nowait(answer)
        if taken is not None:
            taken()

    async def receive(self) -> Message:
        """The next message that came down. Errors: TransportError."""
        message = await self._inbox.get() if self._reason is None else None
        if message is None:
            raise TransportError(self._reason or "ended")
        return message

    async def flush(self, timeout_s: float) -> None:
        """Nothing is on its way."""

    def end(self, reason: str) -> None:
        """The link is over."""
        if self._reason is None:
            self._reason = reason
            with contextlib.suppress(asyncio.QueueFull):
                self._inbox.put_nowait(None)
