"""``$export`` over HTTP: kick-off, status, files, ending it; the router finds the handlers.

Source  HL7 Bulk Data Access 2.0; R4 4.0.1 (Asynchronous Request Pattern)
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import quote
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.bulk.asked import Asked, Filter, Level, asked_for
from wardlight_cloud.fhir.bulk.delivering import FileAnswer
from wardlight_cloud.fhir.bulk.folder import DELETED, ERRORS, ExportFile, ExportFolder
from wardlight_cloud.fhir.bulk.plan import Plan, decoded, encoded, planned
from wardlight_cloud.fhir.bulk.saving import Progress, progress_of
from wardlight_cloud.fhir.capability import search_parameters
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.outcome import MEDIA_TYPE, FhirError, invalid, outcome_issue
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import parsed, whole
from wardlight_cloud.fhir.stored.visible import visible
from wardlight_cloud.security.access import Access, Interaction, Reach
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.exports import (
    Export,
    ExportLimits,
    ExportOwner,
    ExportState,
    ExportStore,
    NewExport,
    Refused,
)
from wardlight_cloud.store.resources import ResourceStore

EXPORT: Final = "$export"
STATUS: Final = "_export"
"""Where exports are, below the base: ``_export/<id>``, ``_export/<id>/<file>``."""

_log = logging.getLogger(__name__)
_SOON: Final = timedelta(seconds=30)
_BUSY_S: Final = 60
_PROGRESS_MOST: Final = 100  # characters of X-Progress (IG)
_REFUSALS: Final = {
    Refused.FOR_ONE: "You have as many exports under way as one client may have. Wait for one, or "
    "end one with DELETE.",
    Refused.IN_ALL: "This server makes as many exports as it can at a time.",
    Refused.OCTETS: "The files of exports fill the place there is for them. Ask again when some "
    "were removed; yours are removed with DELETE.",
}

Handler = Callable[[Request], Awaitable[Response]]
Get = Callable[[Request, str, str], Awaitable[tuple[int, bytes]]]
"""Answers a GET (path below the base, query) of whoever made the request."""


class BulkFaceStore(ReadStore, ResourceStore, ExportStore, Protocol):
    """What this face asks of the store."""


@dataclass(frozen=True, slots=True)
class Exports:
    """Where files are, what is allowed, how long files stay, and who is told of a new export."""

    folder: ExportFolder
    limits: ExportLimits
    keep_hours: float
    wake: Callable[[], None]


class BulkFace:
    """The handlers; ``base`` gives the address of FHIR for a request."""

    def __init__(
        self, store: BulkFaceStore, base: Callable[[Request], str], get: Get, exports: Exports
    ) -> None:
        self._store = store
        self._base = base
        self._get = get
        self._exports = exports

    def handler(self, method: str, path: str) -> Handler | None:
        """For a path below the base; None = it is none of an export."""
        asks = method in ("GET", "POST")
        match path.split("/"):
            case ["$export"] if asks:
                return partial(self._start, level=Level.SYSTEM)
            case ["Patient", "$export"] if asks:
                return partial(self._start, level=Level.PATIENTS)
            case ["Group", name, "$export"] if asks:
                return partial(self._start, level=Level.GROUP, group=name)
            case ["_export", text] if method in ("GET", "HEAD"):
                return partial(self._status, text=text)
            case ["_export", text] if method == "DELETE":
                return partial(self._end, text=text)
            case ["_export", text, name] if method in ("GET", "HEAD"):
                return partial(self._file, text=text, name=name)
        return None

    async def _start(self, request: Request, level: Level, group: str = "") -> Response:
        asked = await asked_for(request, level, tuple(search_parameters()))
        await self._try_out(request, asked.filters)
        base = self._base(request)
        members = await self._members(request, asked, level, group)
        plan = planned(request, asked, level, base, members)
        export = await self._store.start_export(
            NewExport(
                _owner(isolation.access(request)), _address(request, base), encoded(plan),
                asked.since, asked.until,
            ),
            self._exports.limits,
        )  # fmt: skip
        if isinstance(export, Refused):
            headers = {"Retry-After": str(_BUSY_S)}
            raise FhirError(429, "too-costly", _REFUSALS[export], headers=headers)
        self._exports.wake()
        about = {
            "export": str(export.export_id), "client": plan.client, "login": plan.login,
            "level": level.value, "kinds": ",".join(plan.kinds),
            "patients": None if members is None else len(members),
        }  # fmt: skip
        _log.info("export asked for", extra=about)
        return _outcome(
            202, "The export is under way; ask at Content-Location.",
            {"Content-Location": f"{base}/{STATUS}/{export.export_id}"},
        )  # fmt: skip

    async def _try_out(self, request: Request, filters: Sequence[Filter]) -> None:
        """Whatever is wrong with a filter is told now, by the search that it is."""
        for each in filters:
            query = f"{each.query}&_count=1" if each.query else "_count=1"
            status, body = await self._get(request, each.kind, query)
            if status != 200:
                issues = orjson.loads(body).get("issue", [])
                text = issues[0].get("diagnostics", "") if issues else ""
                raise FhirError(
                    status, "invalid", f"_typeFilter: {text}", expression="http._typeFilter"
                )

    async def _members(
        self, request: Request, asked: Asked, level: Level, group: str
    ) -> tuple[UUID, ...] | None:
        """Whose resources are wanted, as far as the asker may know of them; None = everybody's."""
        if level is not Level.GROUP:
            return await self._known(request, asked)
        base = self._base(request)
        limits = Asker(request, base).limits("Group", Interaction.READ)
        rows = await visible(self._store, "Group", [group], limits)
        if not rows or rows[0].body is None:
            raise FhirError(404, "not-found", "There is no Group with this id.")
        members = _members_of(parsed(whole(rows[0])), base)
        if asked.patients is None:
            return members
        if not set(asked.patients) <= set(members):
            raise invalid("patient", "is not a member of the Group")
        return asked.patients

    async def _known(self, request: Request, asked: Asked) -> tuple[UUID, ...] | None:
        if asked.patients is None:
            return None
        reach = isolation.reach_to(request, "Patient", Interaction.READ)
        ids = [str(each) for each in asked.patients]
        rows = await self._store.resources_by_id("Patient", ids, patients=reach.patients)
        if len([row for row in rows if row.body is not None]) < len(ids):
            raise invalid("patient", "there is no such Patient")
        return asked.patients

    async def _status(self, request: Request, text: str) -> Response:
        export = await self._own(request, text)
        progress = progress_of(export)
        if export.state is ExportState.FAILED:
            text = f"The export failed. {export.problem or ''}".strip()
            raise FhirError(500, "processing", text)
        if export.state is ExportState.RUNNING:
            now_s = 2 if export.ended_at is None and _is_young(export) else 10
            headers = {"X-Progress": _progress(progress), "Retry-After": str(now_s)}
            return Response(status_code=202, headers=headers)
        expires = (export.ended_at or export.asked_at) + timedelta(hours=self._exports.keep_hours)
        headers = {"Expires": format_datetime(expires, usegmt=True)}
        manifest = self._manifest(self._base(request), export, progress.files)
        return Response(orjson.dumps(manifest), 200, headers, "application/json")

    def _manifest(self, base: str, export: Export, files: Sequence[ExportFile]) -> dict[str, Any]:
        def listed(names: frozenset[str], *, inside: bool, shown: str | None) -> list[Any]:
            return [
                {
                    "type": shown or each.kind,
                    "url": f"{base}/{STATUS}/{export.export_id}/{each.name}",
                    "count": each.count,
                }
                for each in files
                if (each.kind in names) is inside
            ]

        return {
            "transactionTime": instant(export.transaction_time),
            "request": export.request,
            "requiresAccessToken": True,
            "output": listed(frozenset({DELETED, ERRORS}), inside=False, shown=None),
            "deleted": listed(frozenset({DELETED}), inside=True, shown="Bundle"),
            "error": listed(frozenset({ERRORS}), inside=True, shown="OperationOutcome"),
        }

    async def _file(self, request: Request, text: str, name: str) -> Response:
        export = await self._own(request, text)
        found = [each for each in progress_of(export).files if each.name == name]
        if export.state is not ExportState.DONE or not found:
            raise FhirError(404, "not-found", "The export has no such file.")
        (file,) = found
        _check_scopes(request, decoded(export.plan), file)
        path = self._exports.folder.path(export.export_id, file.name)
        answer = FileAnswer(request, path, file.size, f"{export.export_id}-{file.name}")
        about = {"export": text, "client": export.owner.client, "file": name}
        _log.info("export file read", extra=about)
        return answer

    async def _end(self, request: Request, text: str) -> Response:
        export = await self._own(request, text)
        await self._store.end_export(export.export_id)
        self._exports.folder.remove(export.export_id)
        about = {"export": text, "client": export.owner.client, "state": export.state.value}
        _log.info("export ended by its client", extra=about)
        return _outcome(202, "The export has ended, and its files are removed.", {})

    async def _own(self, request: Request, text: str) -> Export:
        """An export of the asker; one of somebody else is as if it did not exist."""
        try:
            export = await self._store.export(UUID(text))
        except ValueError:
            export = None
        if export is None or export.owner != _owner(isolation.access(request)):
            raise FhirError(404, "not-found", "There is no such export, or it was removed.")
        return export


def _owner(access: Access) -> ExportOwner:
    return ExportOwner(access.client, access.user, access.patient)


def _address(request: Request, base: str) -> str:
    path = quote(request.scope["path"].removeprefix("/fhir"), safe="/$")
    query = request.scope["query_string"].decode("latin-1")
    return f"{base}{path}?{query}" if query else f"{base}{path}"


def _members_of(group: dict[str, Any], base: str) -> tuple[UUID, ...]:
    """Patients that are members now."""
    found = set()
    for member in group.get("member", ()):
        local = local_reference(member.get("entity", {}).get("reference", ""), base)
        kind, _, text = (local or "").partition("/")
        if member.get("inactive") is True or kind != "Patient":
            continue
        try:
            found.add(UUID(text))
        except ValueError:
            continue
    return tuple(sorted(found))


def _progress(progress: Progress) -> str:
    counts: dict[str, int] = {}
    for each in progress.files:
        counts[each.kind] = counts.get(each.kind, 0) + each.count
    if not counts:
        return "begun"
    total = sum(counts.values())
    last = progress.files[-1].kind
    return f"{total} resources written, {counts[last]} of them {last}"[:_PROGRESS_MOST]


def _is_young(export: Export) -> bool:
    return datetime.now(UTC) - export.asked_at < _SOON


def _check_scopes(request: Request, plan: Plan, file: ExportFile) -> None:
    """The token that is shown now permits what stands in the file, too."""
    kinds = (file.kind,) if file.kind in plan.kinds else plan.kinds
    then = plan.access()
    for kind in () if file.kind == ERRORS else kinds:
        wanted = then.to(kind, Interaction.READ)
        held = isolation.reach_to(request, kind, Interaction.READ)
        if wanted is None or not _holds(held, wanted):
            text = f"The token permits less of {kind} than the export was made with."
            raise FhirError(403, "forbidden", text)


def _holds(held: Reach, wanted: Reach) -> bool:
    """Whether all that is wanted is within reach."""
    return _is_within(wanted.patients, held.patients) and _is_within(
        wanted.categories, held.categories
    )


def _is_within(wanted: Any, held: Any) -> bool:
    return held is None or (wanted is not None and set(wanted) <= set(held))


def _outcome(status: int, text: str, headers: dict[str, str]) -> Response:
    issue = outcome_issue("information", "informational", text)
    body = orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]})
    return Response(body, status, headers, MEDIA_TYPE)
