"""The FHIR face: read and search of Patient, Device and Observation.

Handlers know the store's Protocol and an authenticate function, nothing else. A plain ASGI
application: responses are bytes made by templates, so there is nothing to serialise.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wardlight_cloud.fhir import asking, paging, search
from wardlight_cloud.fhir.answers import (
    Answer,
    conditional,
    page_of,
    resource_answer,
    unforeseen,
)
from wardlight_cloud.fhir.bundle import NO_ENTRIES
from wardlight_cloud.fhir.capability import (
    DEVICE_PARAMETERS,
    PATIENT_PARAMETERS,
    capability_statement,
)
from wardlight_cloud.fhir.device_search import GATEWAY_ID, device_search
from wardlight_cloud.fhir.observation import entries, observation
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.parameters import split_values, token
from wardlight_cloud.fhir.resources import (
    device_resource,
    device_version,
    gateway_resource,
    patient_resource,
)
from wardlight_cloud.fhir.vocabulary import CLAIMED_PROFILES
from wardlight_cloud.store.base import DeviceRow, Gateway, ReadStore
from wardlight_shared.errors import StorageError

Authenticate = Callable[[Request], Awaitable[object]]
"""Raises PermissionError when the request carries no valid token."""

_Handler = Callable[[Request], Awaitable[Response]]
_PAGING: Final = ("_count", paging.SUMMARY, paging.TOTAL, paging.CURSOR)


PATH: Final = "/fhir"


class FhirFace:
    """The ASGI application; ``base_url`` None takes scheme and host of each request."""

    def __init__(
        self, store: ReadStore, authenticate: Authenticate, *, base_url: str | None = None
    ) -> None:
        self._store = store
        self._authenticate = authenticate
        self._base_url = base_url
        self._metadata = self._open(self._show_metadata)
        self._refuse = self._guarded(self._unknown)
        self._searches = {
            "Observation": self._guarded(self._search_observations),
            "Patient": self._guarded(self._search_patients),
            "Device": self._guarded(self._search_devices),
        }
        self._reads = {
            "Observation": self._guarded(self._read_observation),
            "Patient": self._guarded(self._read_patient),
            "Device": self._guarded(self._read_device),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3, for paths at and below PATH."""
        request = Request(scope, receive)
        response = await self._handler(scope)(request)
        await response(scope, receive, send)

    def _handler(self, scope: Scope) -> _Handler:
        """Three kinds of paths do not need a router, which costs more than a small search."""
        kind, slash, rest = scope["path"].removeprefix(PATH).removeprefix("/").partition("/")
        method = scope["method"]
        if method in ("GET", "HEAD"):
            if not slash:
                return self._metadata if kind == "metadata" else self._search(kind)
            if kind in self._reads and rest and "/" not in rest:
                scope["path_params"] = {"id": rest}
                return self._reads[kind]
        if method == "POST" and rest == "_search":
            return self._search(kind)
        return self._refuse

    def _search(self, kind: str) -> _Handler:
        return self._searches.get(kind, self._refuse)

    def _open(self, handler: _Handler) -> _Handler:
        """Turn our errors into OperationOutcomes."""

        async def answer(request: Request) -> Response:
            try:
                asking.check_accept(request)
                return await handler(request)
            except FhirError as error:
                return error.response()
            except StorageError:
                retry = {"Retry-After": "5"}
                text = "The database does not answer; try again."
                return FhirError(503, "transient", text, headers=retry).response()
            except Exception as error:  # noqa: BLE001 - a client of FHIR gets an OperationOutcome
                return unforeseen(error).response()

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
            return f"{self._base_url}{PATH}"
        return f"{request.scope['scheme']}://{asking.host(request)}{PATH}"

    async def _unknown(self, request: Request) -> Response:
        kind, _, rest = request.scope["path"].removeprefix(f"{PATH}/").partition("/")
        is_search = rest == "_search" and kind in self._searches
        if request.method in ("GET", "HEAD") or (request.method == "POST" and rest == "_search"):
            text = "This server has Patient, Device and Observation; see /fhir/metadata."
            raise FhirError(404, "not-found", text)
        text = "This server is read only; see /fhir/metadata."
        headers = {"Allow": "POST" if is_search else "GET, HEAD"}
        raise FhirError(405, "not-supported", text, headers=headers)

    async def _show_metadata(self, request: Request) -> Response:
        statement = capability_statement(self._base(request), CLAIMED_PROFILES)
        return resource_answer(orjson.dumps(statement))

    async def _search_observations(self, request: Request) -> Response:
        parameters = await asking.parameters(request)
        found = search.observation_search(parameters, strict=asking.is_strict(request))
        answer = Answer(self._base(request), "Observation", found.honoured)
        if found.matches_nothing:
            return answer.of(NO_ENTRIES, None, total=0)
        total = None
        if found.bundle is not paging.BundleKind.PAGE:
            total = await self._store.observation_count(found.query)
        if found.bundle is paging.BundleKind.TOTAL:
            return answer.of(NO_ENTRIES, None, total)
        page = await page_of(self._store.observations(found.query))
        return answer.of(partial(entries, page.rows), page.next, total)

    async def _read_observation(self, request: Request) -> Response:
        page = await self._store.observations(search.for_read(request.path_params["id"]))
        if not page.rows:
            raise _not_found("Observation", request)
        row = page.rows[0]
        return conditional(request, observation(row), str(row.commit_seq), row.stored_at)

    async def _search_patients(self, request: Request) -> Response:
        parameters = await asking.parameters(request)
        values = asking.single(
            parameters, (*PATIENT_PARAMETERS, *_PAGING), strict=asking.is_strict(request)
        )
        answer = Answer(self._base(request), "Patient", list(values.items()))
        identifier = values.get("identifier")
        find = partial(
            self._store.patients,
            ids=asking.ids(split_values(values["_id"])) if "_id" in values else None,
            identifier=None if identifier is None else token(asking.plain(identifier)),
            family_prefix=asking.plain(values["family"]) if "family" in values else None,
        )
        return await answer.of_pages(find, patient_resource)

    async def _read_patient(self, request: Request) -> Response:
        rows, _ = await self._store.patients(ids=asking.own_id(request.path_params["id"]))
        if not rows:
            raise _not_found("Patient", request)
        row = rows[0]
        body = orjson.dumps(patient_resource(row))
        return conditional(request, body, str(row.commit_seq), row.updated_at)

    async def _search_devices(self, request: Request) -> Response:
        parameters = await asking.parameters(request)
        values = asking.single(
            parameters, (*DEVICE_PARAMETERS, *_PAGING), strict=asking.is_strict(request)
        )
        answer = Answer(self._base(request), "Device", list(values.items()))
        wanted = device_search(values)
        find = partial(wanted.find, self._store)
        return await answer.of_pages(find, partial(_device_or_gateway, wanted.patient))

    async def _read_device(self, request: Request) -> Response:
        identity = request.path_params["id"]
        if identity.startswith(GATEWAY_ID):
            name = identity.removeprefix(GATEWAY_ID)
            for gateway in await self._store.gateways():
                if gateway.gateway == name:
                    return resource_answer(orjson.dumps(gateway_resource(gateway)))
            raise _not_found("Device", request)
        rows, _ = await self._store.devices(ids=asking.own_id(identity))
        if not rows:
            raise _not_found("Device", request)
        body = orjson.dumps(device_resource(rows[0]))
        return conditional(request, body, *device_version(rows[0]))


def _device_or_gateway(patient: UUID | None, row: DeviceRow | Gateway) -> dict[str, Any]:
    if isinstance(row, Gateway):
        return gateway_resource(row)
    return device_resource(row, None if patient is None else str(patient))


def _not_found(kind: str, request: Request) -> FhirError:
    return FhirError(404, "not-found", f"There is no {kind} with this id.")
