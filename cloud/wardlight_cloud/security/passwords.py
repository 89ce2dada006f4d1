"""Passwords of dashboard users: argon2id, and a brake on guessing.

Source  RFC 9106 (argon2id); OWASP ASVS 5.0, 6.3 (throttling)
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from wardlight_cloud.store.logins import LoginStore

_FREE_TRIES: Final = 5
_WAIT_MAX_S: Final = 300.0
_LOGINS_MAX: Final = 10_000
_AT_ONCE: Final = 2  # a check takes 64 MB and a core for a moment
_WAITING_MAX: Final = 32
_hasher: Final = PasswordHasher()


@lru_cache(maxsize=1)
def _dummy() -> str:
    """Checked for unknown logins, so that the answer takes as long as for known ones."""
    return _hasher.hash(secrets.token_urlsafe(16))


def new_password() -> str:
    """A random password a person can type: 79 bits in four groups."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    groups = ["".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(4)]
    return "-".join(groups)


def hash_password(password: str) -> str:
    """argon2id in its standard text form."""
    return _hasher.hash(password)


def _matches(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _dummy(), password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


class TooManyLogins(Exception):
    """More sign-ins wait to be checked than this process takes; try again in a moment."""


class PasswordChecker:
    """Checks a login; after five failures in a row a login must wait, doubling up to 5 minutes.

    Each API process counts for itself, in memory.
    """

    def __init__(
        self, register: LoginStore, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._register = register
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    def wait_s(self, login: str) -> float:
        """Seconds until this login may be tried again."""
        count, last = self._failures.get(login, (0, 0.0))
        if count < _FREE_TRIES:
            return 0.0
        pause = min(_WAIT_MAX_S, 2.0 ** (count - _FREE_TRIES))
        return max(0.0, last + pause - self._clock())

    async def check(self, login: str, password: str) -> str | None:
        """The stored hash when login and password belong together and the login need not wait.

        Raises TooManyLogins.
        """
        if self.wait_s(login) > 0:
            return None
        if self._waiting >= _WAITING_MAX:
            raise TooManyLogins
        # Counted before it is checked: many tries at once are many tries.
        self._count_failure(login)
        self._waiting += 1
        try:
            async with self._turn:
                stored = await self._stored(login)
                if not await asyncio.to_thread(_matches, stored, password):
                    self._start_pause(login)
                    return None
        finally:
            self._waiting -= 1
        self._failures.pop(login, None)
        return stored

    async def _stored(self, login: str) -> str | None:
        # No text of the database can hold this character, so it is nobody's login.
        return None if "\0" in login else await self._register.password_hash(login)

    def _start_pause(self, login: str) -> None:
        """The pause begins when the answer is known, however long that took."""
        if login in self._failures:
            self._failures[login] = self._failures[login][0], self._clock()

    def _count_failure(self, login: str) -> None:
        count, _ = self._failures.pop(login, (0, 0.0))
        if len(self._failures) >= _LOGINS_MAX:
            del self._failures[next(iter(self._failures))]  # the one tried longest ago
        self._failures[login] = (count + 1, self._clock())
