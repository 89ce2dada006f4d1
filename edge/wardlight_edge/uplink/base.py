"""What the uplink knows of a broker connection; a test link keeps the same rules.

Errors  TransportError: the connection is gone or the broker refused; make a new link
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True):
    """What came down."""

    topic: str
    payload: bytes


class Link(Protocol):
    """One connection, from CONNACK to its end. QoS 1 in both directions, clean session."""

    def publish(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Hand a message to the connection; never blocks. A PUBACK proves nothing to us."""

    async def receive(self) -> Message:
        """The next message that came down."""

    async def flush(self, timeout_s: float) -> None:
        """Wait, but not longer, until the broker has taken what was published."""


LinkFactory = Callable[[], AbstractAsyncContextManager[Link]]
"""Makes a connected link that is subscribed to the gateway's ``down`` topics."""
