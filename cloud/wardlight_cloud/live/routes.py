"""``GET /api/v1/live`` (server-sent events) and ``GET /api/v1/trend`` (points for charts).

Both answer a dashboard session or a bearer token that may search Observations; a token for one
patient gets that patient's rows, whether it names the patient or not. Rows are not told apart by
category here, so a token that is held to categories gets none. An open live connection for one
patient keeps that patient watched, so that gateways send 1 s blocks. Every RENEW_S an open
connection shows its session or token again; one that has ended, or reaches less, closes it.

Events   ``latest``: JSON list of rows; ``id`` is the commit sequence. The first event holds the
         newest rows of now; with Last-Event-ID (or ``?since=``) those that changed after it.
         ``alive``: every HEARTBEAT_S without rows, so that a dead connection is noticed.
         Who takes nothing for a while is disconnected (event_stream.py).
A trend holds what was measured while the device belonged to the patient, and nothing else.

Errors   401, 403 (scope), 404 (unknown patient or series, or out of reach), 400 (bad parameter),
         503 (no database), each as JSON {"error": ...}
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, Protocol
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wardlight_cloud.live.event_stream import EventStream
from wardlight_cloud.live.hub import LiveHub, TooManySubscribers
from wardlight_cloud.live.spans import spans
from wardlight_cloud.security.access import Access, Interaction
from wardlight_cloud.store.base import LatestRow, ReadStore, RegisterStore, TrendPoint
from wardlight_shared.codes import name_of
from wardlight_shared.errors import StorageError
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import ABSENT_BY_CODE

_log = logging.getLogger(__name__)
HEARTBEAT_S: Final = 10.0
RENEW_S: Final = 20.0
WATCH_S: Final = 60
_START_S: Final = 2.0  # a worker that has just started needs a moment to listen
_LONGEST_ID: Final = 19  # digits of a commit sequence
_MAX_POINTS: Final = 5000
_FIRST_YEAR, _LAST_YEAR = 1970, 9999  # of the store; a day more fits a datetime on both sides
_MAX_SPAN: Final = timedelta(days=366)

Authenticate = Callable[[Request], Awaitable[object]]


class LiveStore(ReadStore, RegisterStore, Protocol):
    """What the live feed needs of the store."""


class Forbidden(Exception):
    """The token is for other scopes."""


class BadRequest(Exception):
    """A parameter cannot be used; the text says which and why."""


def latest_json(row: LatestRow) -> dict[str, Any]:
    """One row as the dashboard reads it; ``value`` is exact decimal text or null."""
    absent = ABSENT_BY_CODE[row.absent] if row.absent < len(ABSENT_BY_CODE) else None
    is_absent = row.absent != 0
    return {
        "patient": str(row.patient_id),
        "series": row.series_id,
        "device": str(row.device_id),
        "metric": name_of(row.metric),
        "unit": row.unit,
        "time": row.time.isoformat(),
        "stored": row.stored_at.isoformat(),
        "value": None if is_absent else format(decimal_from_parts(row.mantissa, row.scale), "f"),
        "absent": None if not is_absent else str(absent or "unknown"),
        "flags": row.flags,
        "error_ms": row.error_ms,
        "commit": row.commit_seq,
    }


class LiveRoutes:
    """Builds the routes."""

    def __init__(self, store: LiveStore, hub: LiveHub, authenticate: Authenticate) -> None:
        self._store = store
        self._hub = hub
        self._authenticate = authenticate

    def routes(self) -> list[Route]:
        """Routes below ``/api/v1``."""
        return [
            Route("/live", self._guarded(self._live)),
            Route("/trend", self._guarded(self._trend)),
        ]

    def _guarded(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except PermissionError as error:
                return _json({"error": str(error)}, 401)
            except Forbidden as error:
                return _json({"error": str(error)}, 403)
            except BadRequest as error:
                return _json({"error": str(error)}, 400)
            except StorageError:
                return _json({"error": "The database does not answer; try again."}, 503)

        return guarded

    async def _live(self, request: Request) -> Response:
        own = await self._own_patient(request)
        text = request.query_params.get("patient")
        patient = own if text is None else _uuid(text)
        is_seen = own in (None, patient)
        if patient is not None and not (is_seen and (await self._store.patients(ids=[patient]))[0]):
            return _json({"error": "There is no patient with this id."}, 404)
        if not await self._hub.is_up(_START_S):
            return _json({"error": "The database does not answer; try again."}, 503)
        if self._hub.is_full:
            return _json({"error": "Too many live connections; try again later."}, 503)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        events = self._events(request, patient, _since(request))
        return EventStream(events, media_type="text/event-stream", headers=headers)

    async def _events(
        self, request: Request, patient: UUID | None, since: int | None
    ) -> AsyncIterator[bytes]:
        try:
            async with self._hub.subscribe(patient, since=since) as subscription:
                yield b"retry: 1000\n\n"
                renew_at = float("-inf")
                while self._hub.is_listening and not await request.is_disconnected():
                    if monotonic() >= renew_at:
                        await self._renew(request, patient)
                        renew_at = monotonic() + RENEW_S
                    rows = await subscription.next(HEARTBEAT_S)
                    if not rows and not self._hub.is_listening:
                        return  # no sign of life without a database
                    yield _event(rows) if rows else b"event: alive\ndata: {}\n\n"
        except StorageError:
            # The browser connects again by itself and then gets the newest rows.
            _log.warning("live connection closed: the database does not answer")
        except (PermissionError, Forbidden):
            _log.info("live connection closed: its session or token has ended")
        except TooManySubscribers:
            _log.warning("live connection closed: too many of them")

    async def _own_patient(self, request: Request) -> UUID | None:
        """The patient that a token is for, None = it is for all; raises Forbidden."""
        who = await self._authenticate(request)
        if not isinstance(who, Access):
            return None
        found = who.to("Observation", Interaction.SEARCH)
        if found is None or found.categories is not None:
            raise Forbidden(
                "The token is for other scopes; this needs one such as .../Observation.s, without "
                "a filter."
            )
        if found.patients is None:
            return None
        [patient] = found.patients  # a token is for one patient at most
        return patient

    async def _renew(self, request: Request, patient: UUID | None) -> None:
        if await self._own_patient(request) not in (None, patient):
            raise Forbidden("The token is for another patient now.")
        if patient is not None:
            until = datetime.now(UTC) + timedelta(seconds=WATCH_S)
            await self._store.watch(patient, until=until)

    async def _trend(self, request: Request) -> Response:
        parameters = request.query_params
        own = await self._own_patient(request)
        patient = _uuid(parameters.get("patient", ""))
        series = _whole(parameters.get("series"), "series", 0, 1 << 31)
        points = _whole(parameters.get("points", "1000"), "points", 10, _MAX_POINTS)
        end = _instant(parameters.get("end"), "end") or datetime.now(UTC)
        start = _instant(parameters.get("start"), "start") or end - timedelta(hours=24)
        if not timedelta(0) < end - start <= _MAX_SPAN:
            raise BadRequest("start must lie before end, by at most 366 days")
        rows = await self._store.latest([patient]) if own in (None, patient) else ()
        row = next((row for row in rows if row.series_id == series), None)
        if row is None:
            return _json({"error": "This patient has no such series now."}, 404)
        assignments = await self._store.assignments(device_id=row.device_id)
        found = [
            point
            for held in spans(row, assignments, start, end)
            for point in held.own(
                await self._store.trend(series, start=held.start, end=held.end, max_points=points)
            )
        ]
        return _json(_columns(found))


def _columns(found: list[TrendPoint]) -> dict[str, list[Any]]:
    return {
        "time": [point.time.timestamp() for point in found],
        "mean": [point.mean if point.count else None for point in found],
        "minimum": [point.minimum if point.count else None for point in found],
        "maximum": [point.maximum if point.count else None for point in found],
        "count": [point.count for point in found],
        "absent": [point.absent for point in found],
    }


def _event(rows: tuple[LatestRow, ...]) -> bytes:
    data = orjson.dumps([latest_json(row) for row in rows])
    return b"id: %d\nevent: latest\ndata: %s\n\n" % (rows[-1].commit_seq, data)


def _json(value: Any, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(value), status, headers, "application/json")


def _since(request: Request) -> int | None:
    """The last commit that the client has; browsers say it by themselves when they come back."""
    text = request.headers.get("last-event-id") or request.query_params.get("since", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < _LONGEST_ID else None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text if text.isascii() else "")
    except ValueError as error:
        raise BadRequest("patient: not an id") from error


def _whole(text: str | None, name: str, low: int, high: int) -> int:
    is_whole = text is not None and text.isascii() and text.isdigit() and len(text) < _LONGEST_ID
    number = int(text) if text is not None and is_whole else -1
    if not low <= number <= high:
        raise BadRequest(f"{name}: expected a whole number from {low} to {high}")
    return number


def _instant(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{name}: expected for instance 2026-01-31T08:00:00Z") from error
    if moment.tzinfo is None:
        raise BadRequest(f"{name}: the offset is missing, for instance ...Z")
    if not _FIRST_YEAR <= moment.year < _LAST_YEAR:
        raise BadRequest(f"{name}: not between {_FIRST_YEAR} and {_LAST_YEAR}")
    return moment
