"""The token endpoint: client_credentials, authorization_code with PKCE, refresh_token.

Access tokens are opaque. Those of a backend service last ACCESS_S_OF_SERVICE (SMART wants no more
than 300 s), those of an app ACCESS_S_OF_APP. A refresh token serves once, and its use gives the
next one; it comes with a grant of offline_access or online_access only, and the latter ends with
the user's session.

Source  RFC 6749 4.1.3, 4.4, 5 and 6; RFC 7636 4.5 and 4.6; SMART App Launch 2.2; RFC 9700
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.security.access import Level, granted
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.security.who import note_client, note_login
from wardlight_cloud.smart.addresses import Addresses
from wardlight_cloud.smart.brake import Brake
from wardlight_cloud.smart.client_proof import ClientProof
from wardlight_cloud.smart.errors import OAuthError, json_answer
from wardlight_cloud.smart.forms import form_of
from wardlight_cloud.smart.identity import Identity
from wardlight_cloud.store.authorization import AuthorizationStore, ClientRow, Grant, NewTokens

ACCESS_S_OF_SERVICE: Final = 300
ACCESS_S_OF_APP: Final = 3600
REFRESH_S: Final = 30 * 24 * 3600
"""A refresh token that nobody uses for this long has ended."""

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_SCOPES_MAX: Final = 200
_OF_CLIENTS: Final = frozenset({"client_id", "client_assertion", "client_assertion_type"})


class TokenEndpoint:
    """Answers ``POST /oauth/token``."""

    def __init__(
        self, store: AuthorizationStore, proof: ClientProof, identity: Identity,
        addresses: Addresses, brake: Brake,
    ) -> None:  # fmt: skip
        self._store = store
        self._proof = proof
        self._identity = identity
        self._addresses = addresses
        self._brake = brake
        self._grants: Final = {
            "client_credentials": self._service,
            "authorization_code": self._code,
            "refresh_token": self._refresh,
        }

    async def token(self, request: Request) -> Response:
        """The tokens; raises OAuthError."""
        form = await form_of(request)
        grant = self._grants.get(form.get("grant_type", ""))
        if grant is None:
            raise OAuthError("unsupported_grant_type", f"grant_type: use {', '.join(self._grants)}")
        self._brake.check(request, form)
        try:
            named = await self._named(form)
            client = await self._proof.client(named, self._addresses.token(request))
            note_client(request, client.name)
            return json_answer(await grant(request, client, form))
        except OAuthError as error:
            if error.status < 500:
                self._brake.failed(request, form)
            raise

    async def _named(self, form: Mapping[str, str]) -> Mapping[str, str]:
        """The form; with the client's name where a refresh leaves it to the token to say it.

        RFC 6749, 6, asks a public client for no client_id, and SMART's JavaScript client sends
        none. A client that has keys has to prove itself all the same.
        """
        if form["grant_type"] != "refresh_token" or not _OF_CLIENTS.isdisjoint(form):
            return form
        client = await self._store.client_of_refresh(token_hash(form.get("refresh_token", "")))
        if client is None:
            raise _no_refresh()
        return {**form, "client_id": client}

    async def _service(
        self, request: Request, client: ClientRow, form: Mapping[str, str]
    ) -> dict[str, Any]:
        del request
        if client.is_public:
            raise OAuthError("unauthorized_client", "a public client has no rights of its own")
        asked = scopes_of(form.get("scope", ""))
        scopes = granted(asked or client.scopes, client.scopes, frozenset({Level.SYSTEM}))
        if not any(scope.startswith(Level.SYSTEM) for scope in scopes):
            raise OAuthError(
                "invalid_scope", "none of the scopes is a system scope that the client has"
            )
        scopes = tuple(scope for scope in scopes if scope.startswith(Level.SYSTEM))
        access = new_token()
        await self._store.grant(
            Grant(client.name, scopes), NewTokens(token_hash(access), ACCESS_S_OF_SERVICE)
        )
        return _answer(access, ACCESS_S_OF_SERVICE, scopes)

    async def _code(
        self, request: Request, client: ClientRow, form: Mapping[str, str]
    ) -> dict[str, Any]:
        verifier = form.get("code_verifier", "")
        if _VERIFIER.fullmatch(verifier) is None:
            raise OAuthError("invalid_request", "code_verifier: 43 to 128 characters (PKCE)")
        access, refresh = new_token(), new_token()
        grant = await self._store.redeem_code(
            client.name,
            token_hash(form.get("code", "")),
            redirect_uri=form.get("redirect_uri", ""),
            challenge=challenge_of(verifier),
            tokens=_tokens(access, refresh),
        )
        if grant is None:
            raise OAuthError(
                "invalid_grant",
                "the code is not valid: it serves once, for a minute, for this client, with the "
                "redirect_uri and the code_verifier that belong to it",
            )
        note_login(request, grant.login or "")
        answer = await self._told(grant, access, refresh, grant.scopes)
        id_token = await self._identity.id_token(request, grant)
        return answer if id_token is None else {**answer, "id_token": id_token}

    async def _refresh(
        self, request: Request, client: ClientRow, form: Mapping[str, str]
    ) -> dict[str, Any]:
        access, refresh = new_token(), new_token()
        shown = token_hash(form.get("refresh_token", ""))
        grant = await self._store.refresh(client.name, shown, _tokens(access, refresh))
        if grant is None:
            raise _no_refresh()
        note_login(request, grant.login or "")
        scopes = grant.scopes
        asked = scopes_of(form.get("scope", ""))
        if asked:
            scopes = granted(asked, grant.scopes, frozenset({Level.PATIENT, Level.USER}))
            await self._store.narrow_token(token_hash(access), scopes)
        return await self._told(grant, access, refresh, scopes)

    async def _told(
        self, grant: Grant, access: str, refresh: str, scopes: tuple[str, ...]
    ) -> dict[str, Any]:
        answer = _answer(access, ACCESS_S_OF_APP, scopes)
        if not {"offline_access", "online_access"}.isdisjoint(grant.scopes):
            answer["refresh_token"] = refresh
        if grant.patient is not None:
            answer |= {"patient": str(grant.patient), "need_patient_banner": True}
        return answer


def scopes_of(text: str) -> list[str]:
    """Scopes of a request; OAuthError for more than anybody needs."""
    scopes = list(dict.fromkeys(text.split(" "))) if text else []
    if len(scopes) > _SCOPES_MAX:
        raise OAuthError("invalid_scope", f"more than {_SCOPES_MAX} scopes")
    return [scope for scope in scopes if scope]


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _no_refresh() -> OAuthError:
    return OAuthError("invalid_grant", "the refresh token is not valid (any more)")


def _tokens(access: str, refresh: str) -> NewTokens:
    return NewTokens(token_hash(access), ACCESS_S_OF_APP, token_hash(refresh), REFRESH_S)


def _answer(access: str, lasts_s: int, scopes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": lasts_s,
        "scope": " ".join(scopes),
    }
