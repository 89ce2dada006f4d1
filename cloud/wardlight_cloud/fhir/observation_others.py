"""Whether a search can find Observations that others wrote, told without asking for them each time.

A page of readings says the newest commit of a stored Observation that there was in its snapshot.
What is known up to that commit holds for the page, whoever wrote: whose stored Observations are,
and which searches found none of them. So nothing is overlooked, also not what another process wrote
a moment ago.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Final
from uuid import UUID

from wardlight_cloud.store.resources import ResourceQuery, ResourceStore

_MOST_OWNERS: Final = 200_000  # beyond it each search asks
_MOST_SEARCHES: Final = 1024


class OtherObservations:
    """What is known of stored Observations of ``kind``."""

    def __init__(self, store: ResourceStore, kind: str) -> None:
        self._store = store
        self._kind = kind
        self._newest = 0
        self._owners: set[UUID] | None = set()
        self._empty: OrderedDict[str, int] = OrderedDict()

    def may_be_alone(self, patients: tuple[UUID, ...] | None) -> bool:
        """Whether readings alone may answer a search of these patients, as far as is known."""
        return self._are_none_of(patients)

    async def are_none_of(self, patients: tuple[UUID, ...] | None, seen: int | None) -> bool:
        """Whether no stored Observation is of these patients (None = of anybody).

        ``seen``: the newest commit of one that a page saw; None = up to now, after the page.
        """
        if seen is None or seen > self._newest:
            await self._look()
        return self._are_none_of(patients)

    def newest_if_empty(self, query: ResourceQuery) -> int | None:
        """Up to which commit a search is known to find none."""
        return self._empty.get(_name(query))

    async def finds_none(self, query: ResourceQuery) -> bool:
        """Whether a search finds none; remembered."""
        await self._look()
        newest = self._newest
        if (await self._store.resources(replace(query, count=1, after=None))).rows:
            return False
        self._empty[_name(query)] = newest
        self._empty.move_to_end(_name(query))
        if len(self._empty) > _MOST_SEARCHES:
            self._empty.popitem(last=False)
        return True

    def _are_none_of(self, patients: tuple[UUID, ...] | None) -> bool:
        if self._newest == 0:
            return True
        if patients is None or self._owners is None:
            return False
        return self._owners.isdisjoint(patients)

    async def _look(self) -> None:
        newest, owners = await self._store.resource_owners(self._kind, since=self._newest)
        if self._owners is not None:
            self._owners.update(owners)
            if len(self._owners) > _MOST_OWNERS:
                self._owners = None
        self._newest = max(self._newest, newest)


def _name(query: ResourceQuery) -> str:
    return repr(replace(query, count=0, after=None))
