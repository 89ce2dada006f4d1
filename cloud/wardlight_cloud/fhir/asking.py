"""What a request says: parameters, identifiers, media types, how strict to be.

Errors  FhirError 400, 406, 413 and 415
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from starlette.requests import Request

from wardlight_cloud.fhir.addresses import with_local_references
from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.escapes import pairs_of, query_pairs
from wardlight_cloud.fhir.outcome import MEDIA_TYPE, FhirError, invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.parameters import honoured_parameters, split_values, token, uuid
from wardlight_cloud.fhir.preferences import preferences
from wardlight_cloud.fhir.remembered import remembered
from wardlight_cloud.fhir.resources import BLUETOOTH_SYSTEM, IDENTITY_SYSTEM
from wardlight_cloud.security.who import note_patients

_JSON: Final = frozenset(
    {
        "application/fhir+json", "application/json", "text/json", "json", "*/*", "application/*",
        "application/json+fhir",  # DSTU2's name, which old clients still ask for
        "",
    }
)  # fmt: skip
_VERSIONS: Final = frozenset({"4.0", "4.0.0", "4.0.1"})
_LINES: Final = frozenset({"application/fhir+ndjson", "application/ndjson"})
_SPOKEN: Final = (
    "This server speaks JSON of FHIR R4 only, no XML, RDF or HTML, no other version: ask for "
    f"{MEDIA_TYPE} in Accept, or with _format=json."
)
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
BASE: Final = "wardlight.fhir_base"
"""Where in the scope of a request the address of this server stands."""

_WHOSE: Final = frozenset({"patient", "subject", "patient:Patient", "subject:Patient"})
_FORM: Final = "application/x-www-form-urlencoded"
_FORM_MAX: Final = 64 * 1024  # what servers and proxies take of a URL, for the same parameters


async def parameters(request: Request) -> Parameters:
    """Of the URL, and of the form of a POST; references at our own address are relative."""
    found = query_pairs(request)
    if request.method == "POST":
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise FhirError(415, "not-supported", f"_search takes a body of type {_FORM}")
        found += pairs_of(await _form(request), "http.body")
    for name, value in found:
        if "\0" in value:  # PostgreSQL refuses it even as something to look for
            raise invalid(name, "holds the character NUL, which no text of FHIR has")
    given = with_local_references(found, request.scope.get(BASE, ""))
    note_patients(request.scope, _patients(given))
    return given


def _patients(given: Parameters) -> Iterable[str]:
    """Patients who are asked for by id."""
    for name, text in given:
        if name in _WHOSE:
            of, _, found = text.rpartition("/")
            if of in ("", "Patient") and uuid(found) is not None:
                yield found.lower()


async def _form(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_MAX:
            raise FhirError(413, "too-long", f"_search takes a body of up to {_FORM_MAX} bytes")
    return body


def single(given: Parameters, known: Sequence[str], *, strict: bool) -> dict[str, str]:
    """Honoured parameters of a search that takes each of them once."""
    honoured = honoured_parameters(given, known, strict=strict)
    values = dict(honoured)
    if len(values) < len(honoured):
        twice = next(name for name, _ in honoured if len([n for n, _ in honoured if n == name]) > 1)
        raise invalid(twice, "can be given once")
    for name in ("identifier", "family"):
        if len(split_values(values.get(name, ""))) > 1:
            raise invalid(name, "a comma list is not supported")
    return values


def refuse_moment(given: Parameters) -> None:
    """A history without ``_at`` would tell versions of other times, too."""
    if any(name == "_at" for name, _ in given):
        raise invalid("_at", "is not supported; take _since, or the version that you want")


def identity(text: str) -> str:
    """Device identity of an identifier token without escapes; "" = none of ours."""
    system, value = token(text)
    if system == BLUETOOTH_SYSTEM:
        return "ble:" + value.replace("-", "").upper()
    return value if system in (None, IDENTITY_SYSTEM) else ""


def plain(text: str) -> str:
    """A single value without its escapes."""
    return "".join(split_values(text))


def is_strict(request: Request) -> bool:
    """Whether unknown parameters are to be refused."""
    return preferences(request).get("handling") == "strict"


def check_accept(request: Request) -> None:
    """Refuse who wants something else than JSON."""
    # A "+" that a client did not escape arrives as a space.
    has_format = b"_format" in request.scope["query_string"]
    form = dict(query_pairs(request)).get("_format", "").replace(" ", "+") if has_format else ""
    wanted = form or ",".join(request.headers.getlist("accept")) or "*/*"
    if _takes_json(wanted):
        return
    is_of_lines = request.scope["path"].endswith(".ndjson")
    if not (is_of_lines and not _kinds(wanted).isdisjoint(_LINES)):
        raise FhirError(406, "not-supported", _SPOKEN, expression="http.Accept")


@remembered(256)
def _takes_json(wanted: str) -> bool:
    return not _kinds(wanted).isdisjoint(_JSON)


def _kinds(wanted: str) -> set[str]:
    """Media types that are asked for in this version of FHIR, or in any."""
    parts = [part.lower().split(";") for part in wanted.split(",")]
    return {kind.strip() for kind, *more in parts if all(map(is_of_r4, more))}


def is_of_r4(parameter: str) -> bool:
    """Whether a parameter of a media type names no other version of FHIR (R4 3.1.0.1.11.1)."""
    name, _, value = parameter.partition("=")
    return name.strip().lower() != "fhirversion" or value.strip().strip('"') in _VERSIONS


def host(request: Request) -> str:
    """Where the client says it found this server; it becomes part of links, so it is checked."""
    named = request.headers.get("host") or request.url.netloc
    if _HOST.fullmatch(named) is None:
        raise FhirError(400, "invalid", "Host: neither a name nor an address with a port")
    return named


def ids(values: Iterable[str]) -> list[UUID]:
    """Those of the texts that can be ids of ours; the others match nothing."""
    found = [uuid(value) for value in values]
    return [each for each in found if each is not None]


def own_id(text: str) -> list[UUID]:
    """The id of a read: as this server writes it, or none."""
    found = ids([text])
    return found if [str(each) for each in found] == [text] else []


def since(values: Mapping[str, str]) -> datetime | None:
    """``_since`` of a history."""
    text = values.get("_since")
    if text is None:
        return None
    try:
        (bound,) = bounds("ge" + text.replace(" ", "+"))
    except ValueError as error:
        raise invalid("_since", str(error)) from error
    return bound.instant
