"""The answer that carries server-sent events: it ends whole, and waits for no client for ever."""

import asyncio
import contextlib
import logging
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

_log = logging.getLogger(__name__)
TAKE_S: Final = 30.0
"""Who takes nothing for so long is disconnected."""
END_S: Final = 1.0


class _Stuck(Exception):
    """The client of a stream takes nothing."""


class EventStream(StreamingResponse):
    """A stream that ends whole when the server stops and cancels it: that is no fault.

    A client that takes nothing fills its socket, and sending waits; not for ever.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_soon(message: Message) -> None:
            try:
                async with asyncio.timeout(TAKE_S):
                    await send(message)
            except TimeoutError:
                raise _Stuck from None

        try:
            await super().__call__(scope, receive, send_soon)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        except _Stuck:
            _log.info("live connection closed: its client takes nothing")
