"""What an operation is asked with: of the URL, or of a Parameters resource in the body.

Errors  FhirError 400, 413, 415
Source  R4 4.0.1 OperationDefinition; Parameters
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request

from wardlight_cloud.fhir import asking
from wardlight_cloud.fhir.addresses import with_local_references
from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.search_moments import FIRST, LAST, Span
from wardlight_cloud.fhir.stored import incoming

_MOST: Final = 200


async def invoked(request: Request) -> Parameters:
    """Names and texts; a Coding is ``system|code``, a Period ``start/end``."""
    if request.method != "POST":
        return await asking.parameters(request)
    return await posted(request)


async def posted(request: Request) -> Parameters:
    """Names and texts of the Parameters resource in the body."""
    value = await incoming.json_body(request)
    if not isinstance(value, dict) or value.get("resourceType") != "Parameters":
        raise FhirError(400, "structure", "The body is not a Parameters resource.")
    given = value.get("parameter", [])
    if not isinstance(given, list) or len(given) > _MOST:
        raise FhirError(400, "structure", f"parameter is not a list of up to {_MOST}.")
    base = request.scope.get(asking.BASE, "")
    return with_local_references([_pair(each) for each in given], base)


def _pair(given: Any) -> tuple[str, str]:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise FhirError(400, "structure", "Each parameter has a name and a value.")
    name = given["name"]
    values = [value for key, value in given.items() if key.startswith("value")]
    if len(values) != 1:
        raise invalid(name[:64], "has not one value")
    return name, _text(name, values[0])


def _text(name: str, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case {"reference": str(text)}:
            return text
        case {"code": str(code)}:
            return f"{value.get('system', '')}|{code}"
        case Mapping() if "start" in value or "end" in value:
            return f"{value.get('start', '')}/{value.get('end', '')}"
    try:
        return str(value) if not isinstance(value, dict | list) else _refused(name)
    except ValueError:
        return _refused(name)


def _refused(name: str) -> str:
    raise invalid(name[:64], "has a value of a type that this operation does not take")


def one(given: Parameters, name: str) -> str | None:
    """The value of a parameter that is given once at most."""
    found = [text for each, text in given if each == name and text]
    if len(found) > 1:
        raise invalid(name, "can be given once")
    return found[0] if found else None


def whole_number(given: Parameters, name: str, default: int, most: int) -> int:
    """A number from 1 to ``most``."""
    text = one(given, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= most:
        raise invalid(name, f"expected a whole number from 1 to {most}")
    return int(text)


def period(name: str, text: str) -> Span:
    """``start/end``; each may be missing, and a partial date is included."""
    start, slash, end = text.partition("/")
    if not slash or not (start or end):
        raise invalid(name, "write it as start/end, for instance 2026-01-01/2026-01-31")
    return edge(name, "ge", start) or FIRST, edge(name, "le", end) or LAST


def edge(name: str, prefix: str, text: str | None) -> datetime | None:
    """The instant of ``ge`` or ``le`` with a date."""
    if not text:
        return None
    try:
        (bound,) = bounds(prefix + text.replace(" ", "+"))
    except ValueError as error:
        raise invalid(name, str(error)) from error
    return bound.instant
