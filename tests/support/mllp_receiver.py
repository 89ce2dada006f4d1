"""A receiver of HL7 v2 over MLLP that takes, refuses, says nothing or hangs up.

It reads with the gateway's decoder, which shares no line with what writes the messages.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from wardlight_edge.devices._hl7.message import Message, Segment, parse
from wardlight_edge.devices._hl7.mllp import MllpFramer, framed

SILENT, CLOSES, OTHER = "silent", "closes", "other"


@dataclass
class Received:
    """A message as it came."""

    body: bytes
    answered: str

    @property
    def message(self) -> Message:
        return parse(self.body)

    def segments(self, name: str) -> list[Segment]:
        return [each for each in self.message.segments if each.name == name]

    def part(self, name: str, number: int, component: int = 1) -> str:
        """A component of a field of the first segment of this name."""
        return self.message.part(self.segments(name)[0], number, component)

    @property
    def control_id(self) -> str:
        return self.part("MSH", 10)

    @property
    def patient(self) -> str:
        """Our id of the patient: the last repetition of PID-3."""
        (segment,) = self.segments("PID")
        return segment.field(3).split("~")[-1].partition("^")[0]


@dataclass
class MllpReceiver:
    """``answers``: to come, one a message, else AA.

    ``replays``: as node-hl7-server 2.5.0 does, all messages of a connection are read, and
    answered, again with each one that follows.
    """

    port: int = 0
    answers: list[str] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    server: asyncio.Server | None = None
    replays: bool = False

    def taken(self) -> list[Received]:
        return [each for each in self.received if each.answered == "AA"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = MllpFramer()
        earlier: list[bytes] = []
        try:
            while octets := await reader.read(65536):
                came = framer.feed(octets)
                if self.replays:
                    earlier += came
                    came = tuple(earlier)
                for body in came:
                    answer = self.answers.pop(0) if self.answers else "AA"
                    self.received.append(Received(body, answer))
                    if answer == CLOSES:
                        return
                    if answer != SILENT:
                        writer.write(framed(self._acknowledgement(answer)))
                        await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def _acknowledgement(self, answer: str) -> bytes:
        control = self.received[-1].control_id
        code, said = ("AA", "another") if answer == OTHER else (answer, control)
        lines = [r"MSH|^~\&|EHR||WARDLIGHT||20260101||ACK^R01^ACK|1|P|2.6", f"MSA|{code}|{said}"]
        if code != "AA":
            lines.append("ERR||PID^1^3|204^Unknown key identifier^HL70357|E")
        return "".join(f"{each}\r" for each in lines).encode()


@asynccontextmanager
async def mllp_receiver(context: ssl.SSLContext | None = None) -> AsyncIterator[MllpReceiver]:
    """A receiver on a port of this machine."""
    receiver = MllpReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
