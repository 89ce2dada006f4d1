"""A TCP relay with faults: the link between two processes.

cut    drops every connection in both directions at once (RST, as a dead link shows it sooner or
       later) and refuses new ones
stall  bytes stop in one direction or both; nothing is closed, as on a link that loses every packet
slow   bytes crawl, in both directions
``mend`` ends each of them; what a stall held back then arrives. TLS passes through untouched.
"""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 64 * 1024
_SLOW_CHUNK: Final = 512
_LINGER_RESET: Final = struct.pack("ii", 1, 0)


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


class FaultyLink:
    """``async with FaultyLink(host, port) as link: link.port; link.cut(); link.mend()``."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._up, self._down = Valve(), Valve()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
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
        """Cut the link."""
        self._is_cut = True
        self._drop()

    def stall(self, *, up: bool, down: bool) -> None:
        """Stop the bytes towards the far side (up), from it (down), or both."""
        if up:
            self._up.stall()
        if down:
            self._down.stall()

    def slow(self, bytes_a_second: float) -> None:
        """Let bytes through at this rate."""
        self._up.bytes_a_second = self._down.bytes_a_second = bytes_a_second

    def mend(self) -> None:
        """Let everything through again."""
        self._is_cut = False
        self._up.mend()
        self._down.mend()

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
        self._writers.add(writer)
        try:
            if not self._is_cut:
                await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the other side is down, or the link was cut: a dropped connection
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._up.pump(reader, far_writer), name="link up")
                group.create_task(self._down.pump(far_reader, writer), name="link down")
        except* OSError:
            pass
        finally:
            self._writers.discard(far_writer)
            far_writer.transport.abort()
