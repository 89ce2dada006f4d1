"""Answers made of octets in memory and slices of stored objects, with ETag and byte ranges.

A representation has a known length before anything is read, so that any of them, multipart ones
too, takes part in Range, If-None-Match and HEAD (RFC 9110, 13 and 14).
"""

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wardlight_cloud.dicomweb.octets import Octets, Segment, cut

REVALIDATED: Final = "private, no-cache"
"""Kept by the client, and asked for each time whether it still is so: studies get company, and an
operator may show another file of an instance. The answer to that is 304, without its octets."""
_SEND_S: Final = 300.0  # a piece in this time is 28 kbit/s: slower is gone
_JOINED: Final = 2 << 20  # smaller answers are sent in one piece
_RANGE: Final = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Representation:
    """Something to be sent; ``etag`` without its quotes."""

    segments: Sequence[Segment]
    media_type: str
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Octets in all."""
        return sum(map(len, self.segments))


class RangeError(Exception):
    """A range that begins after the end."""


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """[start, end) of a Range header; None = send all: it is no single byte range."""
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise RangeError
    return start, end


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match names this ETag."""
    if header is None:
        return False
    named = (each.strip().removeprefix("W/") for each in header.split(","))
    return any(each in ("*", f'"{etag}"') for each in named)


def etag_of(*parts: bytes | str) -> str:
    """An ETag for what is made of these."""
    digest = hashlib.sha256()
    for part in parts:
        octets = part.encode() if isinstance(part, str) else part
        digest.update(len(octets).to_bytes(8, "big") + octets)
    return digest.hexdigest()[:40]


def known(request: Request, etag: str) -> Response | None:
    """304 where the client has it already: to be asked before anything is made."""
    if not matches(request.headers.get("if-none-match"), etag):
        return None
    return Response(status_code=304, headers=told(etag))


def told(etag: str) -> dict[str, str]:
    """Headers of an answer that clients may keep."""
    return {"ETag": f'"{etag}"', "Cache-Control": REVALIDATED, "Vary": "Accept, Cookie"}


def answer(request: Request, octets: Octets, whole: Representation) -> Response:
    """The answer to a GET or HEAD: 200, 206, 304 or 416."""
    unchanged = known(request, whole.etag)
    if unchanged is not None:
        return unchanged
    headers = {**told(whole.etag), "Accept-Ranges": "bytes", **whole.headers}
    size = whole.size
    try:
        wanted = _wanted(request, whole.etag, size)
    except RangeError:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    start, end = wanted or (0, size)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    segments = tuple(_cut(whole.segments, start, end))
    headers["Content-Type"] = whole.media_type
    headers["Content-Length"] = str(end - start)
    return SegmentsAnswer(octets, segments, 206 if wanted else 200, headers)


def _wanted(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    text = request.headers.get("range")
    if text is None or request.headers.get("if-range", f'"{etag}"') != f'"{etag}"':
        return None
    return byte_range(text, size)


def _cut(segments: Sequence[Segment], start: int, end: int) -> Iterator[Segment]:
    """The octets [start, end) of all segments, as segments."""
    first = 0
    for segment in segments:
        low, high = max(start - first, 0), min(end - first, len(segment))
        first += len(segment)
        if low < high:
            yield cut(segment, low, high)


class SegmentsAnswer(Response):
    """Sends segments: a small answer in one piece, a large one as it is read."""

    def __init__(
        self, octets: Octets, segments: Sequence[Segment], status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(status_code=status)
        self._octets = octets
        self._segments = segments
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; the first piece is read before the status is sent."""
        if scope["method"] == "HEAD":
            await self._begin(send)
            await send({"type": "http.response.body", "body": b""})
            return
        if sum(map(len, self._segments)) <= _JOINED:
            body = await self._octets.joined(self._segments)
            await self._begin(send)
            await send({"type": "http.response.body", "body": body})
            return
        await self._stream(Request(scope, receive), send)

    async def _begin(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _stream(self, request: Request, send: Send) -> None:
        is_begun = False
        async for piece in self._octets.pieces(self._segments):
            if not is_begun:
                await self._begin(send)
                is_begun = True
            elif await request.is_disconnected():
                return
            async with asyncio.timeout(_SEND_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
