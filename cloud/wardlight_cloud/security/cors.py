"""Which web pages' scripts may ask: cross-origin requests, as plain ASGI middleware.

Nothing is allowed unless an origin is named. Access is by bearer tokens, never by cookies, so no
page gets credentials that a browser adds by itself. An origin that is not named is answered as
anybody else: its browser keeps the answer from it.

Source  Fetch Standard, 3.2 (CORS protocol)
"""

from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY: Final = "*"
_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_ASKED: Final = (
    b"Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, "
    b"If-None-Match, If-Range, Prefer, Range"
)
_SHOWN: Final = (
    b"Accept-Ranges, Allow, Content-Disposition, Content-Location, Content-Range, ETag, Expires, "
    b"Last-Modified, Link, Location, Retry-After, Wardlight-Subscription-Secret, Warning, "
    b"WWW-Authenticate, X-Progress, X-Request-Id"
)
_KEEP_S: Final = b"600"
_ALLOWED: Final = b"access-control-allow-origin"


class CrossOrigin:
    """Answers preflights and marks answers, for paths at and below ``paths``."""

    def __init__(self, app: ASGIApp, origins: Collection[str], paths: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(each.encode() for each in origins)
        self._paths = tuple(f"{each}/" for each in paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if (
            not self._origins
            or scope["type"] != "http"
            or not f"{scope['path']}/".startswith(self._paths)
        ):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        own = self._own(headers.get(b"origin"))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _preflight(own, send)
            return

        named = any(name == _ALLOWED for name, _ in own)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A face that is open to everybody says so itself: browsers take one header only.
                given = [
                    each
                    for each in message.get("headers", ())
                    if not (named and each[0].lower() == _ALLOWED)
                ]
                message["headers"] = [*given, *own]
            await send(message)

        await self._app(scope, receive, marked)

    def _own(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        """Headers for an origin; what the answer varies by, for any."""
        if ANY.encode() in self._origins:
            return [(_ALLOWED, ANY.encode()), _EXPOSED] if origin else []
        if origin not in self._origins or origin is None:
            return [_VARY]
        return [_VARY, (_ALLOWED, origin), _EXPOSED]


_VARY: Final = (b"vary", b"Origin")
_EXPOSED: Final = (b"access-control-expose-headers", _SHOWN)


async def _preflight(own: list[tuple[bytes, bytes]], send: Send) -> None:
    """An answer without a body; from an origin that is not named, one that allows nothing."""
    headers = [pair for pair in own if pair != _EXPOSED]
    if any(name == _ALLOWED for name, _ in headers):
        headers += [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ASKED),
            (b"access-control-max-age", _KEEP_S),
        ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
