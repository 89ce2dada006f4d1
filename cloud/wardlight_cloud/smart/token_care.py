"""Revocation and introspection of tokens.

Anybody may end a token of their own; to look at any token is for clients that were allowed to
(``client add --introspect``). Both say nothing about a token that does not hold.

Source  RFC 7009; RFC 7662; SMART App Launch 2.2, Token Introspection
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.security.tokens import token_hash
from wardlight_cloud.smart.addresses import Addresses
from wardlight_cloud.smart.brake import Brake
from wardlight_cloud.smart.client_proof import ClientProof
from wardlight_cloud.smart.errors import NO_STORE, OAuthError, json_answer
from wardlight_cloud.smart.forms import form_of
from wardlight_cloud.store.authorization import AuthorizationStore, ClientRow

_INACTIVE: Final = {"active": False}


class TokenCare:
    """Answers ``POST /oauth/revoke`` and ``POST /oauth/introspect``."""

    def __init__(
        self, store: AuthorizationStore, proof: ClientProof, addresses: Addresses, brake: Brake
    ) -> None:
        self._store = store
        self._proof = proof
        self._addresses = addresses
        self._brake = brake

    async def revoke(self, request: Request) -> Response:
        """200 whatever the token was (RFC 7009, 2.2); raises OAuthError."""
        client, token = await self._asked(request)
        await self._store.revoke(client.name, token_hash(token))
        return Response(status_code=200, headers=NO_STORE)

    async def introspect(self, request: Request) -> Response:
        """What a token is good for; raises OAuthError."""
        client, token = await self._asked(request)
        if not client.may_introspect:
            raise OAuthError("access_denied", "the client may not introspect tokens", 403)
        found = await self._store.introspect(token_hash(token))
        if found is None:
            return json_answer(_INACTIVE)
        told: dict[str, Any] = {
            "active": True,
            "client_id": found.client,
            "scope": " ".join(found.scopes),
            "iss": self._addresses.root(request),
            "iat": found.issued_at,
            "exp": found.until,
        }
        if found.patient is not None:
            told["patient"] = str(found.patient)
        return json_answer(told)

    async def _asked(self, request: Request) -> tuple[ClientRow, str]:
        form = await form_of(request)
        self._brake.check(request, form)
        try:
            client = await self._proof.client(form, self._addresses.token(request))
        except OAuthError:
            self._brake.failed(request, form)
            raise
        if "token" not in form:
            raise OAuthError("invalid_request", "token is missing")
        return client, form["token"]
