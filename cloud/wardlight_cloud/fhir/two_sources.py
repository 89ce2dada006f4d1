"""Searches of kinds that are made here and stored, too: first what is made here, then the stored.

The pages of what is made here come from their own handler, as they are; the last of them is filled
up with stored resources, and the rest follows. A cursor says in which of the two it is. Documents
and orders by ``_lastUpdated`` are merged into one order instead (commit_order.py), as Observations
always are (observation_searches.py).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from wardlight_cloud.fhir import asking, paging
from wardlight_cloud.fhir.answers import page_of, resource_answer
from wardlight_cloud.fhir.bundle import links
from wardlight_cloud.fhir.commit_order import OwnSource
from wardlight_cloud.fhir.merging import is_merged, merged
from wardlight_cloud.fhir.own_sifting import Sifted, sieve, with_cursor
from wardlight_cloud.fhir.paging import BundleKind, Parameters
from wardlight_cloud.fhir.parameters import refuse_has
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.bundles import bundle, search_entries
from wardlight_cloud.fhir.stored.face import StoredFace
from wardlight_cloud.fhir.stored.including import Included, OwnMatch
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS
from wardlight_cloud.fhir.stored.searching import OF_THE_ANSWER, StoredSearch, stored_search
from wardlight_cloud.fhir.stored.shapes import shown
from wardlight_cloud.store.resources import ResourceRow, TextValue

Handler = Callable[[Request], Awaitable[Response]]
_STORED_ONLY: Final[Mapping[str, frozenset[str]]] = {
    "Device": frozenset({"location", "organization", "url"}),
    "DeviceMetric": frozenset(),
    "DocumentReference": frozenset(
        {"author", "authenticator", "custodian", "encounter", "event", "facility", "period",
         "security-label", "setting"}
    ),
    "Provenance": frozenset(
        {"agent-role", "agent-type", "entity", "location", "signature-type", "when"}
    ),
    "ServiceRequest": frozenset(
        {"based-on", "body-site", "encounter", "instantiates-canonical", "instantiates-uri",
         "performer", "performer-type", "priority", "replaces", "requester", "requisition",
         "specimen"}
    ),
}  # fmt: skip
BY_COMMIT: Final = frozenset({"DocumentReference", "ServiceRequest"})
"""Kinds whose searches by ``_lastUpdated`` have one order."""

_MARK: Final = b"wl-s"
_SORTED: Final = "_lastUpdated"
_OF_STORED: Final = frozenset({"_include", "_revinclude", "_elements"})


def parameters_of(kind: str, own: Mapping[str, str]) -> dict[str, str]:
    """What such a search takes: that of its own handler, and what only stored ones can have."""
    table = SEARCH_PARAMETERS[kind]
    return {**own, **{name: table[name].type for name in sorted(table.keys() - own.keys())}}


class TwoSources:
    """The search of one kind; ``known``: the parameters of its own handler."""

    def __init__(
        self,
        kind: str,
        handler: Handler,
        known: Mapping[str, str],
        stored: StoredFace,
        base: Callable[[Request], str],
        by_commit: Callable[[str, Request], Awaitable[OwnSource]] | None = None,
    ) -> None:
        self._kind = kind
        self._handler = handler
        self._known = known
        self._sifted = frozenset(SEARCH_PARAMETERS[kind].keys() - known.keys())
        self._stored = stored
        self._base = base
        self._by_commit = by_commit

    async def search(self, request: Request) -> Response:
        """A page."""
        given = await asking.parameters(request)
        asker = Asker(request, self._base(request))
        cursor = next((text for name, text in given if name == paging.CURSOR and text), None)
        after = None if cursor is None else paging.cursor_bytes(cursor)
        for name, _ in given:
            refuse_has(name)
        only_stored = any(_is_of_stored(self._kind, *pair) for pair in given)
        if only_stored or (after is not None and after.startswith(_MARK)):
            search = self._search(asker, given, after)
            return await self._stored.answer(asker, search, mark=_MARK)
        passing = sieve(asker, self._kind, given, self._sifted)
        if self._by_commit is not None and (after is None or is_merged(after)):
            search = self._search(asker, given, None)
            if search.query.sort == _SORTED and not search.query.descending:
                own_source = await self._by_commit(self._kind, self._as_get(request, given))
                if passing.names:
                    own_source = Sifted(own_source, passing)
                return await self._merged(asker, search, own_source, after)

        async def page_behind(cursor: str) -> dict[str, Any]:
            return await self._own_page(request, with_cursor(given, cursor))

        page = await passing.page(await self._own_page(request, given), page_behind)
        if "total" in page:
            passing.refuse_count()
        return await self._filled_up(asker, given, page)

    async def _own_page(self, request: Request, given: Parameters) -> dict[str, Any]:
        answer = await self._handler(self._as_get(request, given))
        page: dict[str, Any] = orjson.loads(answer.body)
        return page

    def _as_get(self, request: Request, given: Parameters) -> Request:
        """The same search as a GET, as its handler knows it: a form can be read once."""
        own = [pair for pair in given if not self._is_beside(pair[0])]
        scope: Scope = {**request.scope, "method": "GET", "query_string": urlencode(own).encode()}
        return Request(scope, request.receive)

    def _is_beside(self, name: str) -> bool:
        """Whether a parameter is none of its handler's."""
        base = name.partition(":")[0]
        return base in _OF_STORED or base in self._sifted

    async def _merged(
        self, asker: Asker, search: StoredSearch, own: OwnSource, after: bytes | None
    ) -> Response:
        """A page in one order; what is included belongs to stored resources."""
        others = self._stored.source(search, own.key_of, newest=own.newest)
        total = None
        if search.bundle is not BundleKind.PAGE:
            total = await own.count() + await others.count()
        if search.bundle is BundleKind.TOTAL:
            link = links(asker.base, self._kind, search.honoured, None)
            return resource_answer(bundle("searchset", (), link, total))
        page = await page_of(merged((own, others), after, search.query.count))
        rows = [each.row for each in page.entries if isinstance(each.row, ResourceRow)]
        own_matches = [
            _match(orjson.loads(each.text()), asker.base)
            for each in page.entries
            if search.inclusions and not isinstance(each.row, ResourceRow)
        ]
        included = await self._stored.included(asker, rows, search, own_matches)
        matches = [
            (each.id, shown(asker.request.scope, self._kind, each.text(), search.shape))
            for each in page.entries
        ]
        entries = search_entries(asker.base, self._kind, matches, included)
        link = links(asker.base, self._kind, search.honoured, page.next)
        return resource_answer(bundle("searchset", entries, link, total))

    async def _filled_up(self, asker: Asker, given: Parameters, page: dict[str, Any]) -> Response:
        """The page of what is made here, with what follows it."""
        search = self._search(asker, given, None)
        if "total" in page:
            page["total"] += await self._stored.count(search)
        entries = page.get("entry", [])
        included: Sequence[Included] = ()
        if search.inclusions:
            matches = [_match(each["resource"], asker.base) for each in entries]
            included = await self._stored.included(asker, (), search, matches)
        if asked := urlencode([each for each in given if self._is_beside(each[0])]):
            for each in page["link"]:  # its own handler knows nothing of them
                each["url"] += ("&" if "?" in each["url"] else "?") + asked
        is_last = not any(each["relation"] == "next" for each in page["link"])
        if is_last and search.bundle is not BundleKind.TOTAL:
            room = search.query.count - len(entries)
            query = replace(search.query, count=max(1, room))
            more, cursor = await self._stored.entries(asker, replace(search, query=query))
            if room > 0:
                entries += [orjson.Fragment(each) for each in more]
            elif more:
                cursor = b""
            if cursor is not None:
                link = links(asker.base, self._kind, search.honoured, _MARK + cursor)
                page["link"] = orjson.Fragment(link)
        entries += _beside(entries, search_entries(asker.base, self._kind, (), included))
        if entries:
            page["entry"] = entries
        return resource_answer(orjson.dumps(page))

    def _search(self, asker: Asker, given: Parameters, after: bytes | None) -> StoredSearch:
        known = self._known.keys() | SEARCH_PARAMETERS[self._kind].keys() | OF_THE_ANSWER
        wanted = [
            (name, text)
            for name, text in given
            if name != paging.CURSOR and name.partition(":")[0].partition(".")[0] in known
        ]
        made = stored_search(asker, self._kind, wanted, strict=asking.is_strict(asker.request))
        place = None if after is None else after.removeprefix(_MARK) or None
        return replace(made, query=replace(made.query, after=place))


def _is_of_stored(kind: str, name: str, text: str) -> bool:
    """Whether a parameter asks for a value that nothing made here has."""
    base, _, modifier = name.partition(":")
    if base.partition(".")[0] not in _STORED_ONLY[kind]:
        return False
    return modifier != "not" and (modifier, text) != ("missing", "true")


def _match(resource: dict[str, Any], base: str) -> OwnMatch:
    """One of what is made here, and what it refers to."""
    kind = resource["resourceType"]
    references: dict[str, list[str]] = {}
    for each in index_values(resource, base):
        parameter = SEARCH_PARAMETERS[kind].get(each.param)
        if isinstance(each, TextValue) and parameter is not None and parameter.type == "reference":
            references.setdefault(each.param, []).append(each.value)
    return OwnMatch(kind, resource["id"], references)


def _beside(entries: Sequence[Any], included: Sequence[bytes]) -> list[orjson.Fragment]:
    """Included entries that do not stand in the page for another reason."""
    if not included:
        return []
    urls = {each["fullUrl"] for each in orjson.loads(orjson.dumps(entries))}
    return [orjson.Fragment(each) for each in included if orjson.loads(each)["fullUrl"] not in urls]
