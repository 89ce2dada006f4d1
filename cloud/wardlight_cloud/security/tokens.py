"""Bearer tokens of API clients: made here, stored only as SHA-256, checked against the register.

Errors  PermissionError: the sentence goes to the client as it is
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from wardlight_cloud.store.base import RegisterStore

READ_ALL: Final = "system/*.rs"
"""The only scope that this version can keep a client to (SMART App Launch 2.0, system scopes)."""

_CACHE_S: Final = 5.0  # a revoked token works this much longer at most
_CACHE_MAX: Final = 1024
_PREFIX: Final = "wl_"


@dataclass(frozen=True, slots=True)
class Client:
    """An API client that showed a valid token."""

    name: str
    scopes: tuple[str, ...]


def new_token() -> str:
    """A fresh token with 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What the register keeps. The token has 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).digest()


class TokenAuthenticator:
    """Finds the client of a request's ``Authorization: Bearer`` header."""

    def __init__(
        self, register: RegisterStore, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._register = register
        self._clock = clock
        self._known: dict[bytes, tuple[float, Client | None]] = {}

    async def client(self, request: HTTPConnection) -> Client:
        """The client, or PermissionError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise PermissionError("Send the header 'Authorization: Bearer <token>'.")
        client = await self._lookup(token_hash(token.strip()))
        if client is None:
            raise PermissionError("The bearer token is not valid (any more).")
        if READ_ALL not in client.scopes:
            raise PermissionError(
                f"The token is for other scopes than {READ_ALL}, the only one that this server "
                "knows; ask its operator for a new one."
            )
        return client

    async def _lookup(self, digest: bytes) -> Client | None:
        now = self._clock()
        checked_at, client = self._known.get(digest, (float("-inf"), None))
        if now - checked_at < _CACHE_S:
            return client
        found = await self._register.client_of_token(digest)
        client = None if found is None else Client(*found)
        if len(self._known) >= _CACHE_MAX:
            self._known.clear()
        self._known[digest] = (now, client)
        return client
