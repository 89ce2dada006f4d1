"""Bearer tokens: made here, stored only as SHA-256, checked against the store.

Two kinds, told apart by nobody but the store: tokens of API clients (``wardlight-cloud client``),
which hold until they are revoked, and those that the token endpoint gave (smart/), which expire.

Errors  PermissionError: the sentence goes to the client as it is
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.requests import HTTPConnection

from wardlight_cloud.security.access import Access, permissions
from wardlight_cloud.security.who import note_access
from wardlight_cloud.store.authorization import TokenRow, TokenStore

READ_ALL: Final = "system/*.rs"
"""Reading, of all patients: what a client has that nobody gave another scope."""

STORE_IMAGES: Final = "system/ImagingStudy.c"
"""Storing images."""

_CACHE_S: Final = 5.0  # a revoked token works this much longer at most
_CACHE_MAX: Final = 1024
_PREFIX: Final = "wl_"


def new_token() -> str:
    """A fresh token with 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What the register keeps. The token has 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).digest()


class TokenAuthenticator:
    """Finds out what a request's ``Authorization: Bearer`` header permits.

    What was found is remembered for 5 s, and for 1,024 tokens at most.
    """

    def __init__(self, store: TokenStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Access | None]] = OrderedDict()

    async def access(self, request: HTTPConnection) -> Access:
        """Who asks and with which permissions, or PermissionError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise PermissionError("Send the header 'Authorization: Bearer <token>'.")
        found = await self._lookup(token_hash(token.strip()))
        if found is None:
            raise PermissionError("The bearer token is not valid (any more).")
        note_access(request, found)
        return found

    async def _lookup(self, digest: bytes) -> Access | None:
        now = self._clock()
        until, access = self._known.get(digest, (float("-inf"), None))
        if now < until:
            return access
        row = await self._store.token(digest)
        access, lasts_s = (None, _CACHE_S) if row is None else (_access(row), _lasts(row))
        self._known[digest] = (now + lasts_s, access)
        self._known.move_to_end(digest)
        while len(self._known) > _CACHE_MAX:
            self._known.popitem(last=False)
        return access


def _access(row: TokenRow) -> Access:
    return Access(row.client, permissions(row.scopes), user=row.login, patient=row.patient)


def _lasts(row: TokenRow) -> float:
    """Seconds to remember a token: not beyond its end."""
    return _CACHE_S if row.expires_in_s is None else min(_CACHE_S, row.expires_in_s)
