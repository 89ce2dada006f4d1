"""Dashboard users and their sessions: a part of the store's Protocol.

Sessions are kept in the database so that any worker can end them; the database's clock decides.
"""

from typing import Protocol


class LoginStore(Protocol):
    """Users, and sessions by the SHA-256 of what the browser shows."""

    async def put_user(self, login: str, password_hash: str) -> None:
        """Create a dashboard user, or give one a new password: its sessions end."""

    async def remove_user(self, login: str) -> bool:
        """End a dashboard user and its sessions; False when there is none of this login."""

    async def password_hash(self, login: str) -> str | None:
        """Stored hash, None = no such user."""

    async def start_session(
        self, token_sha256: bytes, login: str, password_hash: str, *, lifetime_s: int
    ) -> bool:
        """Begin a session; False when ``password_hash`` is not the user's (any more)."""

    async def session_login(self, token_sha256: bytes) -> str | None:
        """The login of a session that has not ended."""

    async def end_session(self, token_sha256: bytes) -> None:
        """End a session; no such session is no error."""
