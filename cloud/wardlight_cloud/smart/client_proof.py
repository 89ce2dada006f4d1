"""Who a client is that asks the token endpoint: by its assertion, or by its name if it is public.

Source  RFC 6749 2.3 and 3.2.1; RFC 7521 4.2; SMART App Launch 2.2
"""

from collections.abc import Mapping
from typing import Protocol

from wardlight_cloud.smart.assertions import ASSERTION_TYPE, Assertions
from wardlight_cloud.smart.errors import OAuthError
from wardlight_cloud.store.authorization import ClientRow


class ClientStore(Protocol):
    """What finding a client needs of the store."""

    async def client(self, name: str) -> ClientRow | None:
        """One client."""


class ClientProof:
    """Finds the client of a form."""

    def __init__(self, store: ClientStore, assertions: Assertions) -> None:
        self._store = store
        self._assertions = assertions

    async def client(self, form: Mapping[str, str], token_url: str) -> ClientRow:
        """The client; raises OAuthError invalid_client."""
        assertion = form.get("client_assertion")
        if assertion is not None or "client_assertion_type" in form:
            if assertion is None or form.get("client_assertion_type") != ASSERTION_TYPE:
                raise _invalid(f"client_assertion_type must be {ASSERTION_TYPE}, with an assertion")
            return await self._assertions.client(assertion, token_url, form.get("client_id"))
        client = await self._store.client(form.get("client_id", ""))
        if client is None or not client.is_public:
            raise _invalid(
                "send client_assertion, or as a public client client_id; secrets are not used here"
            )
        return client


def _invalid(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, 401)
