"""Reads and searches of imaging resources: ImagingStudy, Endpoint, DocumentReference, ECGs.

Handlers of the FHIR face, which guards them; rows come from the image index, resources from
imaging_resources.py.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging
from wardlight_cloud.fhir.answers import Answer, conditional, page_of, resource_answer
from wardlight_cloud.fhir.bundle import NO_ENTRIES, dumped
from wardlight_cloud.fhir.commit_order import Documents, OwnSource
from wardlight_cloud.fhir.image_doubts import doubts
from wardlight_cloud.fhir.imaging_ids import ImagingIds
from wardlight_cloud.fhir.imaging_resources import (
    DOCUMENT_CLASSES,
    ECG_CLASSES,
    EKG_STUDY,
    ENDPOINTS,
    PROCEDURE,
    Makers,
    accession_of,
    document_reference,
    ecg_observation,
    endpoint,
    imaging_study,
)
from wardlight_cloud.fhir.imaging_search import (
    CURRENT,
    DOCUMENT_PARAMETERS,
    ENDPOINT_PARAMETERS,
    FINAL,
    IMAGING_STUDY_PARAMETERS,
    SUPERSEDED,
    ImagingReads,
    ImagingSearch,
    instance_search,
    study_search,
)
from wardlight_cloud.fhir.observation_parameters import refuse_narrowing
from wardlight_cloud.fhir.order_face import OrderFace
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.parameters import honoured_parameters, split_values, token
from wardlight_cloud.fhir.report_chains import chains
from wardlight_cloud.fhir.vocabulary import CATEGORY, LOINC
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, Level, Match

_FORM: Final = ("_count", "_sort", paging.SUMMARY, paging.TOTAL, paging.CURSOR)
_ECG_PARAMETERS: Final = (
    "_id", "_lastUpdated", "patient", "subject", "date", "code", "combo-code", "category", "status",
)  # fmt: skip
_MOST_INSTANCES: Final = 5000
_MOST_SERIES: Final = 100_000
_COUNTED_AT_ONCE: Final = 1000
_DICOMWEB: Final = "/dicom-web"
Make = Callable[[Sequence[ImageRow], Makers], Awaitable[list[dict[str, Any]]]]
Handler = Callable[[Request], Awaitable[Response]]


class ImagingFace:
    """The handlers; ``base`` gives the address of FHIR for a request, ``cold_s`` as in Makers."""

    def __init__(
        self, store: ImagingReads, base: Callable[[Request], str], cold_s: int | None = None
    ) -> None:
        self._store = store
        self._cold_s = cold_s
        self._base = base
        self._orders = OrderFace(store, base)
        self._ids: tuple[ImagingIds, ImagingIds, ImagingIds] | None = None

    def searches(self) -> dict[str, Handler]:
        """Search handlers by type."""
        return {
            "ImagingStudy": self._search_studies,
            "DocumentReference": self._search_documents,
            "Endpoint": self._search_endpoints,
            "ServiceRequest": self._orders.search,
        }

    def reads(self) -> dict[str, Handler]:
        """Read handlers by type."""
        return {
            "ImagingStudy": self._read_study,
            "DocumentReference": self._read_document,
            "Endpoint": self._read_endpoint,
            "ServiceRequest": self._orders.read,
        }

    # -- ImagingStudy

    async def _search_studies(self, request: Request) -> Response:
        honoured = await _honoured(request, IMAGING_STUDY_PARAMETERS)
        makers = await self._makers(request)
        search = study_search(honoured, makers.studies, ENDPOINTS)
        answer = Answer(self._base(request), "ImagingStudy", honoured)
        search = isolation.images(request, search)
        return await self._answered(answer, search, honoured, self._studies, makers)

    async def _read_study(self, request: Request) -> Response:
        makers = await self._makers(request)
        uid = makers.studies.uid_of(request.path_params["id"])
        row = await self._row(request, Level.STUDY, "StudyInstanceUID", uid)
        if row is None:
            raise _not_found("ImagingStudy")
        return _read(request, row, (await self._studies([row], makers))[0])

    async def _studies(self, rows: Sequence[ImageRow], makers: Makers) -> list[dict[str, Any]]:
        if not rows:
            return []
        uids = tuple(row.study_uid for row in rows)
        match = Match("StudyInstanceUID", "equal", uids)
        series = await self._store.images(ImageQuery(Level.SERIES, (match,), limit=_MOST_SERIES))
        numbers = {number for row in rows if (number := accession_of(row)) is not None}
        orders = await self._orders.references(sorted(numbers))
        said = await doubts(self._store, rows)
        made = []
        for row in rows:
            own = [each for each in series if each.study_uid == row.study_uid]
            refs = await self._store.instances(row.study_uid)
            made.append(imaging_study(row, own, refs, makers, orders, said.get(row.study_uid, "")))
        return made

    # -- DocumentReference

    async def _search_documents(self, request: Request) -> Response:
        honoured = await _honoured(request, DOCUMENT_PARAMETERS)
        makers = await self._makers(request)
        search = instance_search(
            honoured, makers.documents, makers.studies, DOCUMENT_CLASSES, CURRENT, SUPERSEDED
        )
        answer = Answer(self._base(request), "DocumentReference", honoured)
        search = isolation.images(request, search)
        return await self._answered(answer, search, honoured, self._documents, makers)

    async def by_commit(self, kind: str, request: Request) -> OwnSource:
        """Documents or orders that a search finds, in the order of their changes."""
        if kind == "ServiceRequest":
            return await self._orders.by_change(request)
        honoured = await _honoured(request, DOCUMENT_PARAMETERS)
        makers = await self._makers(request)
        search = instance_search(
            honoured, makers.documents, makers.studies, DOCUMENT_CLASSES, CURRENT, SUPERSEDED
        )
        search = isolation.images(request, search)
        newest = await self._store.commit_before(datetime.max.replace(tzinfo=UTC))
        return Documents(self._store, search, makers, newest, partial(self._counted, search))

    async def _read_document(self, request: Request) -> Response:
        makers = await self._makers(request)
        uid = makers.documents.uid_of(request.path_params["id"])
        row = await self._row(request, Level.INSTANCE, "SOPInstanceUID", uid)
        if row is None or row.ref is None or row.ref.sop_class not in DOCUMENT_CLASSES:
            raise _not_found("DocumentReference")
        return _read(request, row, (await self._documents([row], makers))[0])

    async def _documents(self, rows: Sequence[ImageRow], makers: Makers) -> list[dict[str, Any]]:
        said, reports = await doubts(self._store, rows), await chains(self._store, rows)
        return [document_reference(row, makers, said.get(_uid(row), ""), reports) for row in rows]

    # -- ECGs, which are Observations

    async def search_ecgs(self, request: Request, parameters: paging.Parameters) -> Response | None:
        """The answer to a search of Observations that names ECGs; None for any other."""
        if not _names_ecgs(parameters):
            return None
        strict = asking.is_strict(request)
        refuse_narrowing(parameters, _ECG_PARAMETERS, "ECGs")
        honoured = honoured_parameters(parameters, (*_ECG_PARAMETERS, *_FORM), strict=strict)
        _check_sort(honoured)
        makers = await self._makers(request)
        search = instance_search(honoured, makers.ecgs, makers.studies, ECG_CLASSES, FINAL)
        answer = Answer(self._base(request), "Observation", honoured)
        search = isolation.ecgs(request, search)
        return await self._answered(answer, search, honoured, self._ecgs, makers)

    async def read_ecg(self, request: Request) -> Response | None:
        """An ECG, when the id is one of an ECG."""
        makers = await self._makers(request)
        uid = makers.ecgs.uid_of(request.path_params["id"])
        row = await self._row(request, Level.INSTANCE, "SOPInstanceUID", uid)
        if row is None or row.ref is None or row.ref.sop_class not in ECG_CLASSES:
            return None
        if not isolation.sees_ecgs(request):
            return None
        return _read(request, row, (await self._ecgs([row], makers))[0])

    async def _ecgs(self, rows: Sequence[ImageRow], makers: Makers) -> list[dict[str, Any]]:
        said = await doubts(self._store, rows)
        return [ecg_observation(row, makers, said.get(_uid(row), "")) for row in rows]

    # -- Endpoint

    async def _search_endpoints(self, request: Request) -> Response:
        parameters = await asking.parameters(request)
        known = (*ENDPOINT_PARAMETERS, *_FORM)
        values = asking.single(parameters, known, strict=asking.is_strict(request))
        names = set(ENDPOINTS)
        for name in ENDPOINT_PARAMETERS.keys() & values.keys():
            names &= {token(value)[1] for value in split_values(values[name])}
        answer = Answer(self._base(request), "Endpoint", list(values.items()))
        dicomweb = self._dicomweb(request)
        found = [endpoint(name, dicomweb, self._cold_s) for name in ENDPOINTS if name in names]
        total = None
        if paging.bundle_asked_for(list(values.items())) is not paging.BundleKind.PAGE:
            total = len(found)
        return answer.of(dumped(found), None, total)

    async def _read_endpoint(self, request: Request) -> Response:
        name = request.path_params["id"]
        if name not in ENDPOINTS:
            raise _not_found("Endpoint")
        found = endpoint(name, self._dicomweb(request), self._cold_s)
        return resource_answer(orjson.dumps(found))

    # -- what they have in common

    async def _answered(
        self,
        answer: Answer,
        search: ImagingSearch,
        honoured: paging.Parameters,
        make: Make,
        makers: Makers,
    ) -> Response:
        asked = paging.bundle_asked_for(honoured)
        total = None if asked is paging.BundleKind.PAGE else await self._counted(search)
        if asked is paging.BundleKind.TOTAL:
            return answer.of(NO_ENTRIES, None, total)
        values = dict(honoured)
        count = paging.count("_count", values.get("_count", str(paging.COUNT_DEFAULT)))
        after = paging.cursor_bytes(values[paging.CURSOR]) if paging.CURSOR in values else None
        found = partial(search.find, self._store, after=after)
        count = max(1, count)
        rows, cursor = await page_of(found(count=count))
        while count > 1 and _size(rows) > _MOST_INSTANCES:
            count //= 2  # a page of large studies is shorter than what was asked for
            rows, cursor = await page_of(found(count=count))
        return answer.of(dumped(await make(rows, makers)), cursor, total)

    async def _counted(self, search: ImagingSearch) -> int:
        total, cursor = 0, None
        while True:
            rows, cursor = await search.find(self._store, count=_COUNTED_AT_ONCE, after=cursor)
            total += len(rows)
            if cursor is None:
                return total

    async def _row(
        self, request: Request, level: Level, keyword: str, uid: str | None
    ) -> ImageRow | None:
        """The row of a UID, when it is a patient's, and one in reach."""
        if uid is None:
            return None
        query = ImageQuery(level, (Match(keyword, "equal", (uid,)),), limit=1)
        for row in await self._store.images(query):
            if row.patient is not None and isolation.is_seen(request, row.patient):
                return row
        return None

    async def _makers(self, request: Request) -> Makers:
        if self._ids is None:
            key = await self._store.image_id_key()
            self._ids = (
                ImagingIds(key, "ImagingStudy"),
                ImagingIds(key, "DocumentReference"),
                ImagingIds(key, "Observation"),
            )
        return Makers(*self._ids, self._dicomweb(request), self._cold_s)

    def _dicomweb(self, request: Request) -> str:
        return self._base(request).removesuffix("/fhir") + _DICOMWEB


async def _honoured(request: Request, known: dict[str, str]) -> paging.Parameters:
    parameters = await asking.parameters(request)
    names = (*known, *_FORM)
    honoured = honoured_parameters(parameters, names, strict=asking.is_strict(request))
    _check_sort(honoured)
    return honoured


def _check_sort(honoured: paging.Parameters) -> None:
    if any(name == "_sort" and text != "_lastUpdated" for name, text in honoured):
        raise invalid("_sort", "use _lastUpdated, in which order imaging resources always come")


def _names_ecgs(parameters: paging.Parameters) -> bool:
    """Whether a search of Observations is about ECGs; 400 where it mixes them with others."""
    asked = {"code": False, "category": False}
    for name, text in parameters:
        if name in ("code", "combo-code"):
            found = [token(value) in _ECG_CODES for value in split_values(text)]
        elif name == "category":
            found = [token(value) in _ECG_CATEGORIES for value in split_values(text)]
        else:
            continue
        if any(found) and not all(found):
            raise invalid(name, f"look for {EKG_STUDY} or category {PROCEDURE} in its own search")
        asked["category" if name == "category" else "code"] |= any(found)
        if found and not any(found):
            return False
    return any(asked.values())


_ECG_CODES: Final = frozenset({(None, EKG_STUDY), (LOINC, EKG_STUDY)})
_ECG_CATEGORIES: Final = frozenset({(None, PROCEDURE), (CATEGORY, PROCEDURE)})


def _uid(row: ImageRow) -> str:
    return "" if row.ref is None else row.ref.sop_uid


def _size(rows: Sequence[ImageRow]) -> int:
    return sum(row.study_instances for row in rows) if rows and rows[0].ref is None else 0


def _read(request: Request, row: ImageRow, resource: dict[str, Any]) -> Response:
    return conditional(request, orjson.dumps(resource), str(row.commit_seq), row.updated_at)


def _not_found(kind: str) -> FhirError:
    return FhirError(404, "not-found", f"There is no {kind} with this id.")
