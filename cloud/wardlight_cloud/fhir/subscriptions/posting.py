"""Sends one notice: one POST over HTTP/1.1, within its time, no redirect is followed.

Of the answer only the status is read. A sentence about a failure holds nothing that the receiver
said.

Errors  NoticeError: it was not taken
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult

import h11

from wardlight_cloud.fhir.outcome import MEDIA_TYPE
from wardlight_cloud.fhir.subscriptions.definition import Definition
from wardlight_cloud.fhir.subscriptions.endpoints import (
    BadEndpointError,
    check_endpoint,
    connected,
)
from wardlight_cloud.fhir.subscriptions.ports import Bounds
from wardlight_cloud.fhir.subscriptions.signing import SIGNATURE, TIMESTAMP, signature

_PIECE: Final = 16 * 1024
_HEAD_MAX: Final = 16 * 1024
_NO_ANSWER: Final = 504


class NoticeError(Exception):
    """A notice was not taken; the sentence goes into the Subscription.

    ``status``: of HTTP, 5xx also where there was no answer; None = nothing was sent.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Poster:
    """Sends notices. ``context``: of TLS, the system's where None."""

    def __init__(
        self,
        bounds: Bounds,
        *,
        context: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._bounds = bounds
        self._context = context
        self._now = now

    async def post(self, about: Definition, of_subscription: str, body: bytes) -> None:
        """Send a body, signed with the secret of its subscription."""
        timestamp = int(self._now())
        headers = [
            *about.headers,
            ("Content-Type", MEDIA_TYPE),
            ("Content-Length", str(len(body))),
            (TIMESTAMP, str(timestamp)),
            (SIGNATURE, signature(of_subscription, timestamp, body)),
        ]
        sent: int | None = None  # what a receiver that was sent to is taken to have answered
        try:
            parts = check_endpoint(about.endpoint, self._bounds)
            async with asyncio.timeout(about.timeout_s):
                reader, writer = await self._connected(parts)
                sent = _NO_ANSWER
                try:
                    sent = await _status(reader, writer, parts, headers, body)
                finally:
                    writer.transport.abort()  # whatever else the other side has to say
        except TimeoutError:
            raise NoticeError(f"no answer within {about.timeout_s} s", sent) from None
        except BadEndpointError as error:
            raise NoticeError(str(error)) from None
        except ssl.SSLError:
            raise NoticeError("its TLS certificate or protocol is not accepted", sent) from None
        except (OSError, UnicodeError):
            raise NoticeError("it cannot be connected to", sent) from None
        except h11.ProtocolError:
            raise NoticeError("it does not answer in HTTP", sent) from None
        if not 200 <= sent < 300:
            text = "leads elsewhere" if 300 <= sent < 400 else "refused it"
            raise NoticeError(f"the receiver {text} ({sent})", sent)

    async def _connected(
        self, parts: SplitResult
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if parts.scheme == "https" and self._context is None:
            self._context = ssl.create_default_context()  # reads all certificates of the system
        return await connected(parts, self._bounds, self._context)


async def _status(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    parts: SplitResult,
    headers: list[tuple[str, str]],
    body: bytes,
) -> int:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = [("Host", parts.netloc), ("User-Agent", "Wardlight"), ("Connection", "close")]
    request = h11.Request(method="POST", target=target, headers=[*own, *headers])
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.Data(data=body)) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_PIECE))
        elif isinstance(event, h11.Response):
            return event.status_code
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("broke off")
