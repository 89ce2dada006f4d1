"""The status page's HTTP server: GET / and GET /status.json on the loopback interface only.

A web framework would cost a gateway more memory than the rest of the page; this serves two fixed
resources, reads at most 8 KiB of a request and closes every connection after the answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from wardlight_edge.config import StatusSettings
from wardlight_edge.health import Snapshot
from wardlight_edge.status import views
from wardlight_shared.errors import TransportError

_log = logging.getLogger(__name__)
_REQUEST_TIMEOUT_S: Final = 5.0
_MAX_REQUEST: Final = 8 * 1024
# The page shows no other origin's content; nothing may frame it or run scripts in it.
_HEADERS: Final = (
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
    "X-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
)
_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


class StatusServer:
    """``async with StatusServer(settings, port_file, snapshot) as server: server.port``."""

    def __init__(
        self, settings: StatusSettings, port_file: Path, snapshot: Callable[[], Snapshot]
    ) -> None:
        self._settings = settings
        self._port_file = port_file
        self._snapshot = snapshot
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        host, port = self._settings.host, self._settings.port
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_REQUEST)
        except OSError as error:
            raise TransportError(
                f"status page: {host} port {port} is not free ({error.strerror}); "
                "set [status] port, 0 takes a free one"
            ) from error
        self.port = int(self._server.sockets[0].getsockname()[1])
        fresh = self._port_file.with_suffix(".new")
        fresh.write_text(f"{self.port}\n", encoding="ascii")
        fresh.replace(self._port_file)  # in one step: readers poll for it
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._port_file.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(request))
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _answer(self, request: bytes) -> bytes:
        line, *headers = request.decode("latin-1").split("\r\n")
        method, _, rest = line.partition(" ")
        if not _host_is_local(headers):
            # A page on the internet must not read this one through a rebound name.
            return _response("421 Misdirected Request", "text/plain", b"use 127.0.0.1\n")
        if method != "GET":
            return _response("405 Method Not Allowed", "text/plain", b"only GET\n")
        match rest.partition(" ")[0].partition("?")[0]:
            case "/":
                body = views.page(self._snapshot()).encode()
                return _response("200 OK", "text/html; charset=utf-8", body)
            case "/status.json":
                body = msgspec.json.encode(self._snapshot())
                return _response("200 OK", "application/json", body)
            case _:
                return _response("404 Not Found", "text/plain", b"only / and /status.json\n")


def _host_is_local(headers: list[str]) -> bool:
    for header in headers:
        name, _, value = header.partition(":")
        if name.lower() == "host":
            host = value.strip()
            return (host if host.endswith("]") else host.rpartition(":")[0] or host) in _LOCAL_NAMES
    return True


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{_HEADERS}\r\n".encode() + body
