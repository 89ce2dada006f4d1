"""A gateway's HL7 port under test, and a sender for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from support.edge_settings import settings_for
from support.recording_outbox import RecordingOutbox
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge import profiles
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import ApduSettings, Hl7Settings, LanSection, profile_names
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.runner import DeviceRunner

HOST = "127.0.0.1"


class GatedOutbox(RecordingOutbox):
    """Commits only while ``gate`` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = 0

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        self.asked += 1
        await self.gate.wait()
        return await super().append(records)


class Sender:
    """One MLLP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, message: str | bytes) -> None:
        octets = message if isinstance(message, bytes) else message.encode()
        self.writer.write(b"\x0b" + octets + b"\x1c\r")
        await self.writer.drain()

    async def answer(self) -> list[list[str]]:
        """The next acknowledgement, as segments of fields."""
        async with asyncio.timeout(180):
            octets = await self.reader.readuntil(b"\x1c\r")
        return [line.split("|") for line in octets[1:-2].decode().rstrip("\r").split("\r")]

    async def is_hung_up(self) -> bool:
        """Wait for the end of the connection; what comes before it is skipped."""
        try:
            async with asyncio.timeout(180):
                while await self.reader.read(65_536):
                    pass
        except ConnectionError:
            return True
        return True


class HeldPort:
    """A running gateway with its port open."""

    def __init__(self, runner: DeviceRunner, outbox: RecordingOutbox, port: int) -> None:
        self.runner = runner
        self.outbox = outbox
        self.port = port

    @property
    def state(self) -> str:
        return self.runner.board.entry("lan:hl7").state

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Sender]:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            yield Sender(reader, writer)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def open_port(
    folder: Path, outbox: RecordingOutbox | None = None, **settings: object
) -> AsyncIterator[HeldPort]:
    """A gateway whose HL7 port takes a free number."""
    hl7 = msgspec.structs.replace(Hl7Settings(port=0), **settings)
    async with _open(folder, LanSection(hl7=hl7), "hl7", outbox) as held:
        yield held


@asynccontextmanager
async def open_apdu_port(
    folder: Path, outbox: RecordingOutbox | None = None
) -> AsyncIterator[HeldPort]:
    """The same with the port of 11073-20601 agents."""
    async with _open(folder, LanSection(apdu=ApduSettings(port=0)), "apdu", outbox) as held:
        yield held


@asynccontextmanager
async def _open(
    folder: Path, lan: LanSection, name: str, outbox: RecordingOutbox | None
) -> AsyncIterator[HeldPort]:
    outbox = outbox or RecordingOutbox()
    whole = msgspec.structs.replace(settings_for(folder), lan=lan)
    loaded = profiles.load(ROOT / "firmware-configs", profile_names(whole))
    runner = DeviceRunner(whole, loaded, outbox, SystemClock(), lambda: None)
    task = asyncio.create_task(runner.run())
    try:
        file = folder / f"{name}.port"
        await wait_until(lambda: file.exists() and file.read_text().strip())
        yield HeldPort(runner, outbox, int(file.read_text()))
    finally:
        task.cancel()
        await asyncio.wait({task})
