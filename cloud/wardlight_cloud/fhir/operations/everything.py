"""``Patient/ID/$everything``: a patient's record, kind after kind, as searches find it.

First the Patient, then each kind that has a ``patient`` or a ``member``, in a fixed order, what is
made here and what was written; each by the search that anybody could make with the same token, so
it holds what those would. A page is filled from as many kinds as it takes. The cursor says at which
kind it is, and holds that search's own.

``start`` and ``end`` are about when care was given: kinds that are searched by such a date are
narrowed to it, others are not. ``_since`` is ``_lastUpdated`` of all.

Errors  FhirError 400 with the parameter at fault; 403, 404
Source  R4 4.0.1 OperationDefinition Patient-everything
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging
from wardlight_cloud.fhir.answers import resource_answer
from wardlight_cloud.fhir.bundle import links
from wardlight_cloud.fhir.operations.invoked import edge, invoked, one
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.parameters import split_values
from wardlight_cloud.fhir.sealed_pages import search_name
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.bundles import bundle
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.sealing import CursorStore

PATIENT: Final = "Patient"
Get = Callable[..., Awaitable[tuple[int, bytes]]]
"""``get(request, path, query, is_strict=)``: status and body of the same asker's GET."""

_KNOWN: Final = frozenset(
    {"start", "end", "_since", "_type", "_count", paging.CURSOR, "_format", "_pretty"}
)
_CARE: Final = ("date", "period", "started", "authored", "effective", "sent", "occurrence")
_WHOSE: Final = ("patient", "member")
_SINCE: Final = "_lastUpdated"


class _Link(msgspec.Struct):
    relation: str
    url: str


class _Page(msgspec.Struct):
    """A Bundle whose entries stay as they are written, digits of numbers and all."""

    link: list[_Link] = []
    entry: list[msgspec.Raw] = []


class _Place(msgspec.Struct, array_like=True):
    """Where a page begins: at a kind, behind a cursor of its search; "" = at its beginning."""

    kind: str
    cursor: str


class Everything:
    """The operation; ``parameters``: by kind, what each search takes."""

    def __init__(
        self,
        store: CursorStore,
        get: Get,
        parameters: Callable[[], Mapping[str, Mapping[str, str]]],
    ) -> None:
        self._store = store
        self._get = get
        self._parameters = parameters

    async def of(self, asker: Asker, patient_id: str) -> Response:
        """A page of the record."""
        request = asker.request
        given = await invoked(request)
        strict = asking.is_strict(request)
        for name, _ in given:
            if name not in _KNOWN and (strict or name.partition(":")[0] in _KNOWN):
                raise invalid(name[:64], "$everything does not know the parameter")
        honoured = [pair for pair in given if pair[0] in _KNOWN and pair[1]]
        await self._check(request, patient_id)
        kinds = self._kinds(request, one(honoured, "_type"))
        edge("start", "ge", one(honoured, "start"))
        edge("end", "le", one(honoured, "end"))
        edge("_since", "ge", one(honoured, "_since"))
        count = paging.count("_count", one(honoured, "_count") or str(paging.COUNT_DEFAULT))
        path = f"{PATIENT}/{patient_id}/$everything"
        name = search_name(path, honoured)
        place = self._opened(one(honoured, paging.CURSOR), kinds, name)
        entries, following = await self._page(
            request, patient_id, honoured, kinds, place, max(1, count)
        )
        cursor = None
        if following is not None:
            cursor = self._store.seal_cursor(msgspec.msgpack.encode(following), name)
        return resource_answer(
            bundle("searchset", entries, links(asker.base, path, honoured, cursor))
        )

    async def _check(self, request: Request, patient_id: str) -> None:
        """404 unless the patient is in reach, as its read says."""
        status, body = await self._get(request, f"{PATIENT}/{patient_id}", "")
        if status != 200:
            issue = orjson.loads(body)["issue"][0]
            raise FhirError(status, issue["code"], issue["diagnostics"])

    def _kinds(self, request: Request, types: str | None) -> list[str]:
        """Those of the record that the token may search, in their order."""
        table = self._parameters()
        known = [PATIENT, *(kind for kind in table if kind != PATIENT and _whose(table[kind]))]
        if types is not None:
            asked = split_values(types)
            if unknown := [each for each in asked if each not in known]:
                text = f"{unknown[0][:64]} is no type of a patient's record here"
                raise invalid("_type", text)
            known = [kind for kind in known if kind in asked]
        access = isolation.access(request)
        return [kind for kind in known if access.to(kind, Interaction.SEARCH) is not None]

    def _opened(self, text: str | None, kinds: Sequence[str], name: str) -> _Place:
        if text is None:
            return _Place(kinds[0] if kinds else "", "")
        try:
            opened = self._store.open_cursor(paging.cursor_bytes(text), name)
            place = msgspec.msgpack.decode(opened, type=_Place)
        except ValueError:  # and what msgspec raises
            place = _Place("", "")
        if place.kind not in kinds:
            raise invalid(paging.CURSOR, "not a cursor of this record; start again without it")
        return place

    async def _page(
        self,
        request: Request,
        patient_id: str,
        given: paging.Parameters,
        kinds: Sequence[str],
        place: _Place,
        count: int,
    ) -> tuple[list[bytes], _Place | None]:
        entries: list[bytes] = []
        at = kinds.index(place.kind) if kinds else 0
        for kind in kinds[at:]:
            if len(entries) >= count:  # a page may end with a commit, a little behind
                return entries, _Place(kind, "")
            cursor = place.cursor if kind == place.kind else ""
            found = await self._search(
                request, kind, patient_id, given, count - len(entries), cursor
            )
            entries += [bytes(each) for each in found.entry]
            following = next((each.url for each in found.link if each.relation == "next"), None)
            if following is not None:
                return entries, _Place(kind, paging.cursor_of(following))
        return entries, None

    async def _search(
        self,
        request: Request,
        kind: str,
        patient_id: str,
        given: paging.Parameters,
        count: int,
        cursor: str,
    ) -> _Page:
        takes = self._parameters()[kind]
        pairs = [("_id", patient_id)]
        if kind != PATIENT:
            pairs = [(_whose(takes) or PATIENT, f"{PATIENT}/{patient_id}")]
        date = next((name for name in _CARE if takes.get(name) == "date"), None)
        edges = {"start": (date, "ge"), "end": (date, "le"), "_since": (_SINCE, "ge")}
        for name, text in given:
            on, prefix = edges.get(name, (None, ""))
            if on is not None and (kind != PATIENT or on == _SINCE):
                pairs.append((on, prefix + text))
        pairs.append(("_count", str(count)))
        if cursor:
            pairs.append((paging.CURSOR, cursor))
        status, body = await self._get(request, kind, urlencode(pairs))
        if status != 200:
            issue: dict[str, Any] = orjson.loads(body)["issue"][0]
            retry = {"Retry-After": "5"} if status in (429, 503) else None
            raise FhirError(status, issue["code"], f"{kind}: {issue['diagnostics']}", headers=retry)
        return msgspec.json.decode(body, type=_Page)


def _whose(takes: Mapping[str, str]) -> str | None:
    """The parameter that names the patient."""
    return next((name for name in _WHOSE if takes.get(name) == "reference"), None)
