"""A receiver that keeps what a transport brings."""

import asyncio
from typing import TypeVar

from wardlight_edge.transports.base import Arrival, LinkChange, LinkState, Octets

_A = TypeVar("_A")


class KeepingReceiver:
    """Implements ``transports.base.Receiver``.

    refuses  set it to make the transport leave its device alone
    asked    how often a transport wanted to know whether it may go on
    """

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.refuses = False
        self.asked = 0

    @property
    def is_refusing(self) -> bool:
        self.asked += 1
        return self.refuses

    @property
    def has_room(self) -> bool:
        return True

    def offer(self, arrival: Arrival) -> bool:
        self.arrivals.append(arrival)
        return True

    async def deliver(self, arrival: Arrival) -> None:
        await asyncio.sleep(0)
        self.offer(arrival)

    async def wait_until_accepting(self) -> None:
        while self.is_refusing:  # noqa: ASYNC110 - set by the test, not by an event
            await asyncio.sleep(0.01)

    # -- what tests look at

    def of(self, kind: type[_A]) -> list[_A]:
        """The arrivals of one kind."""
        return [arrival for arrival in self.arrivals if isinstance(arrival, kind)]

    def values(self, channel: str | None = None) -> list[bytes]:
        """Octets the device sent by itself."""
        return [
            each.octets
            for each in self.of(Octets)
            if not each.is_read and channel in {None, each.channel}
        ]

    def reads(self) -> list[str]:
        """Channels the transport read, in order."""
        return [each.channel for each in self.of(Octets) if each.is_read]

    def states(self) -> list[LinkState]:
        """What the transport said of the link, in order."""
        return [each.state for each in self.of(LinkChange)]

    def last(self) -> LinkChange:
        """The newest link change."""
        changes = self.of(LinkChange)
        return changes[-1] if changes else LinkChange(LinkState.WAITING, 0)
