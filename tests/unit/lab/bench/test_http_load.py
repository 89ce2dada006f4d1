"""The HTTP client of the bench: whole answers only, kept connections, refusals named."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from wardlight_lab.bench.http_load import fetch, get, load
from wardlight_lab.bench.setting import Unsound

Answer = Callable[[bytes], list[bytes]]
"""The pieces in which a request is answered; an empty one hangs up."""


@asynccontextmanager
async def _server(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                asked.append(request)
                for piece in answer(request):
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def _whole(body: bytes, status: str = "200 OK") -> list[bytes]:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nServer: test\r\n\r\n".encode()
    return [head + body]


def test_a_request_carries_its_token_only_when_there_is_one() -> None:
    assert get("/a?b=c").startswith(b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert b"Authorization" not in get("/")
    assert b"\r\nAuthorization: Bearer wl_x\r\n\r\n" in get("/", "wl_x")


async def test_an_answer_in_pieces_is_one_answer() -> None:
    whole = _whole(b"0123456789")[0]
    pieces = [bytes((octet,)) for octet in whole]
    async with _server(lambda _: pieces) as (port, _asked):
        assert await fetch(port, get("/")) == b"0123456789"


async def test_every_connection_asks_in_turn_and_stays_open() -> None:
    async with _server(lambda _: _whole(b"x" * 50)) as (port, asked):
        requests = [get(f"/{number}") for number in range(4)]
        found = await load(port, requests, connections=2, seconds=0.2)
    assert len(found.latencies_s) == len(asked)
    assert found.body_bytes == 50 * len(asked)
    assert {request.split(b" ")[1] for request in asked} == {b"/0", b"/1", b"/2", b"/3"}
    assert found.rate > 0


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error"])
async def test_another_status_ends_the_load(status: str) -> None:
    async with _server(lambda _: _whole(b"no", status)) as (port, _asked):
        with pytest.raises(Unsound, match=status[:3]):
            await load(port, [get("/")], connections=1, seconds=5.0)


async def test_a_server_that_hangs_up_ends_the_load() -> None:
    async with _server(lambda _: [b""]) as (port, _asked):
        with pytest.raises(Unsound, match="closed"):
            await load(port, [get("/")], connections=1, seconds=5.0)
