"""Requests for authorization: what an app may ask for, and how it is answered; no I/O.

Whom to trust comes first: without a known client and one of its registered addresses, letter for
letter, nobody is sent anywhere (RefusedApp). Every other fault is told to the app there (AppError).

Source  RFC 6749 4.1.1 and 4.1.2; RFC 7636 4.3 (S256 only); RFC 9207 (iss); RFC 9700 2.1 and 4.1.3
        (exact addresses); SMART App Launch 2.2, Obtain authorization code
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from wardlight_cloud.security.access import (
    CONTEXTS,
    Context,
    Level,
    Permission,
    granted,
    permission,
    permissions,
)
from wardlight_cloud.security.outgoing import LOOPBACK
from wardlight_cloud.smart.errors import AppError, AppFault, RefusedApp
from wardlight_cloud.store.authorization import ClientRow

PARAMETERS: Final = frozenset(
    {
        "response_type", "client_id", "redirect_uri", "launch", "scope", "state", "aud", "nonce",
        "code_challenge", "code_challenge_method", "response_mode", "prompt", "request",
        "request_uri",
    }
)  # fmt: skip
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_TEXT_MAX: Final = 1024
_SCOPES_MAX: Final = 200
_ADDRESS: Final = re.compile(r"[!-~]{1,1024}")
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]+")
_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")
_APP_LEVELS: Final = frozenset({Level.PATIENT, Level.USER})


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be put to the user. ``scopes`` are those that the app can be given."""

    client: str
    redirect_uri: str
    state: str
    scopes: tuple[str, ...]
    challenge: str
    launch: str | None
    nonce: str | None

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """Those of the scopes."""
        return permissions(self.scopes)

    @property
    def needs_patient(self) -> bool:
        """Whether it is about one patient, whom the user or the EHR chooses."""
        is_for_one = any(each.level is Level.PATIENT for each in self.permissions)
        return is_for_one or bool({"launch", "launch/patient"} & set(self.scopes))


def trusted_address(parameters: Mapping[str, str], client: ClientRow | None) -> str:
    """The app's address that the request names; raises RefusedApp."""
    if client is None or not client.redirect_uris:
        raise RefusedApp("The app is not registered here (client_id).")
    address = parameters.get("redirect_uri", "")
    if address not in client.redirect_uris:
        raise RefusedApp("The app wants you to be sent to an address that is not registered.")
    return address


def authorization_request(
    parameters: Mapping[str, str], client: ClientRow, fhir: str
) -> AuthorizationRequest:
    """Check a request whose address is trusted; raises AppError."""
    _check_form(parameters)
    if parameters.get("aud", "").removesuffix("/") != fhir:
        raise AppError("invalid_request", f"aud must be {fhir}")
    challenge = parameters.get("code_challenge", "")
    if parameters.get("code_challenge_method") != "S256":
        raise AppError("invalid_request", "code_challenge_method must be S256 (PKCE)")
    if _CHALLENGE.fullmatch(challenge) is None:
        raise AppError("invalid_request", "code_challenge must be 43 characters of base64url")
    scopes = _scopes(parameters, client)
    launch = parameters.get("launch")
    if (launch is not None) != ("launch" in scopes):
        raise AppError("invalid_request", "the scope launch and the parameter launch go together")
    return AuthorizationRequest(
        client.name, parameters["redirect_uri"], parameters["state"], scopes, challenge, launch,
        parameters.get("nonce"),
    )  # fmt: skip


def _check_form(parameters: Mapping[str, str]) -> None:
    faults: dict[str, AppFault] = {
        "request": "request_not_supported", "request_uri": "request_uri_not_supported",
    }  # fmt: skip
    for name, fault in faults.items():
        if name in parameters:
            raise AppError(fault, f"{name} is not supported; send the parameters themselves")
    if parameters.get("response_type") != "code":
        raise AppError("unsupported_response_type", "response_type must be code")
    if parameters.get("response_mode", "query") != "query":
        raise AppError("invalid_request", "response_mode must be query")
    if parameters.get("prompt") == "none":
        raise AppError("interaction_required", "the user is always asked")
    if "state" not in parameters:
        raise AppError("invalid_request", "state is missing")
    if any(len(parameters.get(name, "")) > _TEXT_MAX for name in ("state", "nonce", "launch")):
        raise AppError("invalid_request", f"state, nonce, launch: at most {_TEXT_MAX} characters")


def _scopes(parameters: Mapping[str, str], client: ClientRow) -> tuple[str, ...]:
    asked = list(dict.fromkeys(parameters.get("scope", "").split()))
    if len(asked) > _SCOPES_MAX:
        raise AppError("invalid_scope", f"more than {_SCOPES_MAX} scopes")
    scopes = granted(asked, client.scopes, _APP_LEVELS)
    if not permissions(scopes) and Context.OPENID.value not in scopes:
        raise AppError("invalid_scope", "the app may have none of the scopes")
    if Context.FHIR_USER.value in scopes and Context.OPENID.value not in scopes:
        scopes = tuple(scope for scope in scopes if scope != Context.FHIR_USER.value)
    return scopes


def answer_address(redirect_uri: str, **parameters: str | None) -> str:
    """The app's address with an answer; what is None is left out."""
    told = urlencode({name: value for name, value in parameters.items() if value is not None})
    joint = "&" if urlsplit(redirect_uri).query else "?"
    return f"{redirect_uri.removesuffix('?')}{joint}{told}"


def check_redirect_uri(address: str) -> None:
    """Raise ValueError for an address that no app can be answered at.

    https; http for an app on the user's own machine; a scheme of a native app's own, which has a
    dot (RFC 8252, 7.1).
    """
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ValueError("not an address") from error
    if _ADDRESS.fullmatch(address) is None or any(each in address for each in '#\\"<>^`{|}'):
        raise ValueError("only letters, digits and the signs of addresses, without a fragment")
    if parts.scheme in ("https", "http"):
        if parts.username is not None or not _HOST.fullmatch(parts.netloc):
            raise ValueError("a host, with a port at most")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("https, or http on this machine")
    elif _OWN_SCHEME.fullmatch(parts.scheme) is None:
        raise ValueError("https, or a scheme of the app's own with a dot, as com.example.app:/back")


def form_target(redirect_uri: str) -> str:
    """What a page's Content-Security-Policy has to name, so that its form may lead there."""
    parts = urlsplit(redirect_uri)
    if parts.scheme in ("https", "http"):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"


def check_scope(scope: str) -> None:
    """Raise ScopeError for a scope that nobody can be held to."""
    if scope not in CONTEXTS:
        permission(scope)
