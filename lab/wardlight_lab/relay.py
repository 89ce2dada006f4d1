"""A TCP relay on the loopback: what links with faults and narrow links have in common.

Connections that are dropped end with a reset (RST), as a dead link shows it sooner or later.
"""

import asyncio
import contextlib
import socket
import struct
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Final, Self

_LINGER_RESET: Final = struct.pack("ii", 1, 0)


class Relay(ABC):
    """Relays each connection to ``port`` on to its target; as a context it listens.

    ``limit`` bounds what is read ahead of a connection, in bytes.
    """

    def __init__(self, host: str, port: int, *, limit: int = 64 * 1024) -> None:
        self._target = (host, port)
        self._limit = limit
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @abstractmethod
    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Towards the target, until the end of the input; OSError when the output has gone."""

    @abstractmethod
    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The other way."""

    def _is_refusing(self) -> bool:
        """Whether new connections are closed at once."""
        return False

    def _listening(self) -> socket.socket:
        """A socket, not bound yet; what is accepted inherits its options."""
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    async def __aenter__(self) -> Self:
        listening = self._listening()
        listening.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._serve, sock=listening, limit=self._limit)
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

    def _drop(self) -> None:
        """Reset every connection."""
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
            if not self._is_refusing():
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
                group.create_task(self._up(reader, far_writer), name="link up")
                group.create_task(self._down(far_reader, writer), name="link down")
        except* OSError:
            pass
        finally:
            self._writers.discard(far_writer)
            far_writer.transport.abort()
