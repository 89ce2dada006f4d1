"""A gateway as a collector sees it: says hello, sends envelopes, hears acks. Nothing durable."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from support.broker_client import BrokerClient
from wardlight_shared import control, topics
from wardlight_shared.control import Ack, GatewayConfig, GatewayState, Hello, Receipt
from wardlight_shared.records import Lane
from wardlight_shared.topics import Down

_Told = TypeVar("_Told", Ack, GatewayConfig, Receipt)


@dataclass
class SpeakingGateway:
    """One gateway on a connected client."""

    client: BrokerClient
    gateway: str
    epoch: int
    mono_ms: int = 5_000
    sent: list[bytes] = field(default_factory=list)

    def listen(self) -> None:
        """Hear what comes down."""
        assert self.client.subscribe(topics.down_filter(self.gateway))

    def say_online(self) -> None:
        """Publish the retained presence."""
        state = GatewayState(control.VERSION, True, self.epoch, "test 1")
        self.client.publish(topics.state(self.gateway), control.encode(state), retain=True)

    def say_hello(self, lowest: int = 0, highest: int = 0) -> None:
        """Say hello."""
        hello = Hello(
            control.VERSION, self.gateway, self.epoch, lowest, highest, self.mono_ms, "test 1"
        )
        self.client.publish(topics.hello(self.gateway), control.encode(hello))

    def send(self, message: bytes, lane: Lane = Lane.LIVE) -> None:
        """Publish one envelope."""
        self.sent.append(message)
        self.client.publish(topics.up(self.gateway, lane), message)

    def acks(self) -> list[Ack]:
        """Acks of this epoch so far."""
        return [ack for ack in self._told(Down.ACK, Ack) if ack.epoch == self.epoch]

    def configs(self) -> list[GatewayConfig]:
        """Configurations so far."""
        return self._told(Down.CONFIG, GatewayConfig)

    def receipts(self) -> list[Receipt]:
        """Receipts so far."""
        return self._told(Down.RECEIPT, Receipt)

    def settled(self) -> set[int]:
        """Every seq that an ack has settled, up to 10,000."""
        acks = self.acks()
        upto = max((ack.upto for ack in acks), default=0)
        ranges: Sequence[tuple[int, int]] = [range_ for ack in acks for range_ in ack.ranges]
        return set(range(1, min(upto, 10_000) + 1)).union(
            *(range(first, last + 1) for first, last in ranges)
        )

    def rejected(self) -> dict[int, str]:
        """Rejected seqs and their reasons."""
        return {seq: reason for ack in self.acks() for seq, reason in ack.rejected}

    def _told(self, flow: Down, kind: type[_Told]) -> list[_Told]:
        topic = topics.down(self.gateway, flow)
        return [
            control.decode(payload, kind) for heard, payload in self.client.heard if heard == topic
        ]
