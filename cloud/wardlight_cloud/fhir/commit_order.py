"""Documents and orders of images as sources of a search in the order of changes.

    documents  by their study's commit, which counts as every other commit does
    orders     by the instant of their last change: they have no commit; a change that is written
               while another one is may come up behind it

Errors  ValueError for a place that is not one of this search
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec
import orjson

from wardlight_cloud.fhir.image_doubts import doubts
from wardlight_cloud.fhir.imaging_resources import Makers, document_reference
from wardlight_cloud.fhir.imaging_search import ImagingReads, ImagingSearch
from wardlight_cloud.fhir.merging import Entry, Source, SourcePage
from wardlight_cloud.fhir.order_search import OrderSearch
from wardlight_cloud.fhir.report_chains import Chains, chains
from wardlight_cloud.store.imaging import ImageRow
from wardlight_cloud.store.order_reads import OrderReadStore, OrderRow
from wardlight_cloud.store.resources import ResourceRow

_T = TypeVar("_T")
_LAST: Final = datetime.max.replace(tzinfo=UTC)


class OwnSource(Source, Protocol):
    """A source, and where a stored resource stands in its order."""

    def key_of(self, row: ResourceRow) -> Any:
        """The key of a stored resource."""

    newest: int | None
    """The commit up to which the search goes; None = keys are no commits."""

    async def count(self) -> int:
        """How many all pages have."""


class Documents:
    """Encapsulated documents within ``search``, up to the commit ``newest``."""

    def __init__(
        self,
        store: ImagingReads,
        search: ImagingSearch,
        makers: Makers,
        newest: int,
        count: Callable[[], Awaitable[int]],
    ) -> None:
        self._store = store
        self._search = search
        self._makers = makers
        self.newest: int | None = newest
        self._count = count

    async def count(self) -> int:
        """See OwnSource."""
        return await self._count()

    async def page(self, after: bytes | None, count: int) -> SourcePage:
        """See Source."""
        behind = None if after is None else _opened(after, tuple[int, str])
        cursor = None if behind is None else self._search.behind(behind[0] - 1)
        entries: list[Entry] = []
        while True:
            rows, cursor = await self._search.find(self._store, count=count, after=cursor)
            said, reports = await doubts(self._store, rows), await chains(self._store, rows)
            for row in sorted(rows, key=_place):
                if self.newest is not None and row.commit_seq > self.newest:
                    return SourcePage(entries, is_more=False)
                if behind is None or _place(row) > behind:
                    entries.append(self._entry(row, said, reports))
            if cursor is None or len(entries) >= count:
                return SourcePage(entries, is_more=cursor is not None)

    def _entry(self, row: ImageRow, said: Mapping[str, str], reports: Chains) -> Entry:
        uid = "" if row.ref is None else row.ref.sop_uid
        resource = document_reference(row, self._makers, said.get(uid, ""), reports)
        text = partial(orjson.dumps, resource)
        return Entry(row.commit_seq, "DocumentReference", resource["id"], text, row=row)

    def place_of(self, entry: Entry) -> bytes:
        """See Source."""
        return msgspec.msgpack.encode(_place(entry.row))

    def key_of(self, row: ResourceRow) -> int:
        """See OwnSource."""
        return row.commit_seq


class Orders:
    """Orders of images within ``search``; ``make``: their resources."""

    def __init__(
        self,
        store: OrderReadStore,
        search: OrderSearch,
        make: Callable[[OrderRow], dict[str, Any]],
    ) -> None:
        self._store = store
        self._search = search
        self._make = make
        self.newest: int | None = None

    async def page(self, after: bytes | None, count: int) -> SourcePage:
        """See Source."""
        if self._search.is_empty:
            return SourcePage((), is_more=False)
        moment, number = (None, "") if after is None else _opened(after, tuple[datetime, str])
        query = replace(
            self._search.query, by_change=True, after_change=moment, after=number, limit=count + 1
        )
        rows: Sequence[OrderRow] = await self._store.orders(query)
        made = [self._make(row) for row in rows[:count]]
        entries = [
            Entry(
                row.changed_at, "ServiceRequest", each["id"], partial(orjson.dumps, each), row=row
            )
            for row, each in zip(rows, made, strict=False)
        ]
        return SourcePage(entries, is_more=len(rows) > count)

    def place_of(self, entry: Entry) -> bytes:
        """See Source."""
        return msgspec.msgpack.encode((entry.row.changed_at, entry.row.accession))

    def key_of(self, row: ResourceRow) -> datetime:
        """See OwnSource."""
        return row.stored_at

    async def count(self) -> int:
        """See OwnSource."""
        return await self._search.count(self._store)


def _place(row: ImageRow) -> tuple[int, str]:
    return row.commit_seq, "" if row.ref is None else row.ref.sop_uid


def _opened(place: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(place, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError("not a cursor of this search") from error
