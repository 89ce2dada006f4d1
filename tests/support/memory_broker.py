"""A broker in memory with links to it: the same rules as a real one (tests/contract/test_link.py).

It loses, repeats and cuts on request, from a seeded source, which no real broker can be asked to.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

from wardlight_edge.uplink.base import LinkFactory, Message
from wardlight_shared import topics
from wardlight_shared.envelope import MAX_BYTES
from wardlight_shared.errors import TransportError

_INBOX_MAX = 256


class MemoryBroker:
    """``loss`` and ``repeat``: shares of the messages, up and down, that vanish or come twice."""

    def __init__(self, *, loss: float = 0.0, repeat: float = 0.0, seed: int = 1) -> None:
        self.loss = loss
        self.repeat = repeat
        self.random = random.Random(seed)
        self.heard: list[tuple[str, bytes]] = []
        self.on_up: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.connections = 0
        self._is_down = False
        self._links: list[MemoryLink] = []

    def links(self, gateway: str, will: bytes) -> LinkFactory:
        """Links of one gateway."""

        @contextlib.asynccontextmanager
        async def connect() -> AsyncIterator[MemoryLink]:
            if self._is_down:
                raise TransportError("the broker in memory is down")
            self.connections += 1
            link = MemoryLink(self, gateway, will)
            self._links.append(link)
            try:
                yield link
            finally:
                link.end("closed")
                self._links.remove(link)

        return connect

    def send_down(self, topic: str, payload: bytes) -> None:
        """Publish to whoever is subscribed."""
        for link in self._links:
            for _ in range(self.copies()):
                link.deliver(topic, payload)

    def stop(self) -> None:
        """All connections break; new ones are refused."""
        self._is_down = True
        for link in self._links:
            self.take(topics.state(link.gateway), link.will)
            link.end("the broker in memory went down")

    def start(self) -> None:
        """Accept connections again."""
        self._is_down = False

    def take(self, topic: str, payload: bytes) -> None:
        """A message that arrived from a link."""
        self.heard.append((topic, payload))
        self.on_up(topic, payload)

    def copies(self) -> int:
        """How often the next message arrives."""
        if self.random.random() < self.loss:
            return 0
        return 2 if self.random.random() < self.repeat else 1


class MemoryLink:
    """One connection; implements ``uplink.base.Link``."""

    def __init__(self, broker: MemoryBroker, gateway: str, will: bytes) -> None:
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(_INBOX_MAX)
        self._ended = asyncio.Event()
        self._reason = ""
        self._on_way = 0
        self._all_arrived = asyncio.Event()
        self._all_arrived.set()
        self.gateway = gateway
        self.will = will

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retained: bool = False,
        taken: Callable[[], None] | None = None,
        limit: int = MAX_BYTES,
    ) -> None:
        if len(payload) > limit:
            raise TransportError(f"message of {len(payload)} bytes, at most {limit}")
        if self._ended.is_set():
            raise TransportError(self._reason)
        self._on_way += 1
        self._all_arrived.clear()
        self._loop.call_soon(self._arrive, topic, payload, taken)

    async def receive(self) -> Message:
        getting = asyncio.ensure_future(self._inbox.get())
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({getting, ending}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
        finally:
            getting.cancel()
            ending.cancel()
        raise TransportError(self._reason)

    async def flush(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_arrived.wait(), timeout_s)

    def deliver(self, topic: str, payload: bytes) -> None:
        if self._inbox.full():
            self._inbox.get_nowait()
        self._inbox.put_nowait(Message(topic, payload))

    def end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._ended.set()

    def _arrive(self, topic: str, payload: bytes, taken: Callable[[], None] | None) -> None:
        self._on_way -= 1
        if taken is not None:
            taken()
        if not self._on_way:
            self._all_arrived.set()
        if self._ended.is_set() and self._reason != "closed":
            return
        for _ in range(self._broker.copies()):
            self._broker.take(topic, payload)
