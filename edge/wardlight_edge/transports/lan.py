"""A port that devices connect to: bounded in connections, per peer, in time and in memory.

A peer that is too many, not allowed, slow to read or silent is hung up; the others never notice:
every connection is a task of its own, reads at most CHUNK octets at a time and buffers no more.
Nothing on this port is authenticated: the settings keep it on the loopback address or name peers.

Errors  none: a port that cannot be opened is a state, and is tried again
"""

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

from wardlight_edge.backoff import Backoff
from wardlight_edge.config import LanSettings
from wardlight_edge.transports.base import LinkState
from wardlight_edge.transports.links import Link
from wardlight_shared.errors import TransportError

CHUNK: Final = 64 * 1024
FIRST_S: Final = 1.0
LONGEST_S: Final = 30.0
_logger = logging.getLogger(__name__)

Serve = Callable[[Link], Awaitable[None]]
Say = Callable[[LinkState, str | None], None]


class LanLink:
    """One accepted connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, write_timeout_s: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._write_timeout_s = write_timeout_s

    async def read(self, timeout_s: float | None) -> bytes:
        """The next octets, at most CHUNK."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._reader.read(CHUNK)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise TransportError("the connection broke") from error

    async def write(self, octets: bytes) -> None:
        """Send octets; TransportError when the peer does not read them in time."""
        try:
            async with asyncio.timeout(self._write_timeout_s):
                self._writer.write(octets)
                await self._writer.drain()
        except TimeoutError as error:
            raise TransportError("the peer does not read its answers") from error
        except OSError as error:
            raise TransportError("the connection broke") from error


class LanListener:
    """Opens a port and gives each connection to ``serve``.

    port_file  where the port is written once it is open
    say        told of the port's state: ABSENT, WAITING (open, nobody there), CONNECTED
    """

    def __init__(
        self, name: str, settings: LanSettings, port_file: Path, serve: Serve, say: Say
    ) -> None:
        self._name = name
        self._settings = settings
        self._port_file = port_file
        self._serve = serve
        self._say = say
        self._allowed = [ip_network(peer) for peer in settings.peers]
        self._peers: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen until cancelled; connections are ended then."""
        backoff = Backoff(FIRST_S, LONGEST_S)
        while True:
            try:
                server = await asyncio.start_server(
                    self._connected, self._settings.host, self._settings.port, limit=CHUNK
                )
            except OSError as error:
                place = f"{self._settings.host}:{self._settings.port}"
                reason = f"{place} cannot be opened: {error.strerror or type(error).__name__}"
                self._say(LinkState.ABSENT, reason)
                await asyncio.sleep(backoff.failed())
            else:
                await self._listen(server)

    async def _listen(self, server: asyncio.Server) -> None:
        try:
            port = server.sockets[0].getsockname()[1]
            self._port_file.write_text(f"{port}\n", encoding="ascii")
            _logger.info("lan port open", extra={"lan": self._name, "port": port})
            self._say(LinkState.WAITING, None)
            await asyncio.Event().wait()
        finally:
            server.close()
            self._port_file.unlink(missing_ok=True)
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _address(writer)
        reason = self._refusal(peer)
        if reason is not None:
            _logger.warning("connection refused", extra={"lan": self._name, "reason": reason})
            writer.transport.abort()
            return
        task = asyncio.current_task()
        if task is not None:
            task.set_name(f"{self._name} connection")
            self._tasks.add(task)
        self._peers[peer] += 1
        self._say(LinkState.CONNECTED, None)
        try:
            await self._serve_one(reader, writer)
        finally:
            self._peers[peer] -= 1
            self._peers += Counter()  # forget the peers that are gone
            if task is not None:
                self._tasks.discard(task)
            if not self._peers:
                self._say(LinkState.WAITING, None)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=CHUNK)
        _keep_alive(writer)
        try:
            await self._serve(LanLink(reader, writer, self._settings.write_timeout_s))
        except TransportError as error:
            _logger.info("connection ended", extra={"lan": self._name, "reason": str(error)})
        finally:
            if writer.transport.get_write_buffer_size():  # what it did not read in time
                writer.transport.abort()
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._settings.write_timeout_s):
                    await writer.wait_closed()

    def _refusal(self, peer: str) -> str | None:
        if self._allowed and not any(_is_in(peer, network) for network in self._allowed):
            return "the peer is not in the settings' peers"
        if self._peers[peer] >= self._settings.max_per_peer:
            return "too many connections of one peer"
        if self._peers.total() >= self._settings.max_connections:
            return "too many connections"
        return None


def _address(writer: asyncio.StreamWriter) -> str:
    found = writer.get_extra_info("peername")
    return str(found[0]) if found else ""


def _is_in(peer: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(peer) in network
    except ValueError:
        return False


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """A peer that vanished without a word is found by the system within minutes."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
