"""The status page's HTTP server on the loopback interface: GET /, GET /status.json, POST /devices/.

Everybody on this machine may read. Who asks for a change shows the token that lies beside the
outbox, where only the gateway's own account and root can read it; it is made anew at each start.
What is said in the body of a request is never logged: it may be the digits of a pairing.
A web framework would cost a gateway more memory than the rest of the page; this reads at most 8 KiB
of a head and of a body, and closes every connection after the answer.
"""

import asyncio
import contextlib
import hmac
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from wardlight_edge.config import StatusSettings
from wardlight_edge.health import Snapshot
from wardlight_edge.status import views
from wardlight_shared.errors import ConfigError, StorageError, TransportError

Command = Callable[[bytes], Awaitable[bytes]]
_log = logging.getLogger(__name__)
_REQUEST_TIMEOUT_S: Final = 5.0
_COMMAND_TIMEOUT_S: Final = 60.0  # a removed device ends its link and its session first
_DEVICES: Final = "/devices/"
_MAX_REQUEST: Final = 8 * 1024
# The page shows no other origin's content; nothing may frame it or run scripts in it.
_HEADERS: Final = (
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
    "X-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
)
_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


class StatusServer:
    """``async with StatusServer(settings, folder, snapshot, commands) as server: server.port``.

    folder    where status.port and status.token are written while the page is served
    commands  what an operator may ask, by name: JSON in, JSON out; ConfigError: that cannot be,
              StorageError, TransportError: not now
    """

    def __init__(
        self,
        settings: StatusSettings,
        folder: Path,
        snapshot: Callable[[], Snapshot],
        commands: Mapping[str, Command],
    ) -> None:
        self._settings = settings
        self._port_file = folder / "status.port"
        self._token_file = folder / "status.token"
        self._token = secrets.token_urlsafe(32)
        self._snapshot = snapshot
        self._commands = commands
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
        _write_whole(self._token_file, self._token, mode=0o600)
        _write_whole(self._port_file, str(self.port), mode=0o644)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):  # since 3.12 it waits for running requests
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    await self._server.wait_closed()
        self._port_file.unlink(missing_ok=True)
        self._token_file.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                line, *lines = head.decode("latin-1").split("\r\n")
                headers = _headers(lines)
                body = await reader.readexactly(_length(headers))
            answer = await self._answer(line, headers, body)
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                writer.write(answer)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, line: str, headers: dict[str, str], body: bytes) -> bytes:
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if not _is_local(headers.get("host")):
            # A page on the internet must not read this one through a rebound name.
            return _response("421 Misdirected Request", "text/plain", b"use 127.0.0.1\n")
        if method == "POST" and path.startswith(_DEVICES):
            return await self._answer_command(path.removeprefix(_DEVICES), headers, body)
        if method != "GET":
            return _response("405 Method Not Allowed", "text/plain", b"only GET\n")
        match path:
            case "/":
                page = views.page(self._snapshot()).encode()
                return _response("200 OK", "text/html; charset=utf-8", page)
            case "/status.json":
                document = msgspec.json.encode(self._snapshot())
                return _response("200 OK", "application/json", document)
            case _:
                return _response("404 Not Found", "text/plain", b"only / and /status.json\n")

    async def _answer_command(self, name: str, headers: dict[str, str], body: bytes) -> bytes:
        shown = headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
            return _response("403 Forbidden", "text/plain", b"the token is not the gateway's\n")
        command = self._commands.get(name)
        if command is None:
            return _response("404 Not Found", "text/plain", b"no such command\n")
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT_S):
                answer = await command(body)
        except ConfigError as error:
            return _response("409 Conflict", "text/plain", f"{error}\n".encode())
        except (StorageError, TransportError, TimeoutError) as error:
            text = str(error) or "no answer in time"
            return _response("503 Service Unavailable", "text/plain", f"{text}\n".encode())
        return _response("200 OK", "application/json", answer)


def _headers(lines: list[str]) -> dict[str, str]:
    """Names in small letters; of a name that comes twice the last counts."""
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _length(headers: dict[str, str]) -> int:
    """Octets of the body; what is no number or too long is no body."""
    text = headers.get("content-length", "0")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return length if length <= _MAX_REQUEST else 0


def _is_local(host: str | None) -> bool:
    if host is None:
        return True
    return (host if host.endswith("]") else host.rpartition(":")[0] or host) in _LOCAL_NAMES


def _write_whole(file: Path, text: str, mode: int) -> None:
    """In one step: readers poll for it."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{text}\n")
    fresh.replace(file)


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{_HEADERS}\r\n".encode() + body
