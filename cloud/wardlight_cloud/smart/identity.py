"""Who the user is, for apps that ask: the id_token.

``sub`` is a digest of the login, the same for all apps, so that a login does not travel. The claim
fhirUser is the resource that ``wardlight-cloud user LOGIN --fhir-user`` names; a user without one
is granted no fhirUser.

Source  OpenID Connect Core 1.0, 2 and 3.1.3.7; SMART App Launch 2.2, Scopes for requesting identity
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from starlette.requests import Request

from wardlight_cloud.smart.addresses import Addresses
from wardlight_cloud.smart.keys import SigningKey
from wardlight_cloud.store.authorization import Grant

LASTS_S: Final = 300


class IdentityStore(Protocol):
    """What identity needs of the store."""

    async def signing_secret(self) -> bytes:
        """56 octets that stay."""

    async def fhir_user(self, login: str) -> str | None:
        """Reference to the resource that a user is."""


class Identity:
    """Signs id_tokens with the database's key, which all API processes share."""

    def __init__(
        self, store: IdentityStore, addresses: Addresses, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._addresses = addresses
        self._clock = clock
        self._key: SigningKey | None = None

    async def key(self) -> SigningKey:
        """The key, made at first use."""
        if self._key is None:
            self._key = SigningKey(await self._store.signing_secret())
        return self._key

    async def id_token(self, request: Request, grant: Grant) -> str | None:
        """The token; None where the grant is without openid or user."""
        if "openid" not in grant.scopes or grant.login is None:
            return None
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._addresses.root(request),
            "sub": hashlib.sha256(b"wardlight user " + grant.login.encode()).hexdigest()[:32],
            "aud": grant.client,
            "iat": now,
            "exp": now + LASTS_S,
        }
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        reference = await self._store.fhir_user(grant.login) if _asks(grant) else None
        if reference is not None:
            claims["fhirUser"] = f"{self._addresses.fhir(request)}/{reference}"
        return (await self.key()).sign(claims)


def _asks(grant: Grant) -> bool:
    return "fhirUser" in grant.scopes
