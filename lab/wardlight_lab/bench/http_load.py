"""Asks an HTTP/1.1 server as fast as it answers, over a number of connections kept open.

The client does the least that shows an answer to be whole (status, length), because it shares the
cores with the server: libraries would cost more than what is measured.

Errors  Unsound: another status than 200, or a connection closed by the server
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from wardlight_lab.bench.setting import Unsound

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_PATIENCE_S: Final = 60.0


class Loaded(NamedTuple):
    """What a load has found: answers, seconds each took, bytes of bodies."""

    seconds: float
    latencies_s: list[float]
    body_bytes: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_s) / self.seconds


def get(path: str, token: str | None = None) -> bytes:
    """The bytes of a GET request."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/fhir+json\r\n"
    return (head + (f"Authorization: Bearer {token}\r\n" if token else "") + "\r\n").encode()


async def load(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Loaded:
    """Send the requests in turn, over and over, each connection one at a time."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    until = started + seconds
    lanes = [
        _Lane(_from(requests, place * len(requests) // connections), until, loop.create_future())
        for place in range(connections)
    ]
    async with asyncio.timeout(seconds + _PATIENCE_S):
        for lane in lanes:
            await loop.create_connection(lambda lane=lane: lane, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*(lane.done for lane in lanes))
    took_s = time.perf_counter() - started
    latencies = [each for lane in lanes for each in lane.latencies_s]
    return Loaded(took_s, latencies, sum(lane.body_bytes for lane in lanes))


async def fetch(port: int, request: bytes) -> bytes:
    """The body of one answer."""
    lane = _Lane(iter([request]), float("inf"), asyncio.get_running_loop().create_future())
    async with asyncio.timeout(_PATIENCE_S):
        await asyncio.get_running_loop().create_connection(lambda: lane, "127.0.0.1", port)
        await lane.done
    return lane.body


def _from(requests: Sequence[bytes], first: int) -> Iterator[bytes]:
    place = first
    while True:
        yield requests[place % len(requests)]
        place += 1


class _Lane(asyncio.Protocol):
    """One connection: the next request when the answer before it is whole."""

    def __init__(
        self, requests: Iterator[bytes], until: float, done: "asyncio.Future[None]"
    ) -> None:
        self._requests = requests
        self._until = until
        self.done = done
        self.latencies_s: list[float] = []
        self.body_bytes = 0
        self.body = b""
        self._parts: list[bytes] = []
        self._held = 0
        self._need = 0
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._next()

    def data_received(self, data: bytes) -> None:
        """Collect one answer."""
        self._parts.append(data)
        self._held += len(data)
        if not self._need:
            self._read_head()
        if self._need and self._held >= self._need:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server must not hang up while it is asked."""
        if not self.done.done():
            self.done.set_exception(Unsound(f"the server closed a connection ({exc})"))

    def _read_head(self) -> None:
        head, end, _ = b"".join(self._parts).partition(_END_OF_HEAD)
        if not end:
            return
        lines = head.lower().split(b"\r\n")
        status = lines[0].split(b" ")[1]
        lengths = [line[len(_LENGTH) :] for line in lines if line.startswith(_LENGTH)]
        if status != b"200" or not lengths:
            self._fail(f"the server answered {status.decode()}, or without a length")
            return
        self._body_at = len(head) + len(_END_OF_HEAD)
        self._need = self._body_at + int(lengths[0])

    def _answered(self) -> None:
        now = time.perf_counter()
        self.latencies_s.append(now - self._sent)
        self.body_bytes += self._need - self._body_at
        if self._until == float("inf"):
            self.body = b"".join(self._parts)[self._body_at : self._need]
        self._parts, self._held, self._need = [], 0, 0
        if now >= self._until:
            self._end()
        else:
            self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None or self._transport is None:
            self._end()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(Unsound(why))
        if self._transport is not None:
            self._transport.close()
