"""Interactions with stored resources over HTTP; the router finds the handler and guards it.

Source  R4 4.0.1 3.1.0
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, paging
from wardlight_cloud.fhir.answers import conditional, page_of, resource_answer, version_headers
from wardlight_cloud.fhir.bundle import links
from wardlight_cloud.fhir.outcome import MEDIA_TYPE, FhirError, outcome_issue
from wardlight_cloud.fhir.stored import incoming
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import whole
from wardlight_cloud.fhir.stored.bundles import bundle, history_entry, search_entries
from wardlight_cloud.fhir.stored.bundling import Bundling, Get
from wardlight_cloud.fhir.stored.conditions import Known, Limits
from wardlight_cloud.fhir.stored.including import Included, Including, OwnMatch, OwnReads
from wardlight_cloud.fhir.stored.searching import StoredSearch, stored_search
from wardlight_cloud.fhir.stored.shapes import shown
from wardlight_cloud.fhir.stored.source import StoredSource
from wardlight_cloud.fhir.stored.targets import OwnResources
from wardlight_cloud.fhir.stored.visible import row_meets, visible
from wardlight_cloud.fhir.stored.wishes import Done, Wish
from wardlight_cloud.fhir.stored.writing import Writer
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.security.who import note_interaction, note_resource
from wardlight_cloud.store.resources import HistoryQuery, ResourceRow, ResourceStore

_HISTORY: Final = ("_count", "_since", paging.CURSOR)


class Own(OwnResources, OwnReads, Protocol):
    """What this server makes itself of kinds that are stored, too."""


class LookedUp(Protocol):
    """See looked_up.py."""

    async def conditions(self, asker: Asker, kind: str, given: paging.Parameters) -> Known:
        """Conditions that lead to what this server makes itself, by name and text."""


class StoredFace:
    """The handlers; ``kind`` and ``id`` are those of the path."""

    def __init__(self, store: ResourceStore, writer: Writer, own: Own, looked_up: LookedUp) -> None:
        self._store = store
        self._looked_up = looked_up
        self._writer = writer
        self._own = own
        self._bundling = Bundling(writer)

    # -- reading

    async def read(self, asker: Asker, kind: str, resource_id: str) -> Response | None:
        """A resource as it is; None when there never was one, in reach."""
        limits = asker.limits(kind, Interaction.READ)
        rows = await visible(self._store, kind, [resource_id], limits, asker.base)
        if not rows:
            return None
        if rows[0].body is None:
            headers = version_headers(str(rows[0].commit_seq), rows[0].stored_at)
            raise FhirError(410, "deleted", f"This {kind} was deleted.", headers=headers)
        return _conditional(asker.request, rows[0])

    async def vread(self, asker: Asker, kind: str, resource_id: str, version: str) -> Response:
        """One version."""
        limits = asker.limits(kind, Interaction.READ)
        row = None
        if version.isascii() and version.isdigit() and len(version) < 19:
            row = await self._store.resource_version(
                kind, resource_id, int(version), patients=limits.patients
            )
        if row is None or not row_meets(limits.conditions, row, asker.base):
            raise FhirError(404, "not-found", f"There is no such version of this {kind}.")
        if row.body is None:
            raise FhirError(410, "deleted", f"With this version the {kind} was deleted.")
        return _conditional(asker.request, row)

    async def history(self, asker: Asker, kind: str | None, resource_id: str | None) -> Response:
        """Versions of a resource, of a kind, of all kinds that may be searched."""
        given = await asking.parameters(asker.request)
        strict = asking.is_strict(asker.request)
        asking.refuse_moment(given)
        values = asking.single(given, _HISTORY, strict=strict)
        interaction = Interaction.SEARCH if resource_id is None else Interaction.READ
        kinds = asker.kinds(interaction) if kind is None else (kind,)
        limits = [asker.limits(each, interaction) for each in kinds]
        if kind is None and not kinds:
            raise FhirError(403, "forbidden", "The token permits no history.")
        # Where kinds have other limits, the narrowest hold for all of them.
        patients = next((each.patients for each in limits if each.patients is not None), None)
        query = HistoryQuery(
            kinds, patients, resource_id, asking.since(values),
            max(1, paging.count("_count", values.get("_count", str(paging.COUNT_DEFAULT)))),
            paging.cursor_bytes(values[paging.CURSOR]) if paging.CURSOR in values else None,
        )  # fmt: skip
        if resource_id is not None:
            seen = await visible(self._store, kinds[0], [resource_id], limits[0], asker.base)
            if not seen:
                raise FhirError(404, "not-found", f"There is no {kind} with this id.")
        of_kind = dict(zip(kinds, limits, strict=True))
        rows, cursor = await self._versions(query, of_kind, asker.base)
        entries = [history_entry(asker.base, row) for row in rows]
        path = "/".join(each for each in (kind, resource_id, "_history") if each)
        link = links(asker.base, path, list(values.items()), cursor)
        total = None
        if not any(each.conditions for each in limits):  # else it would count what is not shown
            total = await self._store.resource_history_count(query)
        return resource_answer(bundle("history", entries, link, total))

    async def _versions(
        self, query: HistoryQuery, limits: Mapping[str, Limits], base: str
    ) -> tuple[list[ResourceRow], bytes | None]:
        """A page that is full of what may be shown, so that its size tells nothing of the rest."""

        async def shown(left: int) -> tuple[list[ResourceRow], bytes | None]:
            page = await page_of(self._store.resource_history(replace(query, count=left)))
            rows = [row for row in page.rows if _may_be_shown(row, limits[row.kind], base)]
            return rows, page.next

        rows, following = await shown(query.count)
        while following is not None and len(rows) < query.count:
            query = replace(query, after=following)
            more, following = await shown(query.count - len(rows))
            rows += more
        # That there is a next page would tell of what is not shown, if there were nothing else.
        cursor, more = following, [] if any(each.conditions for each in limits.values()) else rows
        while following is not None and not more:
            query = replace(query, after=following)
            more, following = await shown(query.count)
        return rows, cursor if more else None

    async def search(self, asker: Asker, kind: str) -> Response:
        """A page of a search."""
        given = await asking.parameters(asker.request)
        strict = asking.is_strict(asker.request)
        known = await self._looked_up.conditions(asker, kind, given)
        search = stored_search(asker, kind, given, strict=strict, known=known)
        return await self.answer(asker, search)

    async def answer(self, asker: Asker, search: StoredSearch, *, mark: bytes = b"") -> Response:
        """The Bundle of a search that was parsed; ``mark`` stands before its cursor."""
        kind = search.query.kind
        total = None
        if search.bundle is not paging.BundleKind.PAGE:
            total = await self.count(search)
        entries: list[bytes] = []
        cursor = None
        if search.bundle is not paging.BundleKind.TOTAL:
            entries, cursor = await self.entries(asker, search)
        if cursor is not None:
            cursor = mark + cursor
        link = links(asker.base, kind, search.honoured, cursor)
        return resource_answer(bundle("searchset", entries, link, total))

    async def count(self, search: StoredSearch) -> int:
        """How many all pages have."""
        return await self._store.resource_count(search.query)

    def source(
        self, search: StoredSearch, key: Callable[[ResourceRow], Any], *, newest: int | None
    ) -> StoredSource:
        """What a search finds, as one of several sources."""
        return StoredSource(self._store, search.query, key, newest=newest)

    async def included(
        self,
        asker: Asker,
        rows: Sequence[ResourceRow],
        search: StoredSearch,
        own: Sequence[OwnMatch] = (),
    ) -> list[Included]:
        """What belongs to the matches of a page."""
        return await Including(self._store, self._own, asker).of(rows, search.inclusions, own)

    async def entries(self, asker: Asker, search: StoredSearch) -> tuple[list[bytes], bytes | None]:
        """Entries of a page, and the cursor of the next."""
        kind = search.query.kind
        page = await page_of(self._store.resources(search.query))
        included = await self.included(asker, page.rows, search)
        scope = asker.request.scope
        matches = [(row.id, shown(scope, kind, whole(row), search.shape)) for row in page.rows]
        return search_entries(asker.base, kind, matches, included), page.next

    # -- writing

    async def create(self, asker: Asker, kind: str) -> Response:
        """POST of a resource."""
        value = await incoming.json_body(asker.request)
        resource = incoming.resource_of(value, kind)
        wish = Wish(
            "POST", kind, resource=resource, if_none_exist=incoming.if_none_exist(asker.request)
        )
        return await self._made(asker, wish)

    async def update(self, asker: Asker, kind: str, resource_id: str | None) -> Response:
        """PUT of a resource, by id or by condition."""
        value = await incoming.json_body(asker.request)
        resource = incoming.resource_of(value, kind)
        return await self._made(asker, self._wish(asker, "PUT", kind, resource_id, resource))

    async def patch(self, asker: Asker, kind: str, resource_id: str | None) -> Response:
        """PATCH by JSON Patch."""
        patch = await incoming.json_body(asker.request, kinds=incoming.JSON_PATCH)
        wish = self._wish(asker, "PATCH", kind, resource_id, None, patch)
        return await self._made(asker, wish)

    async def delete(self, asker: Asker, kind: str, resource_id: str | None) -> Response:
        """DELETE by id or by condition."""
        return await self._made(asker, self._wish(asker, "DELETE", kind, resource_id, None))

    async def bundle(self, asker: Asker, get: Get) -> Response:
        """POST of a batch or a transaction; ``get`` does what its entries read."""
        value = await incoming.json_body(asker.request, limit=incoming.BUNDLE_BYTES)
        if isinstance(value, dict) and value.get("type") == "batch":
            note_interaction(asker.request.scope, "batch")
        return resource_answer(await self._bundling.done(asker, value, get))

    def _wish(
        self,
        asker: Asker,
        method: str,
        kind: str,
        resource_id: str | None,
        resource: dict[str, object] | None,
        patch: object = None,
    ) -> Wish:
        query = None
        if resource_id is None:
            query = incoming.query_of(asker.request.scope["query_string"])
        return Wish(
            method, kind, resource_id, query, resource, patch,  # type: ignore[arg-type]
            if_match=incoming.if_match(asker.request),
            if_none_match=incoming.if_none_match(asker.request),
        )  # fmt: skip

    async def _made(self, asker: Asker, wish: Wish) -> Response:
        (done,) = await self._writer.write(asker, [wish])
        return changed_answer(asker, done)


def changed_answer(asker: Asker, done: Done) -> Response:
    """The answer to one change, with what Prefer asks for."""
    headers: dict[str, str] = {}
    if done.version is not None and done.updated is not None:
        headers |= version_headers(done.version, done.updated)
        if done.status != 204:
            place = f"{asker.base}/{done.kind}/{done.id}/_history/{done.version}"
            headers["Content-Location"] = place
            if done.status == 201:
                headers["Location"] = place
    wanted = incoming.wanted_return(asker.request)
    note_resource(asker.request.scope, done.kind, done.id, done.text or b"")
    if done.text is None:
        return Response(status_code=204, headers=headers)
    if wanted == "minimal" or (wanted == "representation" and not done.is_readable):
        return Response(status_code=done.status, headers=headers)
    if wanted == "OperationOutcome":
        issue = outcome_issue("information", "informational", f"{done.kind} stored.")
        body = orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]})
        return Response(body, done.status, headers, MEDIA_TYPE)
    return Response(done.text, done.status, headers, MEDIA_TYPE)


def _conditional(request: Request, row: ResourceRow) -> Response:
    return conditional(request, whole(row), str(row.commit_seq), row.stored_at)


def _may_be_shown(row: ResourceRow, limits: Limits, base: str) -> bool:
    """Whether a version is within limits; what was deleted says no more which category it had."""
    if row.body is None:
        return not limits.conditions
    return row_meets(limits.conditions, row, base)
