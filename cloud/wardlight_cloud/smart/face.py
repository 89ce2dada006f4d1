"""The SMART face: endpoints that machines ask, in one place with what they share.

    GET       /.well-known/smart-configuration, also below /fhir; /.well-known/openid-configuration
    GET, POST /oauth/authorize  /oauth/consent                     pages for users (pages.py)
    POST      /oauth/token  /oauth/revoke  /oauth/introspect
    GET       /oauth/jwks                                          keys that sign id_tokens
    POST      /api/v1/launch                                       an EHR launch (launches.py)

Nothing here logs a token, a code or an assertion; of failures the log has path and fault.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wardlight_cloud.security.oauth_paths import AUTHORIZE, INTROSPECT, REVOKE, TOKEN
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.smart.addresses import (
    CONFIGURATION,
    CONSENT,
    FHIR,
    KEYS,
    LAUNCH,
    OPENID,
    Addresses,
)
from wardlight_cloud.smart.assertions import Assertions
from wardlight_cloud.smart.brake import Brake
from wardlight_cloud.smart.client_keys import ClientKeys
from wardlight_cloud.smart.client_proof import ClientProof
from wardlight_cloud.smart.discovery import configuration
from wardlight_cloud.smart.errors import OAuthError, json_answer
from wardlight_cloud.smart.identity import Identity
from wardlight_cloud.smart.key_fetching import KeyFetcher
from wardlight_cloud.smart.launches import Launches
from wardlight_cloud.smart.pages import Pages
from wardlight_cloud.smart.token_care import TokenCare
from wardlight_cloud.smart.token_endpoint import TokenEndpoint
from wardlight_cloud.store.authorization import AuthorizationStore
from wardlight_cloud.store.base import ReadStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_Answer = Callable[[Request], Awaitable[Response]]
_FOR_PAGES_OF_ANYBODY: Final = {"Access-Control-Allow-Origin": "*"}


class SmartStore(AuthorizationStore, ReadStore, Protocol):
    """What this face asks of the store."""


class SmartFace:
    """Builds the routes. ``key_networks``: not public, and asked for JWKS all the same."""

    def __init__(
        self, store: SmartStore, sessions: Sessions, *, base_url: str | None = None,
        key_networks: Sequence[IPv4Network | IPv6Network] = (),
    ) -> None:  # fmt: skip
        self._addresses = Addresses(base_url)
        self._identity = Identity(store, self._addresses)
        brake = Brake()
        keys = ClientKeys(KeyFetcher(key_networks))
        proof = ClientProof(store, Assertions(store, keys))
        self._tokens = TokenEndpoint(store, proof, self._identity, self._addresses, brake)
        self._care = TokenCare(store, proof, self._addresses, brake)
        self._pages = Pages(store, sessions, self._addresses)
        self._launches = Launches(store, sessions, self._addresses)

    def routes(self) -> list[Route]:
        """Routes at the root."""
        pages = self._pages
        return [
            Route(CONFIGURATION, self._open(self._configuration)),
            Route(FHIR + CONFIGURATION, self._open(self._configuration)),
            Route(OPENID, self._open(self._configuration)),
            Route(KEYS, self._open(self._keys)),
            Route(AUTHORIZE, pages.answering(pages.arrive), methods=["GET", "POST"]),
            Route(CONSENT, pages.answering(pages.ask), methods=["GET"]),
            Route(CONSENT, pages.answering(pages.decide), methods=["POST"]),
            Route(LAUNCH, answering(self._launches.launch), methods=["POST"]),
            Route(TOKEN, answering(self._tokens.token), methods=["POST"]),
            Route(REVOKE, answering(self._care.revoke), methods=["POST"]),
            Route(INTROSPECT, answering(self._care.introspect), methods=["POST"]),
        ]

    def _open(self, answer: _Answer) -> _Answer:
        """For everybody, also for scripts of other sites: nothing of it is a secret."""

        async def opened(request: Request) -> Response:
            response = await answering(answer)(request)
            response.headers.update(_FOR_PAGES_OF_ANYBODY)
            return response

        return opened

    async def _configuration(self, request: Request) -> Response:
        return json_answer(configuration(self._addresses, request))

    async def _keys(self, request: Request) -> Response:
        del request
        return json_answer((await self._identity.key()).jwks)


def answering(answer: _Answer) -> _Answer:
    """The answer, or the error as OAuth tells it."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except OAuthError as error:
            _log.info("oauth request refused", extra={"fault": error.fault, "at": request.url.path})
            return error.response()
        except StorageError:
            text = "The database does not answer; try again."
            headers = {"Retry-After": "5"}
            return OAuthError("temporarily_unavailable", text, 503, headers).response()

    return answered
