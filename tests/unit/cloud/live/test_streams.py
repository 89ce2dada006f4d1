"""An event stream and a client that takes nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from wardlight_cloud.live import event_stream
from wardlight_cloud.live.event_stream import EventStream


class Client:
    """Takes the head of the answer and some bodies, then nothing more."""

    def __init__(self, bodies: int) -> None:
        self._bodies = bodies
        self.taken: list[Message] = []
        self.is_stuck = asyncio.Event()

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and len(self.taken) > self._bodies:
            self.is_stuck.set()
            await asyncio.Event().wait()
        self.taken.append(message)


class Feed:
    """Endless events; knows when nobody holds it any more."""

    def __init__(self) -> None:
        self.is_closed = False

    async def events(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: {}\n\n"
                await asyncio.sleep(0)
        finally:
            self.is_closed = True


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_a_client_that_takes_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(event_stream, "TAKE_S", 0.05)
    client, feed = Client(3), Feed()
    events = feed.events()
    scope = {"type": "http", "asgi": {"spec_version": version}}
    async with asyncio.timeout(180):
        await EventStream(events)(scope, client.receive, client.send)
    assert len(client.taken) == 4
    await events.aclose()  # type: ignore[attr-defined]
    assert feed.is_closed


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_a_server_that_stops_waits_for_no_client(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(event_stream, "END_S", 0.05)
    client, feed = Client(3), Feed()
    scope = {"type": "http", "asgi": {"spec_version": version}}
    stream = EventStream(feed.events())
    task = asyncio.create_task(stream(scope, client.receive, client.send), name="stream")
    async with asyncio.timeout(180):
        await client.is_stuck.wait()
        task.cancel()
        await task
