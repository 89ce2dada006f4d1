"""Searches of Observations: readings and what other systems wrote, in one order.

Readings come from the store's columns, other Observations from the stored resources. Where nobody
else wrote any of these patients, or none that the search finds, readings alone are asked for, with
the texts that the store keeps (observation_others.py knows).

In commit order both are looked at up to the newest commit that was there before either: an entry
behind it waits for the next search, so that a client that goes on from the last one misses none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging
from wardlight_cloud.fhir.answers import Answer, page_of, resource_answer
from wardlight_cloud.fhir.bundle import NO_ENTRIES, links, of_texts
from wardlight_cloud.fhir.merging import is_merged, merged
from wardlight_cloud.fhir.observation_chains import (
    ChainStore,
    is_chain,
    is_looked_up_first,
    without_chains,
)
from wardlight_cloud.fhir.observation_form import OBSERVATIONS, DayKeeper
from wardlight_cloud.fhir.observation_others import OtherObservations
from wardlight_cloud.fhir.observation_parameters import NOT_OF_READINGS
from wardlight_cloud.fhir.observation_sources import (
    KIND,
    SORTS,
    Readings,
    key_of_stored,
    own_match,
)
from wardlight_cloud.fhir.paging import BundleKind, Parameters
from wardlight_cloud.fhir.parameters import split_values, uuid
from wardlight_cloud.fhir.search import OBSERVATION_PARAMETERS, Search, observation_search
from wardlight_cloud.fhir.search_moments import span_of
from wardlight_cloud.fhir.search_table import OF_THE_ANSWER
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.bundles import bundle, search_entries
from wardlight_cloud.fhir.stored.composites import COMPOSITES, Takes, composite
from wardlight_cloud.fhir.stored.including import Including, OwnReads
from wardlight_cloud.fhir.stored.searching import StoredSearch, stored_search
from wardlight_cloud.fhir.stored.shapes import shown
from wardlight_cloud.fhir.stored.source import StoredSource
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.observation_texts import ObservationTextStore
from wardlight_cloud.store.queries import ObservationQuery, TimeBound
from wardlight_cloud.store.resources import ResourceRow

_PLAIN: Final = frozenset({*OBSERVATION_PARAMETERS, *OF_THE_ANSWER})
"""Names without a modifier that readings are searched by: of almost all parameters."""

_READ_HERE: Final = (paging.CURSOR, "_sort", "_lastUpdated")
_OF_ANSWERS: Final = frozenset({"_include", "_revinclude", "_elements"})


class ObservationStore(ChainStore, ObservationTextStore, Protocol):
    """What these searches ask of the store."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One search. ``query``: of readings; None = none can be found."""

    asker: Asker
    given: Parameters
    plain: Parameters
    found: Search
    query: ObservationQuery | None
    is_strict: bool

    @property
    def needs_rows(self) -> bool:
        """Whether the answer holds more, or less, than texts of readings."""
        summary = dict(self.found.honoured).get(paging.SUMMARY, "false")
        return summary in ("true", "text", "data") or any(map(_shapes_answer, self.plain))

    @property
    def names_others(self) -> bool:
        """Whether a patient is named whom the register cannot have: stored ones may refer to it."""
        return any(
            "://" in value or uuid(value.rpartition("/")[2]) is None
            for name, text in self.plain
            if name.partition(":")[0] in ("patient", "subject")
            for value in split_values(text)
        )

    @property
    def honoured(self) -> Parameters:
        """What is honoured, as it was given: chains are not told as what they led to."""
        own = {name for name, _ in self.found.honoured}
        return [
            (name, text)
            for name, text in self.given
            if text and (name in own or is_of_stored(name) or is_chain(name))
        ]


class ObservationSearches:
    """The handler; ``base`` gives the address of FHIR for a request."""

    def __init__(
        self,
        store: ObservationStore,
        own: OwnReads,
        base: Callable[[Request], str],
        keeper: DayKeeper | None,
    ) -> None:
        self._store = store
        self._own = own
        self._base = base
        self._keeper = keeper
        self._others = OtherObservations(store, KIND)

    async def search(self, request: Request, given: Parameters) -> Response:
        """A page of a search."""
        asked = await self._asked(request, given)
        query, after = asked.query, asked.found.query.after
        if query is None and await self._is_empty(asked):
            return Answer(asked.asker.base, KIND, asked.honoured).of(NO_ENTRIES, None, 0)
        if query is None or asked.needs_rows or is_merged(after):
            return await self._both(asked, _stored(asked))
        patients = None if asked.names_others else query.patients
        if self._others.may_be_alone(patients):
            answer, seen = await self._readings(asked, query)
            if await self._others.are_none_of(patients, seen):
                return answer
        stored = _stored(asked)
        if query.is_by_commit or stored.takes is not None:
            return await self._both(asked, stored)
        if seen_before := self._others.newest_if_empty(stored.search.query):
            answer, seen = await self._readings(asked, query)
            if seen == seen_before:
                return answer
        if await self._others.finds_none(stored.search.query):
            answer, _ = await self._readings(asked, query)
            return answer
        return await self._both(asked, stored)

    async def _is_empty(self, asked: _Asked) -> bool:
        """Whether there is nothing at all to look at, where no reading can be found."""
        if any(is_of_stored(name) for name, _ in asked.plain):
            return False  # what is wrong with them is told in any case
        patients = isolation.patient_ids(asked.asker.request, asked.found.query.patients)
        of = None if patients is None or asked.names_others else tuple(patients)
        return await self._others.are_none_of(of, None)

    async def _asked(self, request: Request, given: Parameters) -> _Asked:
        asker = Asker(request, self._base(request))
        is_strict = asking.is_strict(request)
        plain = given
        if any(is_looked_up_first(*pair) for pair in given):
            plain = await without_chains(self._store, asker, given)
        of_readings = [pair for pair in plain if not is_of_stored(pair[0])]
        found = observation_search(of_readings, strict=is_strict)
        query = isolation.observations(request, found.query)
        if found.matches_nothing or any(excludes_readings(*pair) for pair in plain):
            query = None
        return _Asked(asker, given, plain, found, query, is_strict)

    async def _readings(
        self, asked: _Asked, query: ObservationQuery
    ) -> tuple[Response, int | None]:
        """The answer, and which stored Observations there were when it was read."""
        answer = Answer(asked.asker.base, KIND, asked.honoured)
        total = None
        if asked.found.bundle is not BundleKind.PAGE:
            total = await self._store.observation_count(query)
        if asked.found.bundle is BundleKind.TOTAL:
            return answer.of(NO_ENTRIES, None, total), None
        page = await page_of(self._store.observation_texts(query, OBSERVATIONS))
        if self._keeper is not None:
            self._keeper.offer(page.unkept)
        return answer.of(of_texts(page.texts), page.next, total), page.others_seq

    async def _both(self, asked: _Asked, stored: "StoredAlike") -> Response:
        asker, found, search = asked.asker, asked.found, stored.search
        newest = await self._store.commit_seq() if found.query.order == "commit" else None
        readings = Readings(self._store, asked.query, newest)
        others = StoredSource(
            self._store, search.query, key_of_stored(found.query.order),
            takes=stored.takes, newest=newest,
        )  # fmt: skip
        total = None
        if found.bundle is not BundleKind.PAGE:
            total = await readings.count() + await others.count()
        if found.bundle is BundleKind.TOTAL:
            link = links(asker.base, KIND, asked.honoured, None)
            return resource_answer(bundle("searchset", (), link, total))
        page = await page_of(merged((readings, others), found.query.after, found.query.count))
        including = Including(self._store, self._own, asker)
        rows = [each.row for each in page.entries]
        included = await including.of(
            [row for row in rows if isinstance(row, ResourceRow)],
            search.inclusions,
            [own_match(row) for row in rows if isinstance(row, ObservationRow)],
        )
        matches = [
            (each.id, shown(asker.request.scope, KIND, each.text(), search.shape))
            for each in page.entries
        ]
        entries = search_entries(asker.base, KIND, matches, included)
        link = links(asker.base, KIND, asked.honoured, page.next)
        return resource_answer(bundle("searchset", entries, link, total))


@dataclass(frozen=True, slots=True)
class StoredAlike:
    """A search of stored Observations; ``takes``: what the index cannot tell."""

    search: StoredSearch
    takes: Takes | None


def _stored(asked: _Asked) -> StoredAlike:
    return stored_alike(asked.asker, asked.plain, asked.found, is_strict=asked.is_strict)


def stored_alike(asker: Asker, given: Parameters, found: Search, *, is_strict: bool) -> StoredAlike:
    """The same search among stored Observations, in the same order, without the cursor.

    ``given``: without chains. ``found``: what it says of readings.
    """
    known = {name for name, _ in found.honoured} | {"patient"}  # never lost on the way
    pairs = [
        (name, text)
        for name, text in given
        if (name in known or is_of_stored(name)) and name not in _READ_HERE
    ]
    plain = [pair for pair in pairs if pair[0] not in COMPOSITES]
    made = stored_search(asker, KIND, plain, strict=is_strict)
    looked = [composite(*pair, asker.base) for pair in pairs if pair[0] in COMPOSITES]
    tests = [test for _, test in looked]
    if found.query.stored_any:
        tests.append(partial(_was_stored, found.query.stored_any))
    sort, descending = SORTS[found.query.order]
    query = replace(
        made.query, sort=sort, descending=descending, stored=found.query.stored,
        conditions=(*made.query.conditions, *(condition for condition, _ in looked)),
    )  # fmt: skip
    takes = (lambda row: all(test(row) for test in tests)) if tests else None
    return StoredAlike(replace(made, query=query), takes)


def _was_stored(among: Sequence[Sequence[TimeBound]], row: ResourceRow) -> bool:
    """Whether a row was stored within one of the sets of bounds."""
    edges = (span_of(bounds) for bounds in among)
    return any(low <= row.stored_at < high for low, high in edges)


def _shapes_answer(pair: tuple[str, str]) -> bool:
    return pair[0] not in _PLAIN and pair[0].partition(":")[0] in _OF_ANSWERS


def is_of_stored(name: str) -> bool:
    """What readings are not searched by."""
    if name in _PLAIN:
        return False
    base = name.partition(":")[0].partition(".")[0]
    return base in _OF_ANSWERS or base in NOT_OF_READINGS


def excludes_readings(name: str, text: str) -> bool:
    """Whether a parameter that no reading has a value of is asked to have one."""
    if name in _PLAIN:
        return False
    base, _, modifier = name.partition(":")
    if base.partition(".")[0] not in NOT_OF_READINGS:
        return False
    return modifier != "not" and (modifier, text) != ("missing", "true")
