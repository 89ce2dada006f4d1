"""Bodies of requests, read in a bounded way, and what headers say of them.

Errors  FhirError 400, 413, 415
"""

import re
from typing import Any, Final, Literal

from starlette.requests import Request

from wardlight_cloud.fhir.asking import is_of_r4
from wardlight_cloud.fhir.escapes import header_text, pairs_of
from wardlight_cloud.fhir.outcome import MEDIA_TYPE, FhirError, IssueType
from wardlight_cloud.fhir.preferences import preferences
from wardlight_cloud.fhir.stored.body import parsed
from wardlight_cloud.fhir.stored.wishes import ANY_VERSION, Query

RESOURCE_BYTES: Final = 1 << 20
BUNDLE_BYTES: Final = 10 << 20
JSON: Final = frozenset({MEDIA_TYPE, "application/json"})
JSON_PATCH: Final = frozenset({"application/json-patch+json"})
_ETAG: Final = re.compile(r'(?:W/)?"(?P<version>[^",]{0,64})"')

IfMatch = frozenset[int] | Literal["*"] | None
Return = Literal["minimal", "representation", "OperationOutcome"]


async def json_body(
    request: Request, *, limit: int = RESOURCE_BYTES, kinds: frozenset[str] = JSON
) -> Any:
    """JSON values of the body."""
    media_type, *more = request.headers.get("content-type", "").split(";")
    if media_type.strip().lower() not in kinds:
        text = f"Send a body of type {' or '.join(sorted(kinds))}; this server reads no XML."
        raise FhirError(415, "not-supported", text, expression="http.Content-Type")
    if not all(map(is_of_r4, more)):
        text = "The body is said to be of another version of FHIR; this server reads R4 (4.0)."
        raise FhirError(415, "not-supported", text, expression="http.Content-Type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise FhirError(415, "not-supported", "Send the body without Content-Encoding.")
    return parsed(await _octets(request, limit))


async def _octets(request: Request, limit: int) -> bytes:
    """The body; refused as soon as it is known to be too long."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:18]) > limit:
        raise _too_long(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_long(limit)
    return bytes(body)


def _too_long(limit: int) -> FhirError:
    text = f"The body may have {limit} octets at most."
    return FhirError(413, "too-long", text, headers={"Connection": "close"})


def resource_of(value: Any, kind: str) -> dict[str, Any]:
    """The resource of a body, which must be of this kind."""
    if not isinstance(value, dict):
        raise _wrong("structure", "The body is not a resource: a JSON object.", kind)
    if value.get("resourceType") != kind:
        text = f"resourceType is not {kind}, to which it was sent."
        raise _wrong("invalid", text, f"{kind}.resourceType")
    if not isinstance(value.get("id", ""), str):
        raise _wrong("value", "The id is not a text.", f"{kind}.id")
    if not isinstance(value.get("meta", {}), dict):
        raise _wrong("structure", "meta is not an object.", f"{kind}.meta")
    return value


def _wrong(code: IssueType, diagnostics: str, expression: str) -> FhirError:
    return FhirError(400, code, diagnostics, expression=expression)


def if_match(request: Request) -> IfMatch:
    """The versions of which the client wants to change one; "*": whichever there is."""
    return versions_of(_list_header(request, "if-match"), "If-Match")


def if_none_match(request: Request) -> IfMatch:
    """The versions that the client does not want to change; "*": it wants to make the first."""
    return versions_of(_list_header(request, "if-none-match"), "If-None-Match")


def _list_header(request: Request, name: str) -> str | None:
    """A list on as many lines as a client likes (RFC 9110 5.3)."""
    lines = request.headers.getlist(name)
    return ",".join(lines) if lines else None


def versions_of(text: str | None, name: str) -> IfMatch:
    """The versions of ETags (RFC 9110 13.1.1); one that is none of ours is never current."""
    if text is None:
        return None
    if text.strip() == ANY_VERSION:
        return "*"
    matches = [_ETAG.fullmatch(each.strip()) for each in text.split(",") if each.strip()]
    found = [match["version"] for match in matches if match is not None]
    if not found or len(found) < len(matches):
        text = f'{name}: write versions as W/"123", with commas between, or * for any.'
        raise FhirError(400, "invalid", text, expression=f"http.{name}")
    return frozenset(
        int(each) for each in found if each.isascii() and each.isdigit() and len(each) < 19
    )


def if_none_exist(request: Request) -> Query | None:
    """The condition of a create."""
    text = header_text(request, "If-None-Exist")
    return None if text is None else query_of(text, "http.If-None-Exist")


def query_of(text: str | bytes, where: str = "http.query") -> Query:
    """Parameters of a condition, without those about the answer; octets are a query of a URL."""
    if isinstance(text, str):
        _, mark, query = text.partition("?")
        text = query if mark else text
    pairs = pairs_of(text, where)
    if any("\0" in name + value for name, value in pairs):
        raise FhirError(400, "invalid", "The condition holds the character NUL.")
    return tuple((name, value) for name, value in pairs if name not in ("_format", "_pretty"))


def wanted_return(request: Request) -> Return:
    """What the answer to a change should hold."""
    asked = preferences(request).get("return")
    if asked == "minimal":
        return "minimal"
    return "OperationOutcome" if asked == "operationoutcome" else "representation"
