"""A TCP relay with faults: the link between two processes.

cut    drops every connection in both directions at once (RST, as a dead link shows it sooner or
       later) and refuses new ones
stall  bytes stop in one direction or both; nothing is closed, as on a link that loses every packet
slow   bytes crawl, in both directions
``mend`` ends each of them; what a stall held back then arrives. TLS passes through untouched.
"""

import asyncio
from typing import Final

from wardlight_lab.relay import Relay

_CHUNK: Final = 64 * 1024
_SLOW_CHUNK: Final = 512


class Valve:
    """One direction of a link."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.bytes_a_second: float | None = None

    def stall(self) -> None:
        """Let nothing through."""
        self._open.clear()

    def mend(self) -> None:
        """Let everything through, at once."""
        self.bytes_a_second = None
        self._open.set()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay until the end of the input; OSError when the output has gone."""
        while data := await reader.read(_CHUNK if self.bytes_a_second is None else _SLOW_CHUNK):
            if self.bytes_a_second is not None:
                await asyncio.sleep(len(data) / self.bytes_a_second)
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.close()


class FaultyLink(Relay):
    """``async with FaultyLink(host, port) as link: link.port; link.cut(); link.mend()``."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._is_cut = False
        self._valve_up, self._valve_down = Valve(), Valve()

    def cut(self) -> None:
        """Cut the link."""
        self._is_cut = True
        self._drop()

    def stall(self, *, up: bool, down: bool) -> None:
        """Stop the bytes towards the far side (up), from it (down), or both."""
        if up:
            self._valve_up.stall()
        if down:
            self._valve_down.stall()

    def slow(self, bytes_a_second: float) -> None:
        """Let bytes through at this rate."""
        self._valve_up.bytes_a_second = self._valve_down.bytes_a_second = bytes_a_second

    def mend(self) -> None:
        """Let everything through again."""
        self._is_cut = False
        self._valve_up.mend()
        self._valve_down.mend()

    def _is_refusing(self) -> bool:
        return self._is_cut

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._valve_up.pump(reader, writer)

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._valve_down.pump(reader, writer)
