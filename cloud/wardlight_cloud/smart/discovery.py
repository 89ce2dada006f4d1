"""What apps and services look up first: where the endpoints are, and what they can do.

Source  SMART App Launch 2.2, Conformance; OpenID Connect Discovery 1.0, 3
"""

from typing import Any, Final

from starlette.requests import Request

from wardlight_cloud.security.access import CONTEXTS
from wardlight_cloud.security.oauth_paths import AUTHORIZE, INTROSPECT, REVOKE, TOKEN
from wardlight_cloud.smart.addresses import (
    KEYS,
    Addresses,
)
from wardlight_cloud.smart.keys import ALGORITHMS

_CAPABILITIES: Final = (
    "launch-ehr", "launch-standalone", "authorize-post", "client-public",
    "client-confidential-asymmetric", "sso-openid-connect", "context-banner",
    "context-ehr-patient", "context-standalone-patient", "permission-offline",
    "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2",
)  # fmt: skip
_SCOPES: Final = (
    *sorted(CONTEXTS), "patient/*.cruds", "user/*.cruds", "system/*.cruds",
)  # fmt: skip


def configuration(addresses: Addresses, request: Request) -> dict[str, Any]:
    """Both documents in one: each has what the other needs, and readers skip what is not theirs."""
    root = addresses.root(request)
    return {
        "issuer": root,
        "jwks_uri": root + KEYS,
        "authorization_endpoint": root + AUTHORIZE,
        "token_endpoint": root + TOKEN,
        "revocation_endpoint": root + REVOKE,
        "introspection_endpoint": root + INTROSPECT,
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES384"],
        "scopes_supported": list(_SCOPES),
        "capabilities": list(_CAPABILITIES),
    }
