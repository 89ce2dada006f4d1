"""A narrow link: a TCP relay with a rate, a delay and a small buffer, which can be cut.

Each direction has its own rate for all connections together, as a line has; links to several
servers may be one line. What is sent waits in the sender once the buffer of the link is full:
32 KiB, as a modem's.
"""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Final, Self

_PIECE: Final = 1460
_BUFFER: Final = 32 * 1024
_LINGER_RESET: Final = struct.pack("ii", 1, 0)


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


class NarrowLink:
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
        self._target = (host, port)
        up, down = (Direction(bytes_a_second, delay_s) for _ in range(2))
        self.up: Direction = up if beside is None else beside.up
        self.down: Direction = down if beside is None else beside.down
        self._same_line: list[NarrowLink] = []
        if beside is not None:
            beside._same_line.append(self)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.cuts = 0

    async def __aenter__(self) -> Self:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Inherited by what is accepted: the kernel's own megabytes would be no narrow link.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER // 2)
        listening.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._serve, sock=listening, limit=_BUFFER // 2)
        self.port = int(listening.getsockname()[1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        self._drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

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

    def _drop(self) -> None:
        for writer in self._writers:
            raw: socket.socket | None = writer.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the other side is down, or the link was cut: a dropped connection
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.up.carry(reader, far_writer), name="link up")
                group.create_task(self.down.carry(far_reader, writer), name="link down")
        except* OSError:
            pass
        finally:
            self._writers.discard(far_writer)
            far_writer.transport.abort()
