"""A handler behind authentication, and what a client is told when it fails."""

import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from wardlight_cloud.dicomweb.access import Authenticate, Reach, reach
from wardlight_cloud.dicomweb.errors import DicomWebError, FileChangedError
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.object_base import ObjectMissingError
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_RETRY_S: Final = 5

Handler = Callable[[Request, Reach], Awaitable[Response]]


class Guarded:
    """A handler behind authentication, its errors turned into answers while none has begun."""

    def __init__(
        self, handler: Handler, authenticate: Authenticate, interaction: Interaction, cold_s: int
    ) -> None:
        self._cold_s = cold_s
        self._handler = handler
        self._authenticate = authenticate
        self._interaction = interaction

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        is_begun = False

        async def noting(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        request = Request(scope, receive)
        try:
            interaction = Interaction.CREATE if request.method == "POST" else self._interaction
            who = await reach(request, self._authenticate, interaction)
            try:
                response = await self._handler(request, who)
            except FileChangedError:
                response = await self._handler(request, who)  # what was remembered is forgotten
            await response(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - supervises one request; logged and told below
            if is_begun:
                _note("an answer was broken off", error)
                raise _BrokenOff from None
            is_cold = getattr(request.state, "is_cold", False)
            refusal = _refusal(error, self._cold_s if is_cold else None)
            await refusal.response()(scope, receive, send)


class _BrokenOff(Exception):
    """An answer could not be finished; the server closes the connection, so the client sees it."""


def _refusal(error: Exception, cold_s: int | None) -> DicomWebError:
    """``cold_s``: how long what was asked for takes, if it lies in the second place."""
    if isinstance(error, DicomWebError):
        return error
    if isinstance(error, ObjectMissingError):
        _note("an object of the index is missing", error)
        return DicomWebError(500, "The stored object is missing; the operator has to look.")
    if isinstance(error, StorageError) and cold_s is not None:
        text = (
            "What was asked for lies in the second, slow place of images, which does not give it "
            f"now; reading from there takes about {cold_s} s. Ask again then."
        )
        return DicomWebError(503, text, {"Retry-After": str(max(cold_s, _RETRY_S))})
    if isinstance(error, StorageError):
        text = "The database or the object store does not answer; try again."
        return DicomWebError(503, text, {"Retry-After": str(_RETRY_S)})
    number = _note("dicomweb request failed", error)
    return DicomWebError(500, f"The server failed; its log knows more under {number}.")


def _note(what: str, error: Exception) -> str:
    """A line in the log without the text of the error: it may hold values of a patient."""
    number = secrets.token_hex(8)
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename.rpartition('/')[2]}:{last.lineno} {last.name}"
    fields = {"error_id": number, "error": type(error).__name__, "at": place}
    _log.error(what, extra=fields)
    return number
