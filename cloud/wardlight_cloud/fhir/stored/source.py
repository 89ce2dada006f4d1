"""Stored resources as one of the sources of a merged search."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from wardlight_cloud.fhir.merging import Entry, SourcePage
from wardlight_cloud.fhir.stored.body import whole
from wardlight_cloud.store.resources import ResourceQuery, ResourceRow, ResourceStore


class StoredSource:
    """The rows of a query, keyed by what the other source is keyed by.

    ``takes``: what else a row must be. ``newest``: up to which commit, where keys are commits.
    """

    def __init__(
        self,
        store: ResourceStore,
        query: ResourceQuery,
        key: Callable[[ResourceRow], Any],
        *,
        takes: Callable[[ResourceRow], bool] | None = None,
        newest: int | None = None,
    ) -> None:
        self._store = store
        self._query = query
        self._key = key
        self._takes = takes
        self._newest = newest

    async def page(self, after: bytes | None, count: int) -> SourcePage:
        """See Source."""
        entries: list[Entry] = []
        while True:
            page = await self._store.resources(replace(self._query, after=after, count=count))
            for row in page.rows:
                if self._newest is not None and row.commit_seq > self._newest:
                    return SourcePage(entries, is_more=False)
                if self._takes is None or self._takes(row):
                    entries.append(
                        Entry(self._key(row), row.kind, row.id, partial(whole, row), row=row)
                    )
            after = page.next
            if after is None or len(entries) >= count:
                is_more = after is not None or len(entries) > count
                return SourcePage(entries[:count], is_more)

    async def count(self) -> int:
        """How many all pages have."""
        if self._takes is None:
            return await self._store.resource_count(self._query)
        page = await self.page(None, _COUNTED_AT_ONCE)
        total = len(page.entries)
        while page.is_more:
            page = await self.page(self.place_of(page.entries[-1]), _COUNTED_AT_ONCE)
            total += len(page.entries)
        return total

    def place_of(self, entry: Entry) -> bytes:
        """See Source."""
        return self._store.resource_cursor(self._query, entry.row)


_COUNTED_AT_ONCE = 500
