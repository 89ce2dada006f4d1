"""What an entry of a Bundle reads: path, query, and the versions that the client has.

Errors  FhirError 400
Source  R4 4.0.1 Bundle.entry.request.ifNoneMatch, ifModifiedSince
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from wardlight_cloud.fhir.escapes import pairs_of, unescaped
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.incoming import versions_of

Headers = list[tuple[bytes, bytes]]

_WHERE: Final = "request.url"


def read_of(request: dict[str, Any]) -> tuple[str, str, Headers]:
    """Of a GET whose url is a text; expressions of errors begin at the entry."""
    path, _, query = request["url"].lstrip("/").partition("?")
    pairs_of(query, _WHERE)
    headers: Headers = []
    tags, moment = request.get("ifNoneMatch"), request.get("ifModifiedSince")
    if tags is not None:
        if not isinstance(tags, str):
            raise _wrong("ifNoneMatch", "is not a text")
        versions_of(tags, "ifNoneMatch")
        headers.append((b"if-none-match", tags.encode()))
    if moment is not None:
        headers.append((b"if-modified-since", _date(moment).encode()))
    return unescaped(path, _WHERE), query, headers


def _date(moment: Any) -> str:
    """As HTTP writes it, in whole seconds."""
    try:
        found = datetime.fromisoformat(moment)
        if found.tzinfo is not None:
            return format_datetime(found.astimezone(UTC), usegmt=True)
    except (TypeError, ValueError, OverflowError):
        pass
    raise _wrong("ifModifiedSince", "is no instant like 2026-03-10T12:00:00Z")


def _wrong(element: str, why: str) -> FhirError:
    return FhirError(400, "value", f"{element} {why}.", expression=f"request.{element}")
