"""What the uplink knows of a broker connection; a test link keeps the same rules.

Errors  TransportError: the connection is gone or the broker refused; make a new link
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from wardlight_shared.envelope import MAX_BYTES


class Message(msgspec.Struct, frozen=True):
    """What came down."""

    topic: str
    payload: bytes


class Link(Protocol):
    """One connection, from CONNACK to its end. QoS 1 in both directions, clean session."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retained: bool = False,
        taken: Callable[[], None] | None = None,
        limit: int = MAX_BYTES,
    ) -> None:
        """Hand a message to the connection; never blocks. A PUBACK proves nothing to us.

        ``taken`` is called with the PUBACK: it tells how long the way to the broker is.
        TransportError for more than ``limit`` bytes.
        """

    async def receive(self) -> Message:
        """The next message that came down."""

    async def flush(self, timeout_s: float) -> None:
        """Wait, but not longer, until the broker has taken what was published."""


LinkFactory = Callable[[], AbstractAsyncContextManager[Link]]
"""Makes a connected link that is subscribed to the gateway's ``down`` topics."""


class ImagesOnLink(Protocol):
    """What a conversation knows of images; their part is imported only where there are any."""

    async def on_link(self, link: Link) -> None:
        """Deliver on one connection, until cancelled or TransportError from it."""

    async def hear(self, message: Message) -> bool:
        """Take what came down; False when it is not about images. EnvelopeError: unreadable."""

    def ask_anew(self) -> None:
        """A collector took over the shard: what it has is asked for."""
