"""LoginStore: users, and their sessions, which end when the password changes."""

from typing import Final

from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("logins")


class LoginsPart(Part):
    """See LoginStore."""

    @storage_call
    async def put_user(self, login: str, password_hash: str) -> None:
        """See LoginStore."""
        async with self._connections.transaction() as connection:
            # A session that begins meanwhile waits for the user's row, or is seen by what follows.
            await connection.execute(_SQL["put_user"], login, password_hash)
            await connection.execute(_SQL["end_sessions_of"], login)

    @storage_call
    async def remove_user(self, login: str) -> bool:
        """See LoginStore."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["remove_user"], login) is not None

    @storage_call
    async def password_hash(self, login: str) -> str | None:
        """See LoginStore."""
        async with self._connections.acquire() as connection:
            found: str | None = await connection.fetchval(_SQL["password_hash"], login)
        return found

    @storage_call
    async def start_session(
        self, token_sha256: bytes, login: str, password_hash: str, *, lifetime_s: int
    ) -> bool:
        """See LoginStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["forget_ended_sessions"])
            made = await connection.fetchval(
                _SQL["start_session"], token_sha256, login, password_hash, lifetime_s
            )
        return made is not None

    @storage_call
    async def session_login(self, token_sha256: bytes) -> str | None:
        """See LoginStore."""
        async with self._connections.acquire() as connection:
            found: str | None = await connection.fetchval(_SQL["session_login"], token_sha256)
        return found

    @storage_call
    async def end_session(self, token_sha256: bytes) -> None:
        """See LoginStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["end_session"], token_sha256)
