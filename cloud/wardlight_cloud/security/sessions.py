"""Dashboard sessions: a signed cookie, no server state, the same for all API workers.

Cookie  base64url(json {login, until}) "." base64url(HMAC-SHA256); HttpOnly, SameSite=Strict
Key     ``data_dir``/session.key, 32 random bytes, mode 0600, made at the first start
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson
from starlette.requests import HTTPConnection
from starlette.responses import Response

from wardlight_shared.errors import ConfigError

COOKIE: Final = "wardlight_session"
_LIFETIME_S: Final = 12 * 3600
_KEY_BYTES: Final = 32


def session_key(path: Path) -> bytes:
    """Read or make the key. Several workers may start at once: the first to link the file wins."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"{path}: others may read this key; chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ConfigError(f"{path}: not a session key of {_KEY_BYTES} bytes; delete the file")
    return key


class Sessions:
    """Makes and checks session cookies."""

    def __init__(self, key: bytes, *, secure: bool, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._secure = secure
        self._clock = clock

    def start(self, response: Response, login: str) -> None:
        """Set the cookie of a fresh session."""
        until = int(self._clock()) + _LIFETIME_S
        payload = _text(orjson.dumps({"login": login, "until": until}))
        value = f"{payload}.{self._signature(payload)}"
        response.set_cookie(
            COOKIE, value, max_age=_LIFETIME_S, httponly=True, samesite="strict",
            secure=self._secure, path="/",
        )  # fmt: skip

    def end(self, response: Response) -> None:
        """Remove the cookie."""
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")

    def login(self, request: HTTPConnection) -> str | None:
        """The login of a valid, unexpired session, else None."""
        payload, _, signature = request.cookies.get(COOKIE, "").partition(".")
        if not hmac.compare_digest(self._signature(payload).encode(), signature.encode()):
            return None
        try:
            session = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (binascii.Error, orjson.JSONDecodeError):
            return None
        return str(session["login"]) if session["until"] > self._clock() else None

    def _signature(self, payload: str) -> str:
        return _text(hmac.digest(self._key, payload.encode(), hashlib.sha256))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
