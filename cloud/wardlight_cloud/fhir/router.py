"""The FHIR face: read and search of Patient, Device and Observation.

Handlers know the store's Protocol and an authenticate function, nothing else. Plain Starlette
routes: responses are bytes made by templates, so there is nothing to serialise.
"""

from collections.abc import Awaitable, Callable, Sequence
from email.utils import format_datetime
from typing import Any, Final
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
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.outcome import MEDIA_TYPE, FhirError, invalid
from wardlight_cloud.fhir.resources import (
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
        page = await self._observations(found)
        resources = [(row.observation_id, observation(row)) for row in page.rows]
        return _searchset(base, "Observation", found.honoured, resources, page.next)

    async def _observations(self, found: search.Search) -> Any:
        try:
            return await self._store.observations(found.query)
        except ValueError as error:
            text = "not a cursor of this search; start again without it"
            raise invalid(search.CURSOR, text) from error

    async def _read_observation(self, request: Request) -> Response:
        page = await self._store.observations(search.for_read(request.path_params["id"]))
        if not page.rows:
            raise _not_found("Observation", request)
        row = page.rows[0]
        return _conditional(request, observation(row), row.commit_seq, row.stored_at)

    async def _search_patients(self, request: Request) -> Response:
        parameters, base = await _parameters(request), self._base(request)
        known = (*PATIENT_PARAMETERS, *_PAGING)
        honoured = _honoured(parameters, known, strict=_is_strict(request))
        values = dict(honoured)
        identifier = values.get("identifier")
        rows, after = await self._store.patients(
            ids=_ids(values.get("_id")),
            identifier=None if identifier is None else search.token(identifier),
            family_prefix=values.get("family"),
            count=_page_size(values),
            after=_after(values),
        )
        resources = bundle.dumped([patient_resource(row) for row in rows])
        return _searchset(base, "Patient", honoured, resources, after)

    async def _read_patient(self, request: Request) -> Response:
        rows, _ = await self._store.patients(ids=_ids(request.path_params["id"]))
        if not rows:
            raise _not_found("Patient", request)
        row = rows[0]
        body = orjson.dumps(patient_resource(row))
        return _conditional(request, body, row.commit_seq, row.updated_at)

    async def _search_devices(self, request: Request) -> Response:
        parameters, base = await _parameters(request), self._base(request)
        known = (*DEVICE_PARAMETERS, *_PAGING)
        honoured = _honoured(parameters, known, strict=_is_strict(request))
        values = dict(honoured)
        patient = values.get("patient")
        patient_id = None if patient is None else search.reference_id("patient", patient, "Patient")
        system, identity = search.token(values.get("identifier", ""))
        if system == GATEWAY_SYSTEM:
            gateways = [g for g in await self._store.gateways() if g.gateway == identity]
            resources = bundle.dumped([gateway_resource(gateway) for gateway in gateways])
            return _searchset(base, "Device", honoured, resources, None)
        if (patient is not None and patient_id is None) or system not in (None, IDENTITY_SYSTEM):
            return _searchset(base, "Device", honoured, [], None)
        rows, after = await self._store.devices(
            ids=_ids(values.get("_id")),
            patient=patient_id,
            identity=identity or None,
            count=_page_size(values),
            after=_after(values),
        )
        owner = None if patient_id is None else str(patient_id)
        resources = bundle.dumped([device_resource(row, owner) for row in rows])
        return _searchset(base, "Device", honoured, resources, after)

    async def _read_device(self, request: Request) -> Response:
        identity = request.path_params["id"]
        if identity.startswith("gateway-"):
            name = identity.removeprefix("gateway-")
            for gateway in await self._store.gateways():
                if gateway.gateway == name:
                    return _fhir(orjson.dumps(gateway_resource(gateway)))
            raise _not_found("Device", request)
        rows, _ = await self._store.devices(ids=_ids(identity))
        if not rows:
            raise _not_found("Device", request)
        body = orjson.dumps(device_resource(rows[0]))
        return _conditional(request, body, rows[0].commit_seq, rows[0].updated_at)


_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def _unknown(request: Request) -> Response:
    if request.method == "GET":
        text = "This server has Patient, Device and Observation; see /fhir/metadata."
        raise FhirError(404, "not-found", text)
    raise FhirError(405, "not-supported", "This server is read only; see /fhir/metadata.")


def _fhir(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, 200, headers, MEDIA_TYPE)


def _searchset(
    base: str,
    kind: str,
    honoured: search.Parameters,
    resources: Sequence[tuple[str, bytes]],
    cursor: bytes | None,
) -> Response:
    link = bundle.links(base, kind, honoured, cursor)
    return _fhir(bundle.searchset(link, base, kind, resources))


def _conditional(request: Request, body: bytes, version: int, updated: Any) -> Response:
    etag = f'W/"{version}"'
    headers = {"ETag": etag, "Last-Modified": format_datetime(updated, usegmt=True)}
    if request.headers.get("if-none-match") == etag:
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


def _honoured(
    parameters: search.Parameters, known: Sequence[str], *, strict: bool
) -> search.Parameters:
    if strict:
        search.refuse_unknown((name for name, _ in parameters), known)
    return [(name, text) for name, text in parameters if name in known and text]


def _is_strict(request: Request) -> bool:
    return "handling=strict" in request.headers.get("prefer", "").replace(" ", "")


def _check_accept(request: Request) -> None:
    wanted = request.query_params.get("_format") or request.headers.get("accept", "*/*")
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


def _page_size(values: dict[str, str]) -> int:
    return max(1, search.count("_count", values.get("_count", str(search.COUNT_DEFAULT))))


def _after(values: dict[str, str]) -> bytes | None:
    text = values.get(search.CURSOR)
    return None if text is None else search.cursor_bytes(text)


def _not_found(kind: str, request: Request) -> FhirError:
    return FhirError(404, "not-found", f"There is no {kind} with this id.")
