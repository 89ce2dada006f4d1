"""A multipart body whose parts are made one after the other while it is sent.

At most one part is in memory or waits in a file at any time, however many there are. The first is
made before the status is sent, so that what cannot be made is told by a status of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wardlight_cloud.dicomweb.multipart import body_end, part_head, related
from wardlight_cloud.dicomweb.octets import Octets, Segment
from wardlight_cloud.dicomweb.representation import told

_SEND_S: Final = 300.0  # a piece in this time is 28 kbit/s: slower is gone


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its Content-Type, its octets, and the address it has by itself."""

    content_type: str
    octets: Segment
    location: str | None = None


class StreamedParts(Response):
    """Sends parts as they are made; ``kind`` is what all of them are."""

    def __init__(self, octets: Octets, parts: AsyncIterator[Part], kind: str, etag: str) -> None:
        super().__init__(status_code=200, headers=told(etag), media_type=related(kind, etag))
        del self.headers["content-length"]
        self._octets = octets
        self._parts = parts
        self._boundary = etag

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts."""
        request = Request(scope, receive)
        is_begun = False
        async for part in self._parts:
            if not is_begun:
                await self._begin(send)
                is_begun = True
            if scope["method"] == "HEAD" or await request.is_disconnected():
                break
            await self._send(part, send)
        if not is_begun:
            await self._begin(send)
        end = b"" if scope["method"] == "HEAD" else body_end(self._boundary)
        await send({"type": "http.response.body", "body": end})

    async def _begin(self, send: Send) -> None:
        headers = self.raw_headers
        status = self.status_code
        await send({"type": "http.response.start", "status": status, "headers": headers})

    async def _send(self, part: Part, send: Send) -> None:
        head = part_head(self._boundary, part.content_type, len(part.octets), part.location)
        async for piece in self._octets.pieces((head, part.octets)):
            async with asyncio.timeout(_SEND_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
