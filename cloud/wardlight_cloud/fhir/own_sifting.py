"""Parameters of R4 that the search of what is made here does not know: its pages are sifted.

What the resource says decides, as its index would if it were a written one: code, intent, type,
date, _tag. A page may then hold fewer than were asked for; one that would be empty is passed over.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 search parameters of ServiceRequest, DocumentReference, Device
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from wardlight_cloud.fhir import paging
from wardlight_cloud.fhir.commit_order import OwnSource
from wardlight_cloud.fhir.merging import Entry, SourcePage
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.fhir.subscriptions.meeting import meets
from wardlight_cloud.store.resources import Condition, ResourceRow

_PAGES_MOST: Final = 40  # that one answer looks through

Page = dict[str, Any]
NextPage = Callable[[str], Awaitable[Page]]
"""The page behind a cursor."""


@dataclass(frozen=True, slots=True)
class Sieve:
    """What resources must say. ``names``: of the parameters; none = all pass."""

    conditions: tuple[Condition, ...]
    names: tuple[str, ...]
    base: str

    def passes(self, resource: dict[str, Any]) -> bool:
        """Whether it says all of it."""
        index = index_values(resource, self.base)
        return all(meets(each, resource["id"], index) for each in self.conditions)

    def refuse_count(self) -> None:
        """Nobody has counted what passes."""
        if self.names:
            text = "how many there are cannot be told here; leave out _total and _summary=count"
            raise invalid(self.names[0], text)

    async def page(self, page: Page, following: NextPage) -> Page:
        """The page, or a later one, with those that pass; the first that holds any."""
        if not self.names:
            return page
        for left in range(_PAGES_MOST, 0, -1):
            entries = [each for each in page.get("entry", ()) if self.passes(each["resource"])]
            page["entry"] = entries
            cursor = paging.next_cursor(page)
            if entries or cursor is None or left == 1:
                break
            page = await following(cursor)
        return page


def sieve(asker: Asker, kind: str, given: paging.Parameters, names: frozenset[str]) -> Sieve:
    """Of those of the parameters that have one of the names."""
    criteria = asker.criteria()
    chosen = [
        pair for pair in given if pair[0].partition(":")[0].partition(".")[0] in names
    ]  # a chain is refused
    conditions = [criteria.condition(kind, *pair) for pair in chosen]
    return Sieve(tuple(conditions), tuple(name for name, _ in chosen), asker.base)


class Sifted:
    """A source in one order, without what does not pass."""

    def __init__(self, source: OwnSource, sieve: Sieve) -> None:
        self._source = source
        self._sieve = sieve
        self.newest = source.newest

    async def page(self, after: bytes | None, count: int) -> SourcePage:
        """See Source."""
        entries: list[Entry] = []
        while True:
            page = await self._source.page(after, count)
            entries += [each for each in page.entries if self._passes(each)]
            if not page.is_more or not page.entries or len(entries) >= count:
                return SourcePage(entries, page.is_more)
            after = self._source.place_of(page.entries[-1])

    def _passes(self, entry: Entry) -> bool:
        return self._sieve.passes(orjson.loads(entry.text()))

    def place_of(self, entry: Entry) -> bytes:
        """See Source."""
        return self._source.place_of(entry)

    def key_of(self, row: ResourceRow) -> Any:
        """See OwnSource."""
        return self._source.key_of(row)

    async def count(self) -> int:
        """See OwnSource."""
        self._sieve.refuse_count()
        return await self._source.count()


def with_cursor(given: paging.Parameters, cursor: str) -> Sequence[tuple[str, str]]:
    """The same search behind a cursor."""
    return [*(pair for pair in given if pair[0] != paging.CURSOR), (paging.CURSOR, cursor)]
