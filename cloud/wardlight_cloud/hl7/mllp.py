"""The client side of MLLP: one message, then its acknowledgement, on one connection.

    0x0B message 0x1C 0x0D

Errors  MllpError: the connection is of no use any more; a sentence without what the other said
Source  HL7 v2 Transport Specification: MLLP, release 1; HL7 v2.6, 2.9.2 and 2.14.8 (MSA)
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

_BEGIN: Final = b"\x0b"
_END: Final = b"\x1c\r"
_LARGEST: Final = 64 * 1024
_CONNECT_S: Final = 10.0
_CODES: Final = {"AA": "AA", "CA": "AA", "AE": "AE", "CE": "AE", "AR": "AR", "CR": "AR"}
_LONGEST: Final = 120
_REMEMBERED: Final = 1024  # messages of a connection


class MllpError(Exception):
    """The receiver cannot be reached, or does not answer as it should."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """MSA: ``code`` AA taken, AE an error, AR refused; ``error``: code of ERR-3, "" for none."""

    code: str
    control_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where to; ``context`` None: without TLS. ``answer_s``: for one acknowledgement."""

    host: str
    port: int
    context: ssl.SSLContext | None = None
    answer_s: float = 30.0


class MllpClient:
    """``async with MllpClient(address) as client: await client.send(body, control_id)``."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._answered: deque[str] = deque(maxlen=_REMEMBERED)
        self.says_all_again = False
        """The receiver reads the whole connection anew with each message: another one is due."""

    async def __aenter__(self) -> Self:
        at = self._address
        try:
            async with asyncio.timeout(_CONNECT_S):
                self._streams = await asyncio.open_connection(
                    at.host, at.port, ssl=at.context, limit=_LARGEST
                )
        except TimeoutError:
            raise MllpError("it does not take a connection in time") from None
        except ssl.SSLError:
            raise MllpError("its TLS certificate or protocol is not accepted") from None
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise MllpError(f"it cannot be connected to ({why})") from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()

    async def send(self, body: bytes, control_id: str) -> Acknowledgement:
        """Send a message and wait for what becomes of it; MllpError leaves that unknown."""
        assert self._streams is not None  # noqa: S101 - inside of the context
        reader, writer = self._streams
        try:
            async with asyncio.timeout(self._address.answer_s):
                writer.write(_BEGIN + body + _END)
                await writer.drain()
                answer = await self._answer(reader, control_id)
        except TimeoutError:
            raise MllpError("no acknowledgement came in time") from None
        except asyncio.IncompleteReadError:
            raise MllpError("it closed the connection without an acknowledgement") from None
        except asyncio.LimitOverrunError:
            raise MllpError("its acknowledgement has no end") from None
        except OSError:
            raise MllpError("the connection broke") from None
        self._answered.append(control_id)
        return answer

    async def _answer(self, reader: asyncio.StreamReader, control_id: str) -> Acknowledgement:
        """The acknowledgement of this message.

        One of a message that was answered before on this connection is passed over: there are
        receivers that answer twice (CA and AA), and some that say all their answers again.
        """
        while True:
            await reader.readuntil(_BEGIN)
            answer = _read((await reader.readuntil(_END)).removesuffix(_END))
            if answer.control_id == control_id:
                return answer
            if answer.control_id not in self._answered:
                raise MllpError("its acknowledgement is for another message")
            if answer.control_id != self._answered[-1]:
                self.says_all_again = True


def _read(answer: bytes) -> Acknowledgement:
    text = answer.decode("utf-8", "replace")
    segments = {line[:3]: line for line in reversed(text.replace("\n", "\r").split("\r"))}
    header = segments.get("MSH", "")
    if len(header) < 8:
        raise MllpError("its acknowledgement has no MSH")
    bar, caret = header[3], header[4]
    fields = segments.get("MSA", "").split(bar)
    if len(fields) < 3 or fields[1] not in _CODES:
        raise MllpError("its acknowledgement has no MSA that can be read")
    error = segments.get("ERR", "").split(bar)
    found = error[3].partition(caret)[0] if len(error) > 3 else ""
    safe = "".join(each for each in found if each.isalnum())[:_LONGEST]
    return Acknowledgement(_CODES[fields[1]], fields[2], safe)
