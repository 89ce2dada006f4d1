"""Searches and reads of Device: gateways, the collector's software, sensors."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging
from wardlight_cloud.fhir.answers import Answer, conditional, resource_answer
from wardlight_cloud.fhir.capability import DEVICE_PARAMETERS
from wardlight_cloud.fhir.device_search import (
    COLLECTOR,
    DeviceSearch,
    Row,
    device_of,
    device_search,
)
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.own.asked import Asked
from wardlight_cloud.fhir.parameters import honoured_parameters
from wardlight_cloud.fhir.resources import (
    collector_resource,
    device_resource,
    device_version,
    gateway_resource,
)
from wardlight_cloud.fhir.sealed_pages import sealed
from wardlight_cloud.store.base import DeviceRow, Gateway, ReadStore
from wardlight_cloud.store.device_facts import DeviceFactStore
from wardlight_cloud.store.sealing import CursorStore

_CHANGED = "_lastUpdated"
_PAGING = ("_count", paging.SUMMARY, paging.TOTAL, paging.CURSOR)

_Shown = tuple[Row, UUID | None, tuple[int, ...]]
"""A device, its patient where one is asked for, and the metrics that it has measured."""


class DeviceStore(ReadStore, DeviceFactStore, CursorStore, Protocol):
    """What is asked of the store."""


class DeviceFace:
    """Handlers for the router; ``base`` gives the address of FHIR for a request."""

    def __init__(self, store: DeviceStore, base: Callable[[Request], str]) -> None:
        self._store = store
        self._base = base

    async def search(self, request: Request) -> Response:
        """A page of devices."""
        parameters = await asking.parameters(request)
        is_strict = asking.is_strict(request)
        # A range of time is two of these; of all others there is one at most.
        times = [each for each in parameters if each[0].partition(":")[0] == _CHANGED]
        others = [each for each in parameters if each not in times]
        changed = honoured_parameters(times, (_CHANGED,), strict=is_strict)
        values = asking.single(others, (*DEVICE_PARAMETERS, *_PAGING), strict=is_strict)
        honoured = [*values.items(), *changed]
        answer = Answer(self._base(request), "Device", honoured)
        during = Asked(tuple(changed)).interval(_CHANGED)
        wanted = isolation.devices(request, device_search(values, during))
        find = sealed(partial(self._find, wanted), self._store, "Device", honoured)
        return await answer.of_pages(find, _resource)

    async def read(self, request: Request) -> Response:
        """One device."""
        wanted = isolation.devices(request, device_of(request.path_params["id"]))
        found, _ = await self._find(wanted, count=1, after=None)
        if not found:
            raise FhirError(404, "not-found", "There is no Device with this id.")
        row, _, metrics = found[0]
        if not isinstance(row, DeviceRow):
            return resource_answer(orjson.dumps(_resource(found[0])))
        body = orjson.dumps(device_resource(row, None, metrics))
        return conditional(request, body, *device_version(row))

    async def _find(
        self, wanted: DeviceSearch, *, count: int, after: bytes | None
    ) -> tuple[tuple[_Shown, ...], bytes | None]:
        rows, cursor = await wanted.find(self._store, count=count, after=after)
        metrics = await _metrics(self._store.metrics_of, rows)
        shown = [
            (
                row,
                wanted.patient,
                metrics.get(row.device_id, ()) if isinstance(row, DeviceRow) else (),
            )
            for row in rows
        ]
        return tuple(shown), cursor


async def _metrics(
    ask: Callable[[Sequence[UUID]], Awaitable[Sequence[tuple[UUID, int]]]], rows: Sequence[Row]
) -> dict[UUID, tuple[int, ...]]:
    sensors = [row.device_id for row in rows if isinstance(row, DeviceRow)]
    found: dict[UUID, tuple[int, ...]] = {}
    for device, metric in await ask(sensors) if sensors else ():
        found[device] = (*found.get(device, ()), metric)
    return found


def _resource(shown: _Shown) -> dict[str, Any]:
    row, patient, metrics = shown
    if isinstance(row, Gateway):
        return gateway_resource(row)
    if row is COLLECTOR or not isinstance(row, DeviceRow):
        return collector_resource()
    return device_resource(row, None if patient is None else str(patient), metrics)
