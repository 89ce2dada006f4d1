"""What every request of the FHIR face passes: base address, token, limits, errors as outcomes."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation
from wardlight_cloud.fhir.answers import several_people, unanswered, unforeseen
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.rate_limits import ClientLimits
from wardlight_cloud.security.access import Access, Interaction
from wardlight_cloud.store.resources import SeveralPeople
from wardlight_shared.errors import StorageError

Authenticate = Callable[[Request], Awaitable[Access]]
"""What the request's token permits; raises PermissionError when it carries no valid one."""

Handler = Callable[[Request], Awaitable[Response]]

PATH: Final = "/fhir"


class Entrance:
    """Wraps handlers; ``base_url`` None takes scheme and host of each request."""

    def __init__(
        self, authenticate: Authenticate, base_url: str | None, limits: ClientLimits | None
    ) -> None:
        self._authenticate = authenticate
        self._base_url = base_url
        self._limits = limits

    def base(self, request: Request) -> str:
        """The address of FHIR for a request."""
        if self._base_url is not None:
            return f"{self._base_url}{PATH}"
        return f"{request.scope['scheme']}://{asking.host(request)}{PATH}"

    def open(self, handler: Handler) -> Handler:
        """Turn our errors into OperationOutcomes."""

        async def answer(request: Request) -> Response:
            try:
                asking.check_accept(request)
                request.scope[asking.BASE] = self.base(request)
                return await handler(request)
            except FhirError as error:
                return error.response()
            except SeveralPeople as error:
                return several_people(error).response()
            except StorageError as error:
                return unanswered(error).response()
            except Exception as error:  # noqa: BLE001 - a client of FHIR gets an OperationOutcome
                return unforeseen(error).response()

        return answer

    def guarded(
        self, handler: Handler, kind: str | None, interaction: Interaction | None
    ) -> Handler:
        """The same, for requests that need a token, and one that permits the interaction."""

        async def guarded(request: Request) -> Response:
            try:
                access = await self._authenticate(request)
            except PermissionError as error:
                challenge = {"WWW-Authenticate": 'Bearer realm="fhir"'}
                raise FhirError(401, "login", str(error), headers=challenge) from error
            if self._limits is not None:
                self._limits.admit(access.client)
            isolation.admit(request, access, kind, interaction)
            return await handler(request)

        return self.open(guarded)


async def no_such_id(request: Request) -> Response:
    """Refuses a path that no database can be asked for."""
    text = "The path holds the character NUL; an id has letters, digits, - and . only."
    if request.method in ("GET", "HEAD"):
        raise FhirError(404, "not-found", text)
    raise FhirError(400, "value", text)
