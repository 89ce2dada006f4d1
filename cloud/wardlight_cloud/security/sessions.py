"""Dashboard sessions: a random cookie, kept in the database as a hash, the same for all workers.

Cookie  32 random bytes, base64url; HttpOnly, SameSite=Strict; made anew at each sign-in, so that
        nobody can be given a session beforehand
Ends    at sign-out, LIFETIME_S after its start, and when the user's password changes; a worker
        that has just asked the database may take up to REMEMBER_S to notice
"""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from wardlight_cloud.security.who import note_login
from wardlight_cloud.store.logins import LoginStore

COOKIE: Final = "wardlight_session"
LIFETIME_S: Final = 12 * 3600
REMEMBER_S: Final = 5.0
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST: Final = 1024  # sessions remembered


class Sessions:
    """Starts, finds and ends sessions."""

    def __init__(
        self,
        store: LoginStore,
        *,
        secure: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._secure = secure
        self._clock = clock
        self._known: dict[bytes, tuple[float, str]] = {}

    async def start(
        self, request: HTTPConnection, response: Response, login: str, password_hash: str
    ) -> bool:
        """Begin a session and set its cookie; False when the password was changed just now.

        A session that the browser still shows is ended.
        """
        await self._forget(request)
        token = base64.urlsafe_b64encode(secrets.token_bytes(_TOKEN_BYTES)).decode().rstrip("=")
        if not await self._store.start_session(
            _digest(token), login, password_hash, lifetime_s=LIFETIME_S
        ):
            return False
        response.set_cookie(
            COOKIE, token, max_age=LIFETIME_S, httponly=True, samesite="strict",
            secure=self._secure, path="/",
        )  # fmt: skip
        return True

    async def end(self, request: HTTPConnection, response: Response) -> None:
        """End the session, here and in the browser."""
        await self._forget(request)
        response.delete_cookie(
            COOKIE, path="/", httponly=True, samesite="strict", secure=self._secure
        )

    async def login(self, request: HTTPConnection) -> str | None:
        """The login of the session that a request shows, else None."""
        login = await self._login(request)
        if login is not None:
            note_login(request, login)
        return login

    async def _login(self, request: HTTPConnection) -> str | None:
        digest = _shown(request)
        if digest is None:
            return None
        now = self._clock()
        asked_at, login = self._known.get(digest, (float("-inf"), ""))
        if now - asked_at < REMEMBER_S:
            return login
        self._known.pop(digest, None)
        found = await self._store.session_login(digest)
        if found is not None:
            if len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]  # the one asked for longest ago
            self._known[digest] = now, found
        return found

    def shown(self, request: HTTPConnection) -> bytes | None:
        """What the database knows the session of a request by; whether it holds is not asked."""
        return _shown(request)

    async def _forget(self, request: HTTPConnection) -> None:
        digest = _shown(request)
        if digest is not None:
            self._known.pop(digest, None)
            await self._store.end_session(digest)


def _shown(request: HTTPConnection) -> bytes | None:
    token = request.cookies.get(COOKIE, "")
    return _digest(token) if _TOKEN.fullmatch(token) else None


def _digest(token: str) -> bytes:
    """What the database keeps: whoever reads it there cannot show it. 256 random bits need no more.

    The lookup by hash also tells nothing by its timing.
    """
    return hashlib.sha256(token.encode()).digest()
