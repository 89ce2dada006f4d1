"""Reads and searches of ServiceRequest: orders of images, made from the orders of worklists."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging
from wardlight_cloud.fhir.answers import Answer, conditional, page_of
from wardlight_cloud.fhir.bundle import NO_ENTRIES, dumped
from wardlight_cloud.fhir.commit_order import Orders
from wardlight_cloud.fhir.imaging_ids import TextIds
from wardlight_cloud.fhir.order_search import ORDER_PARAMETERS, OrderSearch, order_search
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.parameters import honoured_parameters
from wardlight_cloud.fhir.sealed_pages import sealed
from wardlight_cloud.fhir.service_request import KIND, reference_to, service_request, version_of
from wardlight_cloud.store.image_places import ImagePlaceStore
from wardlight_cloud.store.order_reads import OrderQuery, OrderReadStore, OrderRow
from wardlight_cloud.store.sealing import CursorStore

_FORM: Final = ("_count", paging.SUMMARY, paging.TOTAL, paging.CURSOR)


class OrderReads(OrderReadStore, ImagePlaceStore, CursorStore, Protocol):
    """What this face asks of the store."""


class OrderFace:
    """The handlers; ``base`` gives the address of FHIR for a request."""

    def __init__(self, store: OrderReads, base: Callable[[Request], str]) -> None:
        self._store = store
        self._base = base
        self._known_ids: TextIds | None = None

    async def search(self, request: Request) -> Response:
        """A page of orders."""
        honoured, ids, found = await self._asked(request)
        answer = Answer(self._base(request), KIND, honoured)
        asked = paging.bundle_asked_for(honoured)
        total = None if asked is paging.BundleKind.PAGE else await found.count(self._store)
        if asked is paging.BundleKind.TOTAL:
            return answer.of(NO_ENTRIES, None, total)
        find = sealed(partial(found.find, self._store), self._store, KIND, honoured)
        values = dict(honoured)
        count = paging.count("_count", values.get("_count", str(paging.COUNT_DEFAULT)))
        after = paging.cursor_bytes(values[paging.CURSOR]) if paging.CURSOR in values else None
        rows, cursor = await page_of(find(count=max(1, count), after=after))
        return answer.of(dumped([service_request(row, ids) for row in rows]), cursor, total)

    async def by_change(self, request: Request) -> Orders:
        """The orders that a search finds, in the order of their last changes."""
        _, ids, found = await self._asked(request)
        return Orders(self._store, found, partial(service_request, ids=ids))

    async def _asked(self, request: Request) -> tuple[paging.Parameters, TextIds, OrderSearch]:
        parameters = await asking.parameters(request)
        names = (*ORDER_PARAMETERS, *_FORM)
        plain = [pair for pair in parameters if pair != ("_sort", "_lastUpdated")]
        honoured = honoured_parameters(plain, names, strict=asking.is_strict(request))
        ids = await self._ids()
        found = order_search(honoured, ids)
        return honoured, ids, found.within(isolation.reach(request).among(found.query.patients))

    async def read(self, request: Request) -> Response:
        """One order."""
        ids = await self._ids()
        number = ids.text_of(request.path_params["id"])
        for row in () if number is None else await self._numbered([number]):
            if isolation.is_seen(request, row.patient):
                body = orjson.dumps(service_request(row, ids))
                return conditional(request, body, version_of(row), row.changed_at)
        raise FhirError(404, "not-found", f"There is no {KIND} with this id.")

    async def references(self, numbers: Sequence[str]) -> Mapping[tuple[str, UUID], str]:
        """References to the orders of these accession numbers, by number and patient."""
        if not numbers:
            return {}
        ids = await self._ids()
        return {
            (row.accession, row.patient): reference_to(row.accession, ids)
            for row in await self._numbered(numbers)
        }

    async def _numbered(self, numbers: Sequence[str]) -> Sequence[OrderRow]:
        query = OrderQuery(patients=None, accessions=tuple(numbers), limit=len(numbers))
        return await self._store.orders(query)

    async def _ids(self) -> TextIds:
        if self._known_ids is None:
            self._known_ids = TextIds(await self._store.image_id_key(), KIND)
        return self._known_ids
