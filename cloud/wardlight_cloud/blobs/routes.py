"""``POST /api/v1/blobs``: a message of a gateway in, the state of the blob out.

Body     MessagePack array of an Offer, or of an Offer and one of its Chunks
Answers  200 BlobState; 400 not readable; 401 no proof (with Wardlight-Time, our UTC in ms);
         403 the gateway is unknown or switched off; 413 too large; 503 the database is away, or
         the gateway has too many requests at a time

The body is read after everything that can be checked without it.
Source   docs/wire-format.md, Blobs over HTTPS
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from wardlight_cloud.blobs.proofs import Claim, ProofError, Proofs
from wardlight_cloud.imaging.blob_intake import BlobIntake, later, not_offered
from wardlight_cloud.imaging.blob_metrics import MESSAGES, OCTETS, REFUSED
from wardlight_shared import blobs
from wardlight_shared.blobs import BlobState, Chunk, Offer, is_chunk_of
from wardlight_shared.errors import EnvelopeError, StorageError
from wardlight_shared.timestamps import utc_ms_from_datetime

_log = logging.getLogger(__name__)
PATH: Final = "/api/v1/blobs"
_AT_ONCE: Final = 32
_AT_ONCE_OF_A_GATEWAY: Final = 8
_BODY_S: Final = 120.0
_REMEMBERED_S: Final = 5.0  # a gateway that was switched off is heard this much longer at most
_GATEWAYS_MOST: Final = 10_000


class Register(Protocol):
    """Which gateways are let in."""

    async def is_enabled(self, gateway: str) -> bool:
        """See IngestStore."""


class BlobRoutes:
    """Builds the route."""

    def __init__(
        self,
        intake: BlobIntake,
        register: Register,
        proofs: Proofs,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._intake = intake
        self._register = register
        self._proofs = proofs
        self._clock = clock
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._of_gateway: Counter[str] = Counter()
        self._enabled: dict[str, float] = {}

    def routes(self) -> list[Route]:
        """The one route; it goes before what is mounted at /api/v1."""
        return [Route(PATH, self._post, methods=["POST"])]

    async def _post(self, request: Request) -> Response:
        try:
            claim = self._proofs.claim(request.headers.get("authorization", ""), self._clock())
            if not await self._is_enabled(claim.gateway):
                return _refused(403, "gateway", "this gateway is not let in")
            if self._of_gateway[claim.gateway] >= _AT_ONCE_OF_A_GATEWAY:
                return _busy("too many requests at a time")
            with self._counted(claim.gateway):
                return await self._answer(request, claim)
        except ProofError as error:
            now_ms = utc_ms_from_datetime(self._clock())
            return _refused(401, "proof", str(error), {"Wardlight-Time": str(now_ms)})
        except EnvelopeError as error:
            return _refused(400, "unreadable", str(error))
        except StorageError:
            return _busy("try again")

    async def _answer(self, request: Request, claim: Claim) -> Response:
        async with self._room:
            body = await _body(request)
            if body is None:
                return _refused(413, "size", "too large, or it did not come in time")
            claim.check(PATH, body)
            state = await self._state(claim.gateway, blobs.decode_together(body))
        return Response(blobs.encode(state), media_type="application/vnd.msgpack")

    @contextlib.contextmanager
    def _counted(self, gateway: str) -> Iterator[None]:
        self._of_gateway[gateway] += 1
        try:
            yield
        finally:
            self._of_gateway[gateway] -= 1
            if not self._of_gateway[gateway]:
                del self._of_gateway[gateway]

    async def _is_enabled(self, gateway: str) -> bool:
        now_s = time.monotonic()
        if now_s - self._enabled.get(gateway, float("-inf")) < _REMEMBERED_S:
            return True
        if not await self._register.is_enabled(gateway):
            return False
        if len(self._enabled) >= _GATEWAYS_MOST:
            self._enabled.clear()
        self._enabled[gateway] = now_s
        return True

    async def _state(self, gateway: str, messages: list[blobs.Up]) -> BlobState:
        for message in messages:
            MESSAGES.labels(type(message).__name__.lower()).inc()
        match messages:
            case [Offer() as offer]:
                return await self._intake.answer(gateway, [offer])
            case [Offer() as offer, Chunk() as chunk] if is_chunk_of(chunk, offer):
                return await self._take(gateway, offer, chunk)
            case [Chunk() as chunk]:
                return not_offered(chunk.sha256)
        raise EnvelopeError("an offer, or an offer and a chunk of it")

    async def _take(self, gateway: str, offer: Offer, chunk: Chunk) -> BlobState:
        if self._intake.refusal(offer) is None:
            try:
                await self._intake.put_missing(offer, chunk.offset, chunk.octets)
            except StorageError as error:
                _log.warning("octets not kept", extra={"gateway": gateway, "why": str(error)})
                return later(offer, "the store is busy")
            OCTETS.labels("kept").inc(len(chunk.octets))
        return await self._intake.answer(gateway, [offer])


async def _body(request: Request) -> bytes | None:
    """The body; None when it is too large or does not come."""
    told = request.headers.get("content-length", "0")
    if not told.isdecimal() or int(told) > blobs.MAX_BYTES:
        return None
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.stream():
                size += len(piece)
                if size > blobs.MAX_BYTES:
                    return None
                pieces.append(piece)
    except (TimeoutError, ClientDisconnect):
        return None
    return b"".join(pieces)


def _busy(text: str) -> Response:
    return _refused(503, "store", text, {"Retry-After": "5"})


def _refused(
    status: int, reason: str, text: str, headers: dict[str, str] | None = None
) -> Response:
    REFUSED.labels(reason).inc()
    return Response(f"{text}\n", status, headers, "text/plain")
