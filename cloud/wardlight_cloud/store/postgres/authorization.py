"""AuthorizationStore: clients, grants and their tokens. What has ended is removed on the way."""

import secrets
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from wardlight_cloud.store.authorization import (
    ClientRow,
    Grant,
    Introspected,
    Launch,
    NewTokens,
    TokenRow,
)
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("authorization")
_SIGNING: Final = "smart-signing"
_SIGNING_BYTES: Final = 56
_REFRESHING: Final = frozenset({"offline_access", "online_access"})
_CODE_REMEMBERED_S: Final = 3600  # so that a code shown again is known as one that was used


class AuthorizationPart(Part):
    """See AuthorizationStore."""

    @storage_call
    async def token(self, token_sha256: bytes) -> TokenRow | None:
        """See TokenStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["token"], token_sha256)
        if row is None:
            return None
        return TokenRow(
            row["client"], tuple(row["scopes"]), row["login"], _uuid(row["patient_id"]),
            row["expires_in_s"],
        )  # fmt: skip

    @storage_call
    async def put_registration(self, client: ClientRow) -> None:
        """See AuthorizationStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(
                _SQL["put_registration"], client.name, list(client.scopes), client.jwks,
                client.jwks_url, list(client.redirect_uris), client.launch_url, client.is_public,
                client.may_introspect,
            )  # fmt: skip
            await connection.execute(_SQL["end_grants_of"], client.name)

    @storage_call
    async def clients(self) -> tuple[ClientRow, ...]:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["clients"], None)
        return tuple(_client(row) for row in rows)

    @storage_call
    async def client(self, name: str) -> ClientRow | None:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["clients"], name)
        return None if row is None else _client(row)

    @storage_call
    async def use_assertion(self, client: str, jti_sha256: bytes, *, lasts_s: int) -> bool:
        """See AuthorizationStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["forget_assertions"])
            made = await connection.fetchval(_SQL["use_assertion"], client, jti_sha256, lasts_s)
        return made is not None

    @storage_call
    async def grant(self, grant: Grant, tokens: NewTokens) -> None:
        """See AuthorizationStore."""
        async with self._connections.transaction() as connection:
            grant_id = await _add_grant(connection, grant, tokens.access_s)
            await _add_tokens(connection, grant_id, grant.scopes, tokens)

    @storage_call
    async def grant_code(
        self, grant: Grant, code_sha256: bytes, *, redirect_uri: str, challenge: str, lasts_s: int
    ) -> bool:
        """See AuthorizationStore."""
        try:
            async with self._connections.transaction() as connection:
                grant_id = await _add_grant(connection, grant, _CODE_REMEMBERED_S)
                await connection.execute(
                    _SQL["add_code"], grant_id, code_sha256, redirect_uri, challenge, lasts_s
                )
        except asyncpg.ForeignKeyViolationError:
            return False
        return True

    @storage_call
    async def redeem_code(
        self,
        client: str,
        code_sha256: bytes,
        *,
        redirect_uri: str,
        challenge: str,
        tokens: NewTokens,
    ) -> Grant | None:
        """See AuthorizationStore."""
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(_SQL["code"], code_sha256, client)
            if row is None:
                return None
            if row["is_used"]:
                await connection.execute(_SQL["end_grant"], row["grant_id"])
                return None
            is_asked_for = (row["redirect_uri"], row["challenge"]) == (redirect_uri, challenge)
            if not row["is_timely"] or not is_asked_for:
                return None
            await connection.execute(_SQL["use_code"], code_sha256)
            await _add_tokens(connection, row["grant_id"], row["scopes"], tokens)
        return _grant(row)

    @storage_call
    async def refresh(self, client: str, refresh_sha256: bytes, tokens: NewTokens) -> Grant | None:
        """See AuthorizationStore."""
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(_SQL["refresh_token"], refresh_sha256, client)
            if row is None:
                return None
            if row["is_used"]:
                await connection.execute(_SQL["end_grant"], row["grant_id"])
                return None
            if not row["is_timely"]:
                return None
            await connection.execute(_SQL["use_token"], refresh_sha256)
            await _add_tokens(connection, row["grant_id"], row["scopes"], tokens)
        return _grant(row)

    @storage_call
    async def client_of_refresh(self, refresh_sha256: bytes) -> str | None:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            name: str | None = await connection.fetchval(_SQL["client_of_refresh"], refresh_sha256)
        return name

    @storage_call
    async def narrow_token(self, token_sha256: bytes, scopes: Sequence[str]) -> None:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["narrow_token"], token_sha256, list(scopes))

    @storage_call
    async def revoke(self, client: str, token_sha256: bytes) -> None:
        """See AuthorizationStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["revoke_access"], token_sha256, client)
            await connection.execute(_SQL["revoke_family"], token_sha256, client)

    @storage_call
    async def introspect(self, token_sha256: bytes) -> Introspected | None:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["introspect"], token_sha256)
        if row is None:
            return None
        return Introspected(
            row["client"], tuple(row["scopes"]), row["login"], _uuid(row["patient_id"]),
            row["issued_at"], row["until"],
        )  # fmt: skip

    @storage_call
    async def put_launch(self, launch_sha256: bytes, launch: Launch, *, lasts_s: int) -> bool:
        """See AuthorizationStore."""
        try:
            async with self._connections.transaction() as connection:
                await connection.execute(_SQL["forget_launches"])
                await connection.execute(
                    _SQL["put_launch"], launch_sha256, launch.client, launch.patient, launch.login,
                    lasts_s,
                )  # fmt: skip
        except asyncpg.ForeignKeyViolationError:
            return False
        return True

    @storage_call
    async def launch(self, launch_sha256: bytes) -> Launch | None:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["launch"], launch_sha256)
        return None if row is None else Launch(row["client"], row["patient_id"], row["login"])

    @storage_call
    async def use_launch(self, launch_sha256: bytes) -> bool:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["use_launch"], launch_sha256) is not None

    @storage_call
    async def fhir_user(self, login: str) -> str | None:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            found: str | None = await connection.fetchval(_SQL["fhir_user"], login)
        return found

    @storage_call
    async def put_fhir_user(self, login: str, reference: str | None) -> bool:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["put_fhir_user"], login, reference) is not None

    @storage_call
    async def signing_secret(self) -> bytes:
        """See AuthorizationStore."""
        async with self._connections.acquire() as connection:
            made = secrets.token_bytes(_SIGNING_BYTES)
            await connection.execute(_SQL["keep_secret"], _SIGNING, made)
            kept: bytes = await connection.fetchval(_SQL["secret"], _SIGNING)
        return kept


async def _add_grant(connection: Connection, grant: Grant, lasts_s: int) -> int:
    for each in ("forget_grants", "forget_tokens"):
        await connection.execute(_SQL[each])
    made: int = await connection.fetchval(
        _SQL["add_grant"], grant.client, grant.login, grant.patient, grant.session_sha256,
        grant.nonce, list(grant.scopes), lasts_s,
    )  # fmt: skip
    return made


async def _add_tokens(
    connection: Connection, grant_id: int, scopes: Sequence[str], tokens: NewTokens
) -> None:
    add = _SQL["add_token"]
    await connection.execute(add, grant_id, tokens.access_sha256, False, tokens.access_s)
    lasts_s = tokens.access_s
    if tokens.refresh_sha256 is not None and not _REFRESHING.isdisjoint(scopes):
        await connection.execute(add, grant_id, tokens.refresh_sha256, True, tokens.refresh_s)
        lasts_s = max(lasts_s, tokens.refresh_s)
    await connection.execute(_SQL["extend_grant"], grant_id, lasts_s)


def _client(row: Any) -> ClientRow:
    return ClientRow(
        row["name"], tuple(row["scopes"]), row["jwks"], row["jwks_url"],
        tuple(row["redirect_uris"]), row["launch_url"], row["is_public"], row["may_introspect"],
        row["has_token"],
    )  # fmt: skip


def _grant(row: Any) -> Grant:
    return Grant(
        row["client"], tuple(row["scopes"]), row["login"], _uuid(row["patient_id"]), row["nonce"],
        row["session_sha256"],
    )  # fmt: skip


def _uuid(value: Any) -> UUID | None:
    return None if value is None else UUID(int=value.int)
