"""Where the lines of an export come from: one step of its plan after the other.

What this server makes itself is asked of the FHIR face, as the one who asked for the export would
ask, so that scopes and isolation are those of any search. Versions of such resources are numbers of
commits where they come from commits (_BY_COMMIT), and are then held to those of the export; of the
others whatever changed since the beginning is shown as it is now.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Scope

from wardlight_cloud.fhir.bulk.plan import Plan, Step
from wardlight_cloud.fhir.capability import search_parameters
from wardlight_cloud.fhir.device_search import GATEWAY_ID
from wardlight_cloud.fhir.isolation import admit
from wardlight_cloud.fhir.observation_form import OBSERVATIONS
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import whole
from wardlight_cloud.fhir.stored.kinds import BESIDE_OWN, STORED
from wardlight_cloud.fhir.stored.searching import stored_search
from wardlight_cloud.fhir.stored.visible import row_meets
from wardlight_cloud.fhir.subscriptions.meeting import has_lost
from wardlight_cloud.security.access import Access, Interaction
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.exports import Commits, ExportStore
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.resources import ResourceRow, ResourceStore
from wardlight_cloud.store.subscriptions import ChangeStore
from wardlight_shared.errors import StorageError

ACCESS: Final = "wardlight.export_access"
"""Where a request made here carries who asks."""

_PAGE: Final = 500
_PATH: Final = "/fhir"
_BY_COMMIT: Final = frozenset({"DocumentReference", "ImagingStudy", "Observation"})
_NO_FILTER: Final = ("",)


class BulkStore(ReadStore, ResourceStore, ExportStore, ChangeStore, Protocol):
    """What an export asks of the store."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a step. ``place``: where to go on, None = only from the step's beginning.

    ``deleted``: (kind, id) of resources that are no more.
    """

    text: bytes
    count: int
    place: bytes | None
    deleted: Sequence[tuple[str, str]] = ()


class _Meta(msgspec.Struct):
    versionId: str = ""
    lastUpdated: str = ""


class _Head(msgspec.Struct):
    id: str
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _Entry(msgspec.Struct):
    resource: msgspec.Raw


class _Link(msgspec.Struct):
    relation: str
    url: str


class _Page(msgspec.Struct):
    entry: list[_Entry] = []
    link: list[_Link] = []


_page: Final = msgspec.json.Decoder(_Page)
_head: Final = msgspec.json.Decoder(_Head)


class SearchFailed(Exception):
    """A search of the plan does not work (any more); the text is for the client."""


class Sources:
    """Lines of steps; ``face``: the FHIR face, which finds in ACCESS who asks."""

    def __init__(self, store: BulkStore, face: ASGIApp, plan: Plan, commits: Commits) -> None:
        self._store = store
        self._face = face
        self._plan = plan
        self._commits = commits
        self._access = plan.access()

    async def parts(self, step: Step, place: bytes | None) -> AsyncGenerator[Part, None]:
        """Lines of a step from a place on."""
        if step.query is not None:
            found = self._store.exported_readings(
                step.query, self._commits, OBSERVATIONS, place=place
            )
            async with contextlib.aclosing(found):
                async for lines in found:
                    yield Part(lines.text, lines.count, lines.place)
            async for part in self._lost(step.query):
                yield part
            return
        if step.source == "own":
            parts = self._own(step)
        elif step.searches:
            parts = self._searched(step)
        else:
            parts = self._stored(step, place)
        async for part in parts:
            yield part

    async def _lost(self, query: ObservationQuery) -> AsyncIterator[Part]:
        """Readings that left the patients asked for: a copy of theirs is to lose them, too."""
        place = None
        while self._commits.after:
            changes, place = await self._store.left_observations(
                after=self._commits.after, upto=self._commits.last, place=place, count=_PAGE
            )
            ids = [each.row.observation_id for each in changes if has_lost(query, each)]
            if ids:
                yield _part((), None, [("Observation", each) for each in ids])
            if place is None:
                return

    # -- what others wrote

    async def _stored(self, step: Step, place: bytes | None) -> AsyncIterator[Part]:
        after = 0 if place is None else int(place)
        asker = self._asker(step.kind)
        conditions = asker.limits(step.kind).conditions
        while True:
            rows = await self._store.exported_resources(
                step.kind, self._commits, patients=step.patients, is_of_patients=step.of_patients,
                after=after, count=_PAGE,
            )  # fmt: skip
            if not rows:
                return
            after = rows[-1].key
            deleted = [(row.kind, row.id) for row in rows if row.body is None and not conditions]
            texts = [
                whole(row)
                for row in rows
                if row.body is not None and row_meets(conditions, row, asker.base)
            ]
            yield _part(texts, str(after).encode(), deleted)

    async def _searched(self, step: Step) -> AsyncIterator[Part]:
        seen: set[str] = set()
        asker = self._asker(step.kind)
        for search in step.searches:
            pairs = parse_qsl(search, keep_blank_values=True)
            try:
                query = stored_search(asker, step.kind, pairs, strict=True).query
            except FhirError:
                continue  # it was looked at before: only what is made here has such a parameter
            after = None
            while True:
                page = await self._store.resources(
                    replace(query, patients=step.patients, sort="", count=_PAGE, after=after)
                )
                rows = [row for row in page.rows if row.id not in seen and self._is_due(step, row)]
                seen.update(row.id for row in rows)
                yield _part([whole(row) for row in rows], None)
                after = page.next
                if after is None:
                    break

    def _is_due(self, step: Step, row: ResourceRow) -> bool:
        is_anybodys = bool(row.patients) or not step.of_patients
        return is_anybodys and self._commits.after < row.commit_seq <= self._commits.last

    def _asker(self, kind: str) -> Asker:
        request = Request(_scope(self._plan.base, f"{_PATH}/{kind}", "", self._access))
        admit(request, self._access, kind, Interaction.SEARCH)
        return Asker(request, self._plan.base)

    # -- what is made here

    async def _own(self, step: Step) -> AsyncIterator[Part]:
        seen: set[str] = set()
        async for pairs in self._questions(step):
            query: str | None = urlencode([*pairs, ("_count", str(_PAGE))])
            while query is not None:
                page = await self._asked(step.kind, query)
                texts = await self._fresh(step, [bytes(each.resource) for each in page.entry], seen)
                yield _part(texts, None)
                link = (each.url for each in page.link if each.relation == "next")
                query = next((urlsplit(url).query for url in link), None)

    async def _questions(self, step: Step) -> AsyncIterator[list[tuple[str, str]]]:
        """Searches whose matches are the step's."""
        own = self._narrowing(step.kind)
        for search in step.searches or _NO_FILTER:
            pairs = parse_qsl(search, keep_blank_values=True)
            if not step.one_by_one:
                yield [*pairs, *own]
                continue
            async for patient in self._patients(step):
                yield [*pairs, *own, ("patient", patient)]
        if step.kind == "Device" and step.patients is None and not step.of_patients:
            gateways = [f"{GATEWAY_ID}{each.gateway}" for each in await self._store.gateways()]
            for place in range(0, 0 if step.searches else len(gateways), _PAGE):
                yield [("_id", ",".join(gateways[place : place + _PAGE]))]

    def _narrowing(self, kind: str) -> list[tuple[str, str]]:
        """What spares reading resources of before; which of the others are due is seen later."""
        since = self._plan.since
        if since is None or "_lastUpdated" not in search_parameters().get(kind, {}):
            return []
        return [("_lastUpdated", f"ge{instant(since)}")]

    async def _patients(self, step: Step) -> AsyncIterator[str]:
        if step.patients is not None:
            for patient in step.patients:
                yield str(patient)
            return
        after = None
        while True:
            rows, after = await self._store.patients(count=_PAGE, after=after)
            for row in rows:
                yield str(row.patient_id)
            if after is None:
                return

    async def _fresh(self, step: Step, texts: list[bytes], seen: set[str]) -> list[bytes]:
        """Those that are made here, are due, and were not shown before."""
        heads = [_head.decode(text) for text in texts]
        ids = [head.id for head in heads]
        if step.kind in BESIDE_OWN and step.kind in STORED:
            rows = await self._store.resources_by_id(step.kind, ids, patients=None)
            seen.update(row.id for row in rows)
        fresh = []
        for head, text in zip(heads, texts, strict=True):
            if head.id not in seen and self._is_in(step, head.meta):
                seen.add(head.id)
                fresh.append(text)
        return fresh

    def _is_in(self, step: Step, meta: _Meta) -> bool:
        if step.kind in _BY_COMMIT and meta.versionId.isdigit():
            return self._commits.after < int(meta.versionId) <= self._commits.last
        since = self._plan.since
        return since is None or not meta.lastUpdated or meta.lastUpdated >= instant(since)

    async def _asked(self, kind: str, query: str) -> _Page:
        scope = _scope(self._plan.base, f"{_PATH}/{kind}", query, self._access)
        status, body = await answer_of(self._face, scope)
        if status == 503:
            raise StorageError("the face answers 503")
        if status != 200:
            raise SearchFailed(f"Searching {kind} was answered with {status}.")
        return _page.decode(body)


def _part(
    texts: Sequence[bytes], place: bytes | None, deleted: Sequence[tuple[str, str]] = ()
) -> Part:
    return Part(b"\n".join([*texts, b""]) if texts else b"", len(texts), place, deleted)


def _scope(base: str, path: str, query: str, access: Access) -> Scope:
    address = urlsplit(base)
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": address.scheme, "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "headers": [(b"host", address.netloc.encode())],
        "client": None, "server": None, ACCESS: access,
    }  # fmt: skip


async def answer_of(face: ASGIApp, scope: Scope) -> tuple[int, bytes]:
    """Status and body of a request without one."""
    status = 0
    body = bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        body.extend(message.get("body", b""))

    await face(scope, receive, send)
    return status, bytes(body)


async def access_of(request: Any) -> Access:
    """Authenticate requests that were made here."""
    found: Access = request.scope[ACCESS]
    return found
