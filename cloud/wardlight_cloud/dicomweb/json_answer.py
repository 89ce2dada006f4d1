"""DICOM JSON as an answer, compressed where the client takes it: headers shrink to a tenth.

Small answers are not worth it. Level 1 has most of the gain, faster than a clinic's link.
"""

import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

_LEAST: Final = 4 * 1024
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 1


def takes_gzip(request: Request) -> bool:
    """Whether the client says so (RFC 9110, 12.5.3)."""
    for each in request.headers.get("accept-encoding", "").split(","):
        coding, _, weight = each.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def json_answer(
    request: Request, body: bytes, headers: Mapping[str, str], media_type: str
) -> Response:
    """An answer that is whole."""
    told = _varying(headers)
    if len(body) < _LEAST or not takes_gzip(request):
        return Response(body, 200, told, media_type)
    press = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    told["Content-Encoding"] = "gzip"
    return Response(press.compress(body) + press.flush(), 200, told, media_type)


def json_stream(
    request: Request, pieces: AsyncIterator[bytes], headers: Mapping[str, str], media_type: str
) -> Response:
    """An answer that is made while it is sent."""
    told = _varying(headers)
    if takes_gzip(request):
        told["Content-Encoding"] = "gzip"
        pieces = _compressed(pieces)
    return StreamingResponse(pieces, 200, told, media_type)


def _varying(headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, "Vary": "Accept, Accept-Encoding, Cookie"}


async def _compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    press = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    async for piece in pieces:
        octets = press.compress(piece)
        if octets:
            yield octets
    yield press.flush()
