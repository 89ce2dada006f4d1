"""A link fails as real ones do: closed, silent in one direction or both, or slow."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from support.waiting import wait_until
from wardlight_lab.chaos.proxy import FaultyLink

DEADLINE_S = 120


class Far:
    """A server behind a link that keeps what it gets and says what it is told to."""

    def __init__(self) -> None:
        self.got = b""
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.got += data
        writer.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[FaultyLink, Far]]:
    far = Far()
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, FaultyLink("127.0.0.1", port) as link:
        yield link, far


async def test_a_stall_holds_bytes_back_and_closes_nothing() -> None:
    async with linked() as (link, far):
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"one")
        await wait_until(lambda: far.got == b"one")
        link.stall(up=True, down=False)
        writer.write(b"two")
        far.writers[0].write(b"down goes on")
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.readexactly(12) == b"down goes on"
        assert far.got == b"one"
        link.mend()
        await wait_until(lambda: far.got == b"onetwo")
        link.stall(up=False, down=True)
        far.writers[0].write(b"held")
        writer.write(b"up")
        await wait_until(lambda: far.got == b"onetwoup")
        link.mend()
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.readexactly(4) == b"held"
        writer.close()


async def test_a_cut_ends_connections_even_stalled_ones_and_refuses_new_ones() -> None:
    async with linked() as (link, far):
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"one")
        await wait_until(lambda: far.got == b"one")
        link.stall(up=True, down=True)
        writer.write(b"two")
        link.cut()
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
        writer.close()
        again, second = await asyncio.open_connection("127.0.0.1", link.port)
        async with asyncio.timeout(DEADLINE_S):
            with suppress(ConnectionError):
                assert await again.read() == b""
        second.close()
        link.mend()
        _, last = await asyncio.open_connection("127.0.0.1", link.port)
        last.write(b"three")
        await wait_until(lambda: far.got == b"onethree")
        last.close()


async def test_a_slow_link_takes_its_time() -> None:
    async with linked() as (link, far):
        link.slow(20_000)
        _, writer = await asyncio.open_connection("127.0.0.1", link.port)
        started = time.monotonic()
        writer.write(b"x" * 10_000)
        await wait_until(lambda: len(far.got) == 10_000)
        assert time.monotonic() - started > 0.4
        writer.close()
