"""What goes wrong at the endpoints of OAuth, as clients are told of it.

OAuthError   an answer in JSON: token, introspection, revocation and launch endpoints
RefusedApp   a request for authorization whose app or address cannot be trusted: a page for the
             user, and nobody is sent anywhere
AppError     another fault of such a request: the app is told at its registered address

Source  RFC 6749 4.1.2.1 and 5.2; RFC 6750 3.1
"""

import json
from typing import Literal

from starlette.responses import Response

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
TokenFault = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "temporarily_unavailable",
    "server_error",
    "slow_down",
]
AppFault = Literal[
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "interaction_required",
    "request_not_supported",
    "request_uri_not_supported",
]


class OAuthError(Exception):
    """``status``, the code of the standard, and a sentence for the developer of the client."""

    def __init__(
        self,
        fault: TokenFault,
        description: str,
        status: int = 400,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.fault = fault
        self.status = status
        self.headers = headers or {}

    def response(self) -> Response:
        """The HTTP answer."""
        body = {"error": self.fault, "error_description": str(self)}
        return json_answer(body, self.status, self.headers)


class RefusedApp(Exception):
    """The sentence is for the user who stands before the page."""


class AppError(Exception):
    """``fault`` and a sentence for the app's developer, to be sent to the app's own address."""

    def __init__(self, fault: AppFault, description: str) -> None:
        super().__init__(description)
        self.fault = fault


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON that nobody keeps."""
    return Response(
        json.dumps(body).encode(), status, {**NO_STORE, **(headers or {})}, "application/json"
    )
