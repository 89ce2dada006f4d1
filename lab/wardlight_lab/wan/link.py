"""A narrow link: a TCP relay with a rate, a delay and a small buffer, which can be cut.

Each direction has its own rate for all connections together, as a line has; links to several
servers may be one line. What is sent waits in the sender once the buffer of the link is full:
32 KiB, as a modem's.
"""

import asyncio
import socket
from typing import Final

from wardlight_lab.relay import Relay

_PIECE: Final = 1460
_BUFFER: Final = 32 * 1024


class Direction:
    """One direction of the line: pieces leave one after the other, at its rate."""

    def __init__(self, bytes_a_second: float, delay_s: float) -> None:
        self._bytes_a_second = bytes_a_second
        self._delay_s = delay_s
        self._free_at_s = 0.0
        self.octets = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay until the end of the input."""
        on_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_BUFFER // _PIECE)
        async with asyncio.TaskGroup() as group:
            arriving = group.create_task(self._deliver(on_way, writer), name="pieces arrive")
            while piece := await reader.read(_PIECE):
                await on_way.put((await self._sent(len(piece)) + self._delay_s, piece))
            arriving.cancel()
        writer.transport.close()

    async def _sent(self, size: int) -> float:
        """Wait for the line and for a piece's time on it; when it has left."""
        now_s = asyncio.get_running_loop().time()
        self._free_at_s = max(self._free_at_s, now_s) + size / self._bytes_a_second
        self.octets += size
        await asyncio.sleep(self._free_at_s - now_s)
        return self._free_at_s

    async def _deliver(
        self, on_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at_s, piece = await on_way.get()
            await asyncio.sleep(at_s - loop.time())
            writer.write(piece)
            await writer.drain()


class NarrowLink(Relay):
    """``async with NarrowLink("127.0.0.1", port, ...) as link: link.port; link.cut()``."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        bytes_a_second: float,
        delay_s: float,
        beside: "NarrowLink | None" = None,
    ) -> None:
        """``beside``: another link that is the same line."""
        super().__init__(host, port, limit=_BUFFER // 2)
        up, down = (Direction(bytes_a_second, delay_s) for _ in range(2))
        self.up: Direction = up if beside is None else beside.up
        self.down: Direction = down if beside is None else beside.down
        self._same_line: list[NarrowLink] = []
        if beside is not None:
            beside._same_line.append(self)
        self.cuts = 0

    def cut(self) -> None:
        """Cut the line; the next connection goes through again."""
        self.cuts += 1
        for link in (self, *self._same_line):
            link._drop()

    async def cut_every(self, pause_s: float, times: int) -> None:
        """Cut so many times, or until cancelled."""
        for _ in range(times):
            await asyncio.sleep(pause_s)
            self.cut()

    def _listening(self) -> socket.socket:
        made = super()._listening()
        # The kernel's own megabytes would be no narrow link.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER // 2)
        return made

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.up.carry(reader, writer)

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.down.carry(reader, writer)
