"""The face of the kinds of own/: one way of searching and reading for all of them."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging, search
from wardlight_cloud.fhir.answers import Answer, conditional, resource_answer
from wardlight_cloud.fhir.observation_texts import CLOCK_ID
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.own.asked import Asked
from wardlight_cloud.fhir.own.audit_event import AuditEvents
from wardlight_cloud.fhir.own.clock import coincident, is_clock
from wardlight_cloud.fhir.own.device_metric import DeviceMetrics
from wardlight_cloud.fhir.own.issue import DetectedIssues, Flags
from wardlight_cloud.fhir.own.kind import Made, OwnKind
from wardlight_cloud.fhir.own.provenance_search import Provenances, ProvenanceStore
from wardlight_cloud.fhir.own.stream_search import StreamSearches
from wardlight_cloud.fhir.parameters import honoured_parameters
from wardlight_cloud.fhir.sealed_pages import sealed
from wardlight_cloud.store.audit import AuditStore
from wardlight_cloud.store.device_facts import DeviceFactStore
from wardlight_cloud.store.sealing import CursorStore
from wardlight_cloud.store.streams import StreamStore

Handler = Callable[[Request], Awaitable[Response]]
_FORM: Final = ("_count", paging.SUMMARY, paging.TOTAL, paging.CURSOR)


class OwnStore(
    ProvenanceStore, AuditStore, DeviceFactStore, StreamStore, CursorStore, Protocol
):  # fmt: skip
    """What these kinds ask of the store."""


class OwnFace:
    """Handlers for the router; ``base`` gives the address of FHIR for a request.

    ``streams`` and ``provenances`` serve searches of Observations as well.
    """

    def __init__(self, store: OwnStore, base: Callable[[Request], str]) -> None:
        self.streams = StreamSearches(store, base)
        self.provenances = Provenances(store)
        self._kinds: tuple[OwnKind, ...] = (
            AuditEvents(store), DetectedIssues(store), DeviceMetrics(store), Flags(store),
            self.provenances,
        )  # fmt: skip
        self._store = store
        self._base = base

    def searches(self) -> dict[str, Handler]:
        """Kind to the handler of its search."""
        return {each.kind: partial(self._search, each) for each in self._kinds}

    def reads(self) -> dict[str, Handler]:
        """Kind to the handler of a read."""
        return {each.kind: partial(self._read, each) for each in self._kinds}

    async def read_clock(self, request: Request) -> Response | None:
        """What a device's clock said with a reading; None where there is none with this id."""
        name = request.path_params["id"]
        if not is_clock(name):
            return None
        query = isolation.observations(request, search.for_read(name.removeprefix(CLOCK_ID)))
        rows = () if query is None else (await self._store.observations(query)).rows
        told = coincident(rows[0]) if rows else None
        if told is None:
            return None
        return _answer(request, Made(told, str(rows[0].commit_seq), rows[0].stored_at))

    async def read_stream(self, request: Request) -> Response | None:
        """An Observation of a stream; None where there is none with this id."""
        made = await self.streams.read(request.path_params["id"], isolation.reach(request))
        return None if made is None else _answer(request, made)

    async def _search(self, kind: OwnKind, request: Request) -> Response:
        given = await asking.parameters(request)
        strict = asking.is_strict(request)
        honoured = honoured_parameters(given, (*kind.parameters, *_FORM), strict=strict)
        find = partial(_found, partial(kind.find, Asked(tuple(honoured)), isolation.reach(request)))
        answer = Answer(self._base(request), kind.kind, honoured)
        return await answer.of_pages(sealed(find, self._store, kind.kind, honoured), _resource)

    async def _read(self, kind: OwnKind, request: Request) -> Response:
        made = await kind.read(request.path_params["id"], isolation.reach(request))
        if made is None:
            raise FhirError(404, "not-found", f"There is no {kind.kind} with this id.")
        return _answer(request, made)


def _answer(request: Request, made: Made) -> Response:
    body = orjson.dumps(made.resource)
    if made.version is None or made.updated is None:
        return resource_answer(body)
    return conditional(request, body, made.version, made.updated)


async def _found(
    find: Callable[..., Awaitable[tuple[Any, bytes | None]]], *, count: int, after: bytes | None
) -> tuple[tuple[Made, ...], bytes | None]:
    rows, cursor = await find(count=count, after=after)
    return tuple(rows), cursor


def _resource(made: Made) -> dict[str, Any]:
    return made.resource
