"""Where the endpoints are, as they are announced and as assertions must name them.

The address of the token endpoint is what an assertion's ``aud`` is held against. If it came from
the Host header, a server that was shown an assertion could show it here under its own name. So it
is ``http.base_url``, and without one this machine only, for trying things out.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from wardlight_cloud.security.oauth_paths import TOKEN
from wardlight_cloud.security.outgoing import LOOPBACK
from wardlight_cloud.smart.errors import OAuthError

FHIR: Final = "/fhir"
CONSENT: Final = "/oauth/consent"
KEYS: Final = "/oauth/jwks"
LAUNCH: Final = "/api/v1/launch"
CONFIGURATION: Final = "/.well-known/smart-configuration"
OPENID: Final = "/.well-known/openid-configuration"


class Addresses:
    """Makes absolute addresses. ``base_url`` None: of this machine, as the request names it."""

    def __init__(self, base_url: str | None) -> None:
        self._base_url = base_url

    def root(self, request: HTTPConnection) -> str:
        """Address of the server, which is also the issuer of its tokens; OAuthError 503."""
        if self._base_url is not None:
            return self._base_url
        root = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        try:
            is_here = urlsplit(root).hostname in LOOPBACK and "@" not in root
        except ValueError:
            is_here = False
        if not is_here:
            raise OAuthError(
                "temporarily_unavailable",
                "This server does not know its own address: its operator has to set http.base_url.",
                503,
            )
        return root

    def token(self, request: HTTPConnection) -> str:
        """Address of the token endpoint."""
        return self.root(request) + TOKEN

    def fhir(self, request: HTTPConnection) -> str:
        """Address of FHIR: what a launch calls ``iss`` and an app calls ``aud``."""
        return self.root(request) + FHIR
