"""Blobs over HTTPS: the same messages, one POST each; the answer's body is the BlobState.

For sites that let images out by HTTPS only. Two threads with a kept-alive connection each; a chunk
travels with its offer, so that any process of the cloud can answer. The gateway proves itself by a
signature with the key of its certificate.

Errors  TransportError: no connection, or no answer of ours; make a new channel. ConfigError: files
Source  docs/wire-format.md, Blobs over HTTPS
"""

import asyncio
import contextlib
import http.client
import queue
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.uplink.signing import Signer
from wardlight_shared import blobs
from wardlight_shared.blobs import BlobState
from wardlight_shared.errors import ConfigError, EnvelopeError, TransportError

_PATH: Final = "/api/v1/blobs"
_ANSWER_S: Final = 60.0
_LARGEST_ANSWER: Final = 64 * 1024
_QUEUE: Final = 64
_Task = tuple[bytes, Callable[[], None]]


class HttpsChannel:
    """An async context manager; ``answered`` is called in its loop with each answer."""

    parts = 2

    def __init__(
        self, settings: UplinkSettings, clock: Clock, answered: Callable[[BlobState], None]
    ) -> None:
        address = urlsplit(settings.images_url or "")
        self._host, self._port = address.hostname or "", address.port or 443
        self._path = address.path.rstrip("/") + _PATH
        self._settings = settings
        self._clock = clock
        self._answered = answered
        self._loop = asyncio.get_running_loop()
        self._tasks: queue.Queue[_Task | None] = queue.Queue(_QUEUE)
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._skew_ms = 0
        self.was_answered = False
        """Whether the cloud has answered on this channel."""

    async def __aenter__(self) -> Self:
        self._context = await asyncio.to_thread(_context, self._settings)
        self._signer = await asyncio.to_thread(Signer.load, self._settings)
        for number in range(self.parts):
            threading.Thread(target=self._work, name=f"images {number}", daemon=True).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(self._ended, "closed")
        with contextlib.suppress(queue.Empty):
            while True:
                self._tasks.get_nowait()
        for _ in range(self.parts):
            self._tasks.put_nowait(None)

    def send(self, message: bytes, offer: bytes | None, taken: Callable[[], None]) -> None:
        """Hand a message to the threads; TransportError once the channel has ended."""
        if self._ended.done():
            raise TransportError(self._ended.result())
        body = blobs.together([message] if offer is None else [offer, message])
        try:
            self._tasks.put_nowait((body, taken))
        except queue.Full:
            raise TransportError("too many requests wait") from None

    # -- in the threads

    def _work(self) -> None:
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=_ANSWER_S, context=self._context
        )
        try:
            while (task := self._tasks.get()) is not None:
                body, taken = task
                state = blobs.decode_state(self._asked(connection, body))
                self._to_loop(self._heard, state, taken)
        except (OSError, http.client.HTTPException, EnvelopeError, TransportError) as error:
            self._to_loop(_end, self._ended, str(error) or type(error).__name__)
        finally:
            connection.close()

    def _asked(self, connection: http.client.HTTPSConnection, body: bytes) -> bytes:
        status, answer, server_ms = self._posted(connection, body)
        if status == http.client.UNAUTHORIZED and server_ms is not None:
            # A clock that is wrong is no reason to keep images: the server has said the time.
            self._skew_ms = server_ms - self._clock.wall_ms()
            status, answer, _ = self._posted(connection, body)
        if status != http.client.OK:
            reason = answer[:200].decode("utf-8", "replace")
            raise TransportError(f"the cloud answers {status}: {reason}")
        return answer

    def _posted(
        self, connection: http.client.HTTPSConnection, body: bytes
    ) -> tuple[int, bytes, int | None]:
        proof = self._signer.header(self._clock.wall_ms() + self._skew_ms, _PATH, body)
        headers = {"Authorization": proof, "Content-Type": "application/vnd.msgpack"}
        try:
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A kept connection that the other side has closed meanwhile: once anew.
            connection.close()
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
        answer = response.read(_LARGEST_ANSWER + 1)
        if len(answer) > _LARGEST_ANSWER:
            raise TransportError("an answer that is no BlobState")
        told = response.headers.get("Wardlight-Time", "")
        return response.status, answer, int(told) if told.isdigit() else None

    def _to_loop(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)

    # -- back in the loop

    def _heard(self, state: BlobState, taken: Callable[[], None]) -> None:
        self.was_answered = True
        taken()
        self._answered(state)

    async def ended(self) -> None:
        """Wait for the end of the channel, and raise it as TransportError."""
        raise TransportError(await asyncio.shield(self._ended))


def _end(future: "asyncio.Future[str]", reason: str) -> None:
    if not future.done():
        future.set_result(reason)


def _context(settings: UplinkSettings) -> ssl.SSLContext:
    file = settings.images_ca_file or settings.ca_file
    try:
        context = ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"uplink.images_ca_file: {file} holds no certificate ({error}); "
            "put the authority's certificate there"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
