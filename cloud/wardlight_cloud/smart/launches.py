"""EHR launches: an app is to be opened with a patient that somebody has before them.

The EHR opens the app at ``launch_url?iss=...&launch=...``; the app sends ``launch`` along when it
asks for authorization. A launch serves once, within LASTS_S, for its app, and for the user who made
it (any user where it was made at the command line).

Source  SMART App Launch 2.2, Launch App: EHR Launch
"""

from typing import Annotated, Final, Protocol
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.security.origin import is_own
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.smart.addresses import Addresses
from wardlight_cloud.smart.authorize import answer_address
from wardlight_cloud.smart.errors import OAuthError, json_answer
from wardlight_cloud.smart.forms import body_of, media_type
from wardlight_cloud.store.authorization import ClientRow, Launch

LASTS_S: Final = 300


class LaunchStore(Protocol):
    """What launching needs of the store."""

    async def client(self, name: str) -> ClientRow | None:
        """One client."""

    async def put_launch(self, launch_sha256: bytes, launch: Launch, *, lasts_s: int) -> bool:
        """Keep a launch context; False when its client or patient is not there."""


async def launch_address(store: LaunchStore, launch: Launch, fhir: str) -> str:
    """The address that opens the app; raises ValueError with a sentence."""
    client = await store.client(launch.client)
    if client is None or client.launch_url is None:
        raise ValueError("client: there is none of this name with a --launch-url")
    made = new_token()
    if not await store.put_launch(token_hash(made), launch, lasts_s=LASTS_S):
        raise ValueError("patient: there is none with this id")
    return answer_address(client.launch_url, iss=fhir, launch=made)


class Launches:
    """Answers ``POST /api/v1/launch`` with {"client": NAME, "patient": ID} of a signed-in user."""

    def __init__(self, store: LaunchStore, sessions: Sessions, addresses: Addresses) -> None:
        self._store = store
        self._sessions = sessions
        self._addresses = addresses

    async def launch(self, request: Request) -> Response:
        """201 with the address that opens the app; raises OAuthError."""
        # A form of another site could be sent without asking; JSON cannot (Fetch, CORS preflight).
        if not is_own(request) or media_type(request) != "application/json":
            raise OAuthError("access_denied", "send JSON, from a page of this server", 403)
        login = await self._sessions.login(request)
        if login is None:
            raise OAuthError("access_denied", "sign in first", 401)
        launch = _launch(await body_of(request), login)
        try:
            url = await launch_address(self._store, launch, self._addresses.fhir(request))
        except ValueError as error:
            raise OAuthError("invalid_request", str(error), 404) from error
        return json_answer({"url": url, "expires_in": LASTS_S}, 201)


class _Asked(msgspec.Struct, frozen=True):
    client: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]{1,256}$")]
    patient: UUID


def _launch(body: bytes, login: str) -> Launch:
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = 'expected {"client": name of an app, "patient": id of a patient}'
        raise OAuthError("invalid_request", text) from error
    return Launch(asked.client, asked.patient, login)
