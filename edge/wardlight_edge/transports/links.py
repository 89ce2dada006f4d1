"""A link that is answered: octets in, octets out, each with a time limit."""

from typing import Protocol


class Link(Protocol):
    """One connection or line. TransportError: it is over, or its peer takes nothing."""

    async def read(self, timeout_s: float | None) -> bytes:
        """The next octets; b"" = the peer has ended the link. TimeoutError: none came."""

    async def write(self, octets: bytes) -> None:
        """Hand octets to the system; returns when the peer takes them."""
