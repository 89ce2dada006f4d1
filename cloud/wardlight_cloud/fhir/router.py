"""The FHIR face: read and search of Patient, Device and Observation.

Handlers know the store's Protocol and an authenticate function, nothing else. Plain Starlette
routes: responses are bytes made by templates, so there is nothing to serialise.
"""

from collections.abc import Awaitable, Callable, Sequence
from email.utils import format_datetime
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wardlight_cloud.fhir import bundle, search
from wardlight_cloud.fhir.capability import (
    DEVICE_PARAMETERS,
    PATIENT_PARAMETERS,
    capability_statement,
)
from wardlight_cloud.fhir.observation import observation, observation_parts
from wardlight_cloud.fhir.outcome import MEDIA_TYPE, FhirError, invalid
from wardlight_cloud.fhir.resources import (
    BLUETOOTH_SYSTEM,
    GATEWAY_SYSTEM,
    IDENTITY_SYSTEM,
    device_resource,
    gateway_resource,
    patient_resource,
)
from wardlight_cloud.store.base import ReadStore
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import StorageError

Authenticate = Callable[[Request], Awaitable[object]]
"""Raises PermissionError when the request carries no valid token."""

_Found = TypeVar("_Found")
_Handler = Callable[[Request], Awaitable[Response]]
_JSON: Final = frozenset(
    {"application/fhir+json", "application/json", "json", "*/*", "application/*", ""}
)
_FORM: Final = "application/x-www-form-urlencoded"
_PAGING: Final = ("_count", search.CURSOR)


class FhirFace:
    """Builds the routes; ``base_url`` None takes scheme and host of each request."""

    def __init__(
        self, store: ReadStore, authenticate: Authenticate, *, base_url: str | None = None
    ) -> None:
        self._store = store
        self._authenticate = authenticate
        self._base_url = base_url

    def routes(self) -> list[Route]:
        """All routes below the mount point."""
        searches = {
            "Observation": self._search_observations,
            "Patient": self._search_patients,
            "Device": self._search_devices,
        }
        reads = {
            "Observation": self._read_observation,
            "Patient": self._read_patient,
            "Device": self._read_device,
        }
        routes = [Route("/metadata", self._open(self._metadata))]
        for kind, handler in searches.items():
            guarded = self._guarded(handler)
            routes.append(Route(f"/{kind}", guarded, methods=["GET"]))
            routes.append(Route(f"/{kind}/_search", guarded, methods=["POST"]))
            routes.append(Route(f"/{kind}/{{id}}", self._guarded(reads[kind])))
        routes.append(Route("/{path:path}", self._guarded(_unknown), methods=_METHODS))
        return routes

    def _open(self, handler: _Handler) -> _Handler:
        """Turn our errors into OperationOutcomes."""

        async def answer(request: Request) -> Response:
            try:
                _check_accept(request)
                return await handler(request)
            except FhirError as error:
                return error.response()
            except StorageError:
                retry = {"Retry-After": "5"}
                text = "The database does not answer; try again."
                return FhirError(503, "transient", text, headers=retry).response()

        return answer

    def _guarded(self, handler: _Handler) -> _Handler:
        """The same, for requests that need a token."""

        async def guarded(request: Request) -> Response:
            try:
                await self._authenticate(request)
            except PermissionError as error:
                challenge = {"WWW-Authenticate": 'Bearer realm="fhir"'}
                raise FhirError(401, "login", str(error), headers=challenge) from error
            return await handler(request)

        return self._open(guarded)

    def _base(self, request: Request) -> str:
        if self._base_url is not None:
            return f"{self._base_url}/fhir"
        return f"{request.url.scheme}://{request.url.netloc}/fhir"

    async def _metadata(self, request: Request) -> Response:
        profiles = {m.r4_profile for m in METRICS.values()} - {""}
        statement = capability_statement(self._base(request), tuple(sorted(profiles)))
        return _fhir(orjson.dumps(statement))

    async def _search_observations(self, request: Request) -> Response:
        parameters = await _parameters(request)
        found = search.observation_search(parameters, strict=_is_strict(request))
        base = self._base(request)
        if found.matches_nothing:
            return _searchset(base, "Observation", found.honoured, [], None)
        page = await _page(self._store.observations(found.query))
        resources = [(row.observation_id, observation_parts(row)) for row in page.rows]
        return _searchset(base, "Observation", found.honoured, resources, page.next)

    async def _read_observation(self, request: Request) -> Response:
        page = await self._store.observations(search.for_read(request.path_params["id"]))
        if not page.rows:
            raise _not_found("Observation", request)
        row = page.rows[0]
        return _conditional(request, observation(row), row.commit_seq, row.stored_at)

    async def _search_patients(self, request: Request) -> Response:
        parameters, base = await _parameters(request), self._base(request)
        known = (*PATIENT_PARAMETERS, *_PAGING)
        values = _single(parameters, known, strict=_is_strict(request))
        honoured = list(values.items())
        identifier = values.get("identifier")
        found = self._store.patients(
            ids=_ids(values.get("_id")),
            identifier=None if identifier is None else search.token(_plain(identifier)),
            family_prefix=_plain(values["family"]) if "family" in values else None,
            count=_page_size(values),
            after=_after(values),
        )
        rows, after = await _page(found)
        resources = bundle.dumped([patient_resource(row) for row in rows])
        return _searchset(base, "Patient", honoured, resources, after)

    async def _read_patient(self, request: Request) -> Response:
        rows, _ = await self._store.patients(ids=_own_id(request.path_params["id"]))
        if not rows:
            raise _not_found("Patient", request)
        row = rows[0]
        body = orjson.dumps(patient_resource(row))
        return _conditional(request, body, row.commit_seq, row.updated_at)

    async def _search_devices(self, request: Request) -> Response:
        parameters, base = await _parameters(request), self._base(request)
        known = (*DEVICE_PARAMETERS, *_PAGING)
        values = _single(parameters, known, strict=_is_strict(request))
        honoured = list(values.items())
        if "patient" in values:
            owner = search.reference_id("patient", values["patient"], "Patient")
            if owner is None:
                return _searchset(base, "Device", honoured, [], None)
        else:
            owner = None
            gateways = await self._gateways_of(values)
            if gateways is not None:
                return _searchset(base, "Device", honoured, bundle.dumped(gateways), None)
        identity = None if "identifier" not in values else _identity(values["identifier"])
        if identity == "":
            return _searchset(base, "Device", honoured, [], None)
        found = self._store.devices(
            ids=_ids(values.get("_id")),
            patient=owner,
            identity=identity,
            count=_page_size(values),
            after=_after(values),
        )
        rows, after = await _page(found)
        shown = None if owner is None else str(owner)
        resources = bundle.dumped([device_resource(row, shown) for row in rows])
        return _searchset(base, "Device", honoured, resources, after)

    async def _gateways_of(self, values: dict[str, str]) -> list[dict[str, Any]] | None:
        """Gateways that a Device search asks for by id or identifier; None = it asks for none."""
        system, name = search.token(_plain(values.get("identifier", "")))
        ids = [i for i in search.split_values(values.get("_id", "")) if i.startswith(_GATEWAY)]
        if system != GATEWAY_SYSTEM and not ids:
            return None
        names = {identity.removeprefix(_GATEWAY) for identity in ids} or {name}
        return [gateway_resource(g) for g in await self._store.gateways() if g.gateway in names]

    async def _read_device(self, request: Request) -> Response:
        identity = request.path_params["id"]
        if identity.startswith(_GATEWAY):
            name = identity.removeprefix(_GATEWAY)
            for gateway in await self._store.gateways():
                if gateway.gateway == name:
                    return _fhir(orjson.dumps(gateway_resource(gateway)))
            raise _not_found("Device", request)
        rows, _ = await self._store.devices(ids=_own_id(identity))
        if not rows:
            raise _not_found("Device", request)
        body = orjson.dumps(device_resource(rows[0]))
        return _conditional(request, body, rows[0].commit_seq, rows[0].updated_at)


_GATEWAY: Final = "gateway-"
_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def _unknown(request: Request) -> Response:
    if request.method == "GET":
        text = "This server has Patient, Device and Observation; see /fhir/metadata."
        raise FhirError(404, "not-found", text)
    text = "This server is read only; see /fhir/metadata."
    raise FhirError(405, "not-supported", text, headers={"Allow": "GET, HEAD"})


def _fhir(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, 200, headers, MEDIA_TYPE)


def _searchset(
    base: str,
    kind: str,
    honoured: search.Parameters,
    resources: Sequence[bundle.Resource],
    cursor: bytes | None,
) -> Response:
    link = bundle.links(base, kind, honoured, cursor)
    return _fhir(bundle.searchset(link, base, kind, resources))


def _conditional(request: Request, body: bytes, version: int, updated: Any) -> Response:
    etag = f'W/"{version}"'
    headers = {"ETag": etag, "Last-Modified": format_datetime(updated, usegmt=True)}
    shown = request.headers.get("if-none-match", "").split(",")
    if any(tag.strip() in ("*", etag, etag.removeprefix("W/")) for tag in shown):
        return Response(status_code=304, headers=headers)
    return _fhir(body, headers)


async def _parameters(request: Request) -> search.Parameters:
    parameters = list(request.query_params.multi_items())
    if request.method == "POST":
        if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
            raise FhirError(415, "not-supported", f"_search takes a body of type {_FORM}")
        body = (await request.body()).decode("utf-8", "replace")
        parameters += parse_qsl(body, keep_blank_values=True)
    return parameters


def _single(parameters: search.Parameters, known: Sequence[str], *, strict: bool) -> dict[str, str]:
    """Honoured parameters of a search that takes each of them once."""
    honoured = search.honoured_parameters(parameters, known, strict=strict)
    values = dict(honoured)
    if len(values) < len(honoured):
        twice = next(name for name, _ in honoured if len([n for n, _ in honoured if n == name]) > 1)
        raise invalid(twice, "can be given once")
    for name in ("identifier", "family"):
        if len(search.split_values(values.get(name, ""))) > 1:
            raise invalid(name, "a comma list is not supported")
    return values


def _identity(text: str) -> str:
    """Device identity of an identifier token; "" = none of ours."""
    system, value = search.token(_plain(text))
    if system == BLUETOOTH_SYSTEM:
        return "ble:" + value.replace("-", "").upper()
    return value if system in (None, IDENTITY_SYSTEM) else ""


def _plain(text: str) -> str:
    """A single value without its escapes."""
    return "".join(search.split_values(text))


def _is_strict(request: Request) -> bool:
    return "handling=strict" in request.headers.get("prefer", "").replace(" ", "")


def _check_accept(request: Request) -> None:
    # A "+" that a client did not escape arrives as a space.
    form = request.query_params.get("_format", "").replace(" ", "+")
    wanted = form or request.headers.get("accept", "*/*")
    kinds = {part.partition(";")[0].strip().lower() for part in wanted.split(",")}
    if kinds.isdisjoint(_JSON):
        raise FhirError(406, "not-supported", f"This server speaks {MEDIA_TYPE}.")


def _ids(text: str | None) -> list[UUID] | None:
    if text is None:
        return None
    found = []
    for value in search.split_values(text):
        try:
            found.append(UUID(value))
        except ValueError:
            continue  # not an id of ours: matches nothing
    return found


def _own_id(text: str) -> list[UUID]:
    """The id of a read: as this server writes it, or none."""
    found = _ids(text) or []
    return found if [str(each) for each in found] == [text] else []


async def _page(found: Awaitable[_Found]) -> _Found:
    """A page of the store; 400 for a cursor that is none of this search."""
    try:
        return await found
    except ValueError as error:
        text = "not a cursor of this search; start again without it"
        raise invalid(search.CURSOR, text) from error


def _page_size(values: dict[str, str]) -> int:
    return max(1, search.count("_count", values.get("_count", str(search.COUNT_DEFAULT))))


def _after(values: dict[str, str]) -> bytes | None:
    text = values.get(search.CURSOR)
    return None if text is None else search.cursor_bytes(text)


def _not_found(kind: str, request: Request) -> FhirError:
    return FhirError(404, "not-found", f"There is no {kind} with this id.")
