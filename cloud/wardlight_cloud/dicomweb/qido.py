"""Searches (QIDO-RS): studies, series, instances, at large or below a study or series."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach, require_study
from wardlight_cloud.dicomweb.addresses import Addresses, path_uid
from wardlight_cloud.dicomweb.errors import not_acceptable
from wardlight_cloud.dicomweb.found import Results, is_told_by
from wardlight_cloud.dicomweb.header_batches import header_batches
from wardlight_cloud.dicomweb.json_answer import json_answer, json_stream
from wardlight_cloud.dicomweb.located import Locator
from wardlight_cloud.dicomweb.media import accepted, takes
from wardlight_cloud.dicomweb.query import Search, search_of
from wardlight_cloud.imaging.availability import Available
from wardlight_cloud.store.imaging import ImageRow, ImageStore, Level

JSON: Final = "application/dicom+json"
_PIECE_BYTES: Final = 64 * 1024
_COUNT: Final = "count=exact"  # in Prefer, as PostgREST has it


class Qido:
    """Answers searches."""

    def __init__(self, images: ImageStore, locator: Locator, addresses: Addresses) -> None:
        self._images = images
        self._locator = locator
        self._addresses = addresses

    async def search(self, request: Request, reach: Reach, level: Level) -> Response:
        """The results: 200, or 204 when there are none (PS3.18, table 10.6.3-1)."""
        kind = takes(accepted(request), JSON, "application/json")
        if kind is None:
            raise not_acceptable(f"Searches are answered as {JSON}.")
        study_uid, series_uid = path_uid(request, "study"), path_uid(request, "series")
        path = [("StudyInstanceUID", study_uid), ("SeriesInstanceUID", series_uid)]
        given = [(keyword, uid) for keyword, uid in path if uid is not None]
        query_string = request.scope["query_string"]
        search = search_of(level, query_string, given, patients=reach.patients)
        if study_uid is not None:
            await require_study(self._images, reach, study_uid)
        rows = await self._images.images(search.query) if search.limit else ()
        if study_uid is not None and rows:
            await self._locator.read(reach, study_uid)
        root = self._addresses.root(request)
        headers = await self._headers(request, search, rows)
        warning = search.warnings(root, more=len(rows) > search.limit)
        if warning is not None:
            headers["Warning"] = warning
        if not rows:
            return Response(status_code=204, headers=headers)
        levels = ((Level.STUDY, study_uid), (Level.SERIES, series_uid))
        above = frozenset(level for level, uid in levels if uid is not None)
        rows = rows[: search.limit]
        results = Results(search, root, above, await self._available(rows, above))
        if self._is_told(search, rows):
            return json_answer(request, results.of(rows), headers, kind)
        return json_stream(request, self._with_headers(results, rows), headers, kind)

    async def _available(self, rows: Sequence[ImageRow], above: frozenset[Level]) -> Available:
        """What of these can be had; of instances below a series their rows say it."""
        if Level.SERIES in above:
            return Available()
        return Available(await self._images.lacking(sorted({row.study_uid for row in rows})))

    def _is_told(self, search: Search, rows: Sequence[ImageRow]) -> bool:
        """Whether rows have all that is asked for; if not, headers of instances do."""
        if search.query.level is not Level.INSTANCE or not (search.fields or search.all_fields):
            return True
        return not search.all_fields and is_told_by(rows[0], search.fields)

    async def _with_headers(
        self, results: Results, rows: Sequence[ImageRow]
    ) -> AsyncIterator[bytes]:
        """The array; some headers at a time are in memory, and one result."""
        by_uid = {row.ref.sop_uid: row for row in rows if row.ref is not None}
        piece = bytearray(b"[")
        before = b""
        async for found in header_batches(self._images, list(by_uid)):
            for ref, header in found:
                piece += before + results.one(by_uid[ref.sop_uid], header)
                before = b","
                if len(piece) >= _PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
        yield bytes(piece + b"]")

    async def _headers(
        self, request: Request, search: Search, rows: tuple[ImageRow, ...]
    ) -> dict[str, str]:
        """How many results all pages have: where it is known, and where it is asked for."""
        headers = {"Cache-Control": "private, no-cache", "Vary": "Accept, Cookie"}
        is_last = len(rows) <= search.limit and (rows or not search.query.offset) and search.limit
        if is_last:
            headers["X-Total-Count"] = str(search.query.offset + len(rows))
        elif _COUNT in request.headers.get("prefer", "").replace(" ", ""):
            headers["X-Total-Count"] = str(await self._images.image_count(search.query))
        return headers
