"""A file of an export as an answer: whole, a range of it, or compressed on the way.

A range is one of the file as it is written, never of its compressed form, so a client that asks for
one gets it uncompressed; who wants to go on after a break asks for ranges.

Source  RFC 9110 14 (Range, If-Range, 416), 8.8.3 (entity tags), 12.5.3 (Accept-Encoding)
"""

import asyncio
import os
import re
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wardlight_cloud.fhir.encoding import takes_gzip
from wardlight_cloud.fhir.outcome import FhirError

NDJSON: Final = "application/fhir+ndjson"
_CHUNK: Final = 256 << 10
_GZIP: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 1
_RANGE: Final = re.compile(r"bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})")


class FileAnswer(Response):
    """The first ``size`` octets of a file, or the range that was asked for.

    The file is open while it is sent only: an answer that is never sent holds none.
    """

    def __init__(self, request: Request, path: Path, size: int, tag: str) -> None:
        """FhirError 416 for a range that lies behind the end, 404 when the file is gone."""
        first, last = 0, size - 1
        status = 200
        etag = f'"{tag}"'
        asked = _range(request, size, etag)
        if asked is not None:
            status, (first, last) = 206, asked
        is_packed = asked is None and takes_gzip(request.scope)
        headers = {"Accept-Ranges": "bytes", "Vary": "Accept-Encoding", "ETag": etag}
        if is_packed:
            headers |= {"Content-Encoding": "gzip", "ETag": f'"{tag}-gzip"'}
        else:
            headers["Content-Length"] = str(last - first + 1)
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        if not path.is_file():
            raise _gone()
        self._path = path
        self.status_code = status
        self.media_type = NDJSON
        self.body = b""
        self.background = None
        self.init_headers(headers)
        if is_packed:
            del self.headers["content-length"]
        self._first, self._last = first, last
        self._is_packed = is_packed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the file is closed at the end, however that comes."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # removed since
            await _gone().response()(scope, receive, send)
            return
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if scope["method"] != "HEAD":
                make = self._packed if self._is_packed else self._plain
                async for chunk in make(descriptor):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            os.close(descriptor)

    async def _plain(self, descriptor: int) -> AsyncIterator[bytes]:
        at = self._first
        while at <= self._last:
            length = min(_CHUNK, self._last - at + 1)
            chunk = await asyncio.to_thread(os.pread, descriptor, length, at)
            if not chunk:
                raise OSError("an export's file is shorter than it was")
            at += len(chunk)
            yield chunk

    async def _packed(self, descriptor: int) -> AsyncIterator[bytes]:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        async for chunk in self._plain(descriptor):
            packed = await asyncio.to_thread(packer.compress, chunk)
            if packed:
                yield packed
        yield packer.flush()


def _gone() -> FhirError:
    return FhirError(404, "not-found", "The file is not there any more.")


def _range(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """The octets that are asked for; None = all, also for a form that need not be followed."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last = match["first"], match["last"]
    if not first and not last:
        return None
    if first:
        begin, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < begin:
            return None
    else:
        begin, end = max(0, size - int(last)), size - 1
    if begin >= size or begin > end:
        text = f"The file has {size} octets."
        raise FhirError(
            416, "invalid", text, expression="http.Range",
            headers={"Content-Range": f"bytes */{size}"},
        )  # fmt: skip
    return begin, end
