"""The proxy itself: a server of the native API with devices in range and a few links to lend.

Source  aioesphomeapi api.proto (messages and their numbers); ESPHome components/bluetooth_proxy
        (one listener for advertisements, what is answered when no link is free)
"""

import asyncio
import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO

from wardlight_lab.bluez import Peripheral
from wardlight_lab.esphome.air import packet_of
from wardlight_lab.esphome.client_session import ClientSession
from wardlight_lab.esphome.wire import NoiseWire, PlainWire, Wire, WireError

FEATURES: Final = 0x7F  # passive scan, connections, caching, pairing, cache clearing, raw, mode
TICK_S: Final = 0.02
_logger = logging.getLogger(__name__)


class FakeProxy:
    """A proxy on a free port of the loopback.

    key       of its ``api: encryption:``, None = none
    features  what its firmware says it can do (BluetoothProxyFeature)
    links     how many it has
    """

    def __init__(
        self,
        peripherals: Iterable[Peripheral] = (),
        *,
        key: bytes | None = None,
        name: str = "livingroom",
        features: int = FEATURES,
        links: int = 3,
    ) -> None:
        self.peripherals = list(peripherals)
        self.name = name
        self.features = features
        self.links = links
        self.foreign_links: list[int] = []
        self.is_mute = False
        self.bonds: dict[str, set[str]] = {}
        self.listener: ClientSession | None = None
        self.listen_requests = 0
        self.connects = 0
        self.accepted = 0
        self.port = 0
        self._key = key
        self._server: asyncio.Server | None = None
        self._sessions: dict[ClientSession, asyncio.StreamWriter] = {}
        self._handlers: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._due: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def sessions(self) -> int:
        """Clients connected now."""
        return len(self._sessions)

    async def start(self) -> None:
        """Come up, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._ticker = asyncio.create_task(self._advertise(), name=f"air of {self.name}")

    async def stop(self) -> None:
        """Lose power: every link and connection ends; bonds are kept."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._server is not None:
            self._server.close()
        for session, writer in tuple(self._sessions.items()):
            writer.transport.abort()  # nobody is told anything
            session.end()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def free_links(self) -> int:
        """Links that can be lent now."""
        used = sum(len(session.connected) for session in self._sessions)
        return max(self.links - len(self.foreign_links) - used, 0)

    def lend(self, links: int) -> None:
        """Another program holds so many links."""
        self.foreign_links = [0x0200_0000_0100 + index for index in range(links)]
        self.report_links()

    def report_links(self) -> None:
        """Tell every client that asked how many links are free."""
        for session in self._sessions:
            session.report_links()

    def in_range(self, address: int) -> Peripheral | None:
        """The device with this address, if it can be connected to."""
        text = ":".join(f"{octet:02X}" for octet in address.to_bytes(6, "big"))
        return next((each for each in self.peripherals if each.address == text), None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._handlers.add(task)
            task.add_done_callback(self._handlers.discard)
        wire: Wire = PlainWire(reader, writer)
        if self._key is not None:
            wire = NoiseWire(reader, writer, self._key, self.name)
        session = ClientSession(self, wire)
        self._sessions[session] = writer
        self.accepted += 1
        try:
            await wire.open()
            while True:
                kind, octets = await wire.receive()
                message: Any = MESSAGE_TYPE_TO_PROTO[kind]()
                message.ParseFromString(octets)
                if not await session.take(message):
                    break
        except (EOFError, OSError, WireError) as error:
            _logger.debug("client left", extra={"error": type(error).__name__})
        finally:
            session.end()
            del self._sessions[session]
            if self.listener is session:
                self.listener = None
            self.report_links()
            writer.close()

    async def _advertise(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            if self.listener is None or self.is_mute:
                continue
            heard = [each for each in self.peripherals if self._is_due(each, loop.time())]
            if heard:
                self.listener.tell_heard([(each, packet_of(each)) for each in heard])

    def _is_due(self, peripheral: Peripheral, now: float) -> bool:
        if not peripheral.is_connectable or self._due.get(peripheral.address, 0) > now:
            return False
        self._due[peripheral.address] = now + peripheral.advertisement.interval_s
        return True
