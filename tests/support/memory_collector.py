"""A collector in memory behind a MemoryBroker: a ledger per epoch, acks as the wire format says."""

import random

from support.memory_broker import MemoryBroker
from wardlight_edge.outbox.ranges import RangeSet
from wardlight_shared import control, topics
from wardlight_shared.control import Ack, Hello
from wardlight_shared.envelope import Envelope, open_envelope, sums

SERVER_TIME_MS = 1_780_000_000_000


class MemoryCollector:
    """``refuses``: envelope numbers (as they come) that are neither stored nor acked."""

    def __init__(self, broker: MemoryBroker, gateway: str, *, seed: int = 1) -> None:
        self._broker = broker
        self._gateway = gateway
        self._random = random.Random(seed)
        self.ledger: dict[int, RangeSet] = {}
        self.envelopes: list[tuple[str, Envelope]] = []
        self.hellos: list[Hello] = []
        self.rejects: dict[int, str] = {}
        self.is_alive = True
        self.reads = 2  # newest envelope version
        self.fails = 0.0  # share of the envelopes whose transaction fails
        broker.on_up = self._take

    def stored(self, epoch: int) -> set[int]:
        return {
            seq
            for first, last in self.ledger.get(epoch, RangeSet())
            for seq in range(first, last + 1)
        }

    def takes_over(self, epoch: int) -> None:
        """Another collector takes the shard: it asks for a hello."""
        self._ack(epoch, hello_wanted=True)

    def _take(self, topic: str, payload: bytes) -> None:
        if not self.is_alive:
            return
        parsed = topics.parse(topic)
        if parsed.is_hello:
            hello = control.decode(payload, Hello)
            self.hellos.append(hello)
            self._ack(hello.epoch, echo=hello.mono_ms)
        elif parsed.lane is not None and self._random.random() >= self.fails:
            envelope = open_envelope(payload)
            self.envelopes.append((parsed.lane.name, envelope))
            self._store(envelope)

    def _store(self, envelope: Envelope) -> None:
        ledger = self.ledger.setdefault(envelope.epoch, RangeSet())
        for seq in sums(envelope.seqs):
            ledger.add(seq, seq)
        self._ack(envelope.epoch)

    def _ack(self, epoch: int, echo: int | None = None, *, hello_wanted: bool = False) -> None:
        ranges = list(self.ledger.get(epoch, RangeSet()))
        upto = 0
        if ranges and ranges[0][0] == 1:
            upto, ranges = ranges[0][1], ranges[1:]
        named = set(self.rejects) & self.stored(epoch)
        rejected = [(seq, self.rejects[seq]) for seq in sorted(named)]
        # All of them, in several acks: a gateway that is told the first ones only sends the others
        # for ever.
        for first in range(0, max(len(ranges), 1), control.MAX_RANGES):
            part = ranges[first : first + control.MAX_RANGES]
            ack = Ack(
                control.VERSION,
                epoch,
                upto,
                part,
                rejected,
                SERVER_TIME_MS,
                echo,
                hello_wanted,
                self.reads,
            )
            topic = topics.down(self._gateway, topics.Down.ACK)
            self._broker.send_down(topic, control.encode(ack))
