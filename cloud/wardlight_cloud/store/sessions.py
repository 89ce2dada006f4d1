"""Sessions of dashboard users, kept in the database so that any worker can end them."""

from typing import Protocol


class SessionStore(Protocol):
    """Sessions by the SHA-256 of what the browser shows. The database's clock decides."""

    async def start_session(
        self, token_sha256: bytes, login: str, password_hash: str, *, lifetime_s: int
    ) -> bool:
        """Begin a session; False when ``password_hash`` is not the user's (any more)."""

    async def session_login(self, token_sha256: bytes) -> str | None:
        """The login of a session that has not ended."""

    async def end_session(self, token_sha256: bytes) -> None:
        """End a session; no such session is no error."""
