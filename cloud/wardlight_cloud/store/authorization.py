"""Clients, their tokens, and what users granted them: a part of the store's Protocol.

Codes, tokens and launch contexts are known by the SHA-256 of what is shown. The database's clock
decides what has ended. All tokens of one grant are a family: the grant's end is theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token that holds now. ``expires_in_s`` None = until it is revoked."""

    client: str
    scopes: tuple[str, ...]
    login: str | None = None
    patient: UUID | None = None
    expires_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A registered client. Public clients have no keys; keys are a JWKS, or where it is found."""

    name: str
    scopes: tuple[str, ...]
    jwks: str | None = None
    jwks_url: str | None = None
    redirect_uris: tuple[str, ...] = ()
    launch_url: str | None = None
    is_public: bool = False
    may_introspect: bool = False
    has_token: bool = False

    @property
    def has_keys(self) -> bool:
        """It can prove who it is."""
        return self.jwks is not None or self.jwks_url is not None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client was granted. ``session_sha256``: it ends with that session of the user."""

    client: str
    scopes: tuple[str, ...]
    login: str | None = None
    patient: UUID | None = None
    nonce: str | None = None
    session_sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch context: an app is to be opened with this patient. ``login`` None = by anybody."""

    client: str
    patient: UUID
    login: str | None


@dataclass(frozen=True, slots=True)
class Introspected:
    """A token of any client, for who may ask: ``issued_at`` and ``until`` in seconds since 1970."""

    client: str
    scopes: tuple[str, ...]
    login: str | None
    patient: UUID | None
    issued_at: int
    until: int


@dataclass(frozen=True, slots=True)
class NewTokens:
    """Hashes and lifetimes of tokens to be kept; ``refresh_sha256`` None = none is given."""

    access_sha256: bytes
    access_s: int
    refresh_sha256: bytes | None = None
    refresh_s: int = 0


class TokenStore(Protocol):
    """What finds out who shows a token. Every coroutine raises StorageError."""

    async def token(self, token_sha256: bytes) -> TokenRow | None:
        """A static token, or one that was given and has not ended."""


class AuthorizationStore(TokenStore, Protocol):
    """What the token endpoint needs. Every coroutine raises StorageError; one call, one commit."""

    async def put_registration(self, client: ClientRow) -> None:
        """Create a client or replace what is known of it; grants to it and its token end."""

    async def clients(self) -> tuple[ClientRow, ...]:
        """All clients, by name."""

    async def client(self, name: str) -> ClientRow | None:
        """One client."""

    async def use_assertion(self, client: str, jti_sha256: bytes, *, lasts_s: int) -> bool:
        """Note an assertion's id until it has expired; False when it was used before."""

    async def grant(self, grant: Grant, tokens: NewTokens) -> None:
        """Begin a grant with its first tokens."""

    async def grant_code(
        self, grant: Grant, code_sha256: bytes, *, redirect_uri: str, challenge: str, lasts_s: int
    ) -> bool:
        """Begin a grant with a code; False when its user or session is not there any more."""

    async def redeem_code(
        self,
        client: str,
        code_sha256: bytes,
        *,
        redirect_uri: str,
        challenge: str,
        tokens: NewTokens,
    ) -> Grant | None:
        """Exchange a code for tokens, once; None = it is not valid.

        A code that was used before ends its grant. One shown with another client, address or
        challenge stays unused and is None. ``tokens.refresh_sha256`` is kept where the grant has
        a scope for it.
        """

    async def refresh(self, client: str, refresh_sha256: bytes, tokens: NewTokens) -> Grant | None:
        """Exchange a refresh token for new tokens, once; None = it is not valid.

        One that was used before ends its grant: one of two who have it has stolen it.
        """

    async def client_of_refresh(self, refresh_sha256: bytes) -> str | None:
        """Whose refresh token it is or was; None = of nobody, or of a grant that has ended."""

    async def narrow_token(self, token_sha256: bytes, scopes: Sequence[str]) -> None:
        """Hold one access token to less than its grant."""

    async def revoke(self, client: str, token_sha256: bytes) -> None:
        """End an access token, or with a refresh token its grant; others' tokens are left."""

    async def introspect(self, token_sha256: bytes) -> Introspected | None:
        """A given token that holds now, access or refresh."""

    async def put_launch(self, launch_sha256: bytes, launch: Launch, *, lasts_s: int) -> bool:
        """Keep a launch context; False when its client or patient is not there."""

    async def launch(self, launch_sha256: bytes) -> Launch | None:
        """A launch context that has not ended or been used."""

    async def use_launch(self, launch_sha256: bytes) -> bool:
        """Use it up; False when that has happened already."""

    async def fhir_user(self, login: str) -> str | None:
        """Reference to the resource that a user is, as ``Practitioner/1``."""

    async def put_fhir_user(self, login: str, reference: str | None) -> bool:
        """Say which resource a user is; False when there is no such user."""

    async def signing_secret(self) -> bytes:
        """56 octets that are this database's own and stay: of the key that signs id_tokens."""
