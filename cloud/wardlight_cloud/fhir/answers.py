"""Answers: Bundles of a search, single resources with their version, and what nobody foresaw."""

import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import bundle, paging
from wardlight_cloud.fhir.outcome import MEDIA_TYPE, FhirError, invalid
from wardlight_cloud.store.resources import SeveralPeople
from wardlight_shared.errors import StorageError

_Found = TypeVar("_Found")
_Row = TypeVar("_Row")
_Find = Callable[..., Awaitable[tuple[tuple[_Row, ...], bytes | None]]]
_CANCELLED: Final = "57014"  # SQLSTATE: the server's own limit was reached
_COUNTED_AT_ONCE: Final = 1000

_log = logging.getLogger(__name__)


def resource_answer(body: bytes, headers: dict[str, str] | None = None) -> Response:
    """FHIR JSON."""
    return Response(body, 200, headers, MEDIA_TYPE)


class Answer:
    """The Bundle of one search."""

    def __init__(self, base: str, kind: str, honoured: paging.Parameters) -> None:
        self._base = base
        self._kind = kind
        self._honoured = honoured

    def of(self, entries: bundle.Entries, cursor: bytes | None, total: int | None) -> Response:
        """A page of resources."""
        link = bundle.links(self._base, self._kind, self._honoured, cursor)
        return resource_answer(bundle.searchset(link, self._base, self._kind, entries, total))

    async def of_pages(
        self,
        find: _Find[_Row],
        resource: Callable[[_Row], dict[str, Any]],
    ) -> Response:
        """A page of what ``find(count=, after=)`` finds in the register."""
        asked = paging.bundle_asked_for(self._honoured)
        total = None if asked is paging.BundleKind.PAGE else await _counted(find)
        if asked is paging.BundleKind.TOTAL:
            return self.of(bundle.NO_ENTRIES, None, total)
        values = dict(self._honoured)
        rows, cursor = await page_of(find(count=_page_size(values), after=_after(values)))
        return self.of(bundle.dumped([resource(row) for row in rows]), cursor, total)


async def _counted(find: _Find[_Row]) -> int:
    """How many rows all pages have; a register is small."""
    total, cursor = 0, None
    while True:
        rows, cursor = await find(count=_COUNTED_AT_ONCE, after=cursor)
        total += len(rows)
        if cursor is None:
            return total


def unforeseen(error: Exception) -> FhirError:
    """500 with a number that stands in the log, too, and nothing of the error itself."""
    number = secrets.token_hex(8)
    # No text of the error: it may hold values of a patient.
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    place = f"{last.filename.rpartition('/')[2]}:{last.lineno} {last.name}"
    fields = {"error_id": number, "error": type(error).__name__, "at": place}
    _log.error("fhir request failed", extra=fields)
    return FhirError(500, "exception", f"The server failed; its log knows more under {number}.")


def unanswered(error: StorageError) -> FhirError:
    """503 for a database that is away, or that was asked for more than it may take long for."""
    cause = error.__cause__
    if isinstance(cause, TimeoutError) or getattr(cause, "sqlstate", None) == _CANCELLED:
        text = (
            "The database did not finish in the time that one statement may take. Ask for less: "
            "one patient, fewer days, a code; without _total."
        )
        return FhirError(503, "timeout", text, headers={"Retry-After": "30"})
    text = "The database does not answer; try again."
    return FhirError(503, "transient", text, headers={"Retry-After": "5"})


def several_people(error: SeveralPeople, status: int = 400) -> FhirError:
    """400, or another status, for a chain by an identifier that several Patients have."""
    text = (
        "Several Patients have this identifier, so what is found would be of two people. Search "
        "Patient?identifier=... and name one of them by id."
    )
    expression = f"http.{error.param}.identifier"
    return FhirError(status, "multiple-matches", text, expression=expression)


def version_headers(version: str, updated: datetime) -> dict[str, str]:
    """ETag and Last-Modified."""
    modified = format_datetime(updated.astimezone(UTC), usegmt=True)
    return {"ETag": f'W/"{version}"', "Last-Modified": modified}


def conditional(request: Request, body: bytes, version: str, updated: datetime) -> Response:
    """A resource with its version; 304 when the client has it.

    If-Modified-Since counts only without If-None-Match (RFC 9110 13.1.3), and says whole seconds:
    of one in which the resource changed it does not tell which of its versions the client has. Nor
    does a second that is still to come, of a client whose clock is fast.
    """
    headers = version_headers(version, updated)
    shown = ",".join(request.headers.getlist("if-none-match"))
    if not shown:
        has_it = _is_not_modified_since(request, updated)
    else:
        etag = headers["ETag"]
        known = ("*", etag, etag.removeprefix("W/"))
        has_it = any(tag.strip() in known for tag in shown.split(","))
    if has_it:
        return Response(status_code=304, headers=headers)
    return resource_answer(body, headers)


def _is_not_modified_since(request: Request, updated: datetime) -> bool:
    text = request.headers.get("if-modified-since")
    if text is None:
        return False
    try:
        return updated.replace(microsecond=0) < parsedate_to_datetime(text) <= datetime.now(UTC)
    except (TypeError, ValueError):  # R4 and HTTP: a date that cannot be read is left out
        return False


async def page_of(found: Awaitable[_Found]) -> _Found:
    """A page of the store; 400 for a cursor that is none of this search."""
    try:
        return await found
    except ValueError as error:
        text = "not a cursor of this search; start again without it"
        raise invalid(paging.CURSOR, text) from error


def _page_size(values: dict[str, str]) -> int:
    return max(1, paging.count("_count", values.get("_count", str(paging.COUNT_DEFAULT))))


def _after(values: dict[str, str]) -> bytes | None:
    text = values.get(paging.CURSOR)
    return None if text is None else paging.cursor_bytes(text)
