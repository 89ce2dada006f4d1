"""Versions of what is made here: histories of readings, and of all else the version of now.

A reading has a version for each commit that changed it: a correction, a withdrawal, a component
that came later, a device that was given to the patient. What is made from columns that are not kept
has the version of now alone.

Errors  FhirError 400 with the parameter at fault; 403, 404
Source  R4 4.0.1 3.1.0.3 (vread), 3.1.0.8 (history); Bundle (type history)
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging, search
from wardlight_cloud.fhir.answers import conditional, page_of, resource_answer
from wardlight_cloud.fhir.bundle import links
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.bundles import bundle
from wardlight_cloud.fhir.stored.face import StoredFace
from wardlight_cloud.fhir.stored.kinds import BESIDE_OWN, STORED
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.observation_versions import ObservationVersionStore
from wardlight_cloud.store.sealing import CursorStore

_READING: Final = re.compile(r"[0-9a-f]{32}")
_HISTORY: Final = ("_since", "_count", paging.CURSOR)
Get = Callable[..., Awaitable[tuple[int, bytes]]]
"""``get(request, path, query)``: status and body of the same asker's GET."""


class VersionStore(ReadStore, ObservationVersionStore, CursorStore, Protocol):
    """What is asked of the store."""


class OwnVersions:
    """vread and history-instance of resources that are made here."""

    def __init__(self, store: VersionStore, get: Get) -> None:
        self._store = store
        self._get = get

    async def vread(self, asker: Asker, kind: str, resource_id: str, version: str) -> Response:
        """One version."""
        request = asker.request
        if is_reading(kind, resource_id):
            rows = await self._readings(request, resource_id)
            row = next((each for each in rows if str(each.commit_seq) == version), None)
            if row is not None:
                return conditional(request, observation(row), version, row.stored_at)
        else:
            text, about = await self._now(request, kind, resource_id)
            if about is not None and about[0] == version:
                return conditional(request, text, *about)
        raise FhirError(404, "not-found", f"There is no such version of this {kind}.")

    async def history(self, asker: Asker, kind: str, resource_id: str) -> Response:
        """Versions, the latest first."""
        request = asker.request
        given = await asking.parameters(request)
        asking.refuse_moment(given)
        values = asking.single(given, _HISTORY, strict=asking.is_strict(request))
        since = asking.since(values)
        count = max(1, paging.count("_count", values.get("_count", str(paging.COUNT_DEFAULT))))
        path = f"{kind}/{resource_id}/_history"
        entries: list[tuple[str, datetime, bytes]] = []
        if is_reading(kind, resource_id):
            rows = await self._readings(request, resource_id)
            entries = [
                (str(row.commit_seq), row.stored_at, _entry(asker.base, row, row is rows[0]))
                for row in reversed(rows)
            ]
        else:
            text, about = await self._now(request, kind, resource_id)
            if about is not None:
                made = _made(asker.base, kind, resource_id, text, *about, is_new=False)
                entries = [(*about, made)]
        due = [each for each in entries if since is None or each[1] >= since]
        total = len(due)
        if paging.CURSOR in values:
            last = await page_of(self._opened(values[paging.CURSOR], path))
            names = [version for version, _, _ in due]
            due = due[names.index(last) + 1 :] if last in names else []
        page = due[:count]
        cursor = None
        if len(due) > count:
            cursor = self._store.seal_cursor(page[-1][0].encode(), path)
        link = links(asker.base, path, list(values.items()), cursor)
        return resource_answer(bundle("history", [entry for _, _, entry in page], link, total))

    async def _opened(self, text: str, path: str) -> str:
        return self._store.open_cursor(paging.cursor_bytes(text), path).decode()

    async def _readings(self, request: Request, resource_id: str) -> tuple[ObservationRow, ...]:
        query = isolation.observations(request, search.for_read(resource_id))
        rows = () if query is None else (await self._store.observations(query)).rows
        if not rows:
            raise FhirError(404, "not-found", "There is no Observation with this id.")
        return await self._store.observation_versions(rows[0])

    async def _now(
        self, request: Request, kind: str, resource_id: str
    ) -> tuple[bytes, tuple[str, datetime] | None]:
        """The resource as it is now; None: it has no version."""
        status, body = await self._get(request, f"{kind}/{resource_id}", "")
        if status != 200:
            issue = orjson.loads(body)["issue"][0]
            raise FhirError(status, issue["code"], issue["diagnostics"])
        meta: dict[str, Any] = orjson.loads(body).get("meta", {})
        if "versionId" not in meta:
            return body, None
        return body, (meta["versionId"], datetime.fromisoformat(meta["lastUpdated"]))


class Versions:
    """The same of all there is: what is stored, and what is made here."""

    def __init__(self, stored: StoredFace, own: OwnVersions) -> None:
        self._stored = stored
        self._own = own

    async def vread(self, asker: Asker, kind: str, resource_id: str, version: str) -> Response:
        """One version."""
        if kind in STORED and not is_reading(kind, resource_id):
            try:
                return await self._stored.vread(asker, kind, resource_id, version)
            except FhirError as error:
                if error.status != 404 or kind not in BESIDE_OWN:
                    raise
        return await self._own.vread(asker, kind, resource_id, version)

    async def history(self, asker: Asker, kind: str, resource_id: str) -> Response:
        """Versions, the latest first."""
        if kind in STORED and not is_reading(kind, resource_id):
            try:
                return await self._stored.history(asker, kind, resource_id)
            except FhirError as error:
                if error.status != 404 or kind not in BESIDE_OWN:
                    raise
        return await self._own.history(asker, kind, resource_id)


def is_reading(kind: str, resource_id: str) -> bool:
    """Whether an id is, or could only be, one of an Observation that is a reading."""
    return kind == "Observation" and _READING.fullmatch(resource_id) is not None


def _entry(base: str, row: ObservationRow, is_new: bool) -> bytes:
    return _made(
        base, "Observation", row.observation_id, observation(row), str(row.commit_seq),
        row.stored_at, is_new=is_new,
    )  # fmt: skip


def _made(
    base: str,
    kind: str,
    resource_id: str,
    text: bytes,
    version: str,
    updated: datetime,
    *,
    is_new: bool,
) -> bytes:
    place = f"{kind}/{resource_id}"
    entry = {
        "fullUrl": f"{base}/{place}",
        "resource": orjson.Fragment(text),
        "request": {"method": "POST" if is_new else "PUT", "url": kind if is_new else place},
        "response": {
            "status": "201 Created" if is_new else "200 OK",
            "etag": f'W/"{version}"',
            "lastModified": instant(updated),
        },
    }
    return orjson.dumps(entry)
