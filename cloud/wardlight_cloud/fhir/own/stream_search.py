"""Searches and reads of Observations of streams (stream.py), beside those of readings.

A search is one of these when it asks for one of their categories, and for no other.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation, paging
from wardlight_cloud.fhir.answers import Answer
from wardlight_cloud.fhir.observation_parameters import refuse_narrowing
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.own.asked import Asked, within
from wardlight_cloud.fhir.own.kind import Made
from wardlight_cloud.fhir.own.stream import (
    AVERAGE,
    AVERAGE_ID,
    KIND_SYSTEM,
    WAVEFORM,
    WAVEFORM_ID,
    average,
    waveform,
)
from wardlight_cloud.fhir.parameters import honoured_parameters, split_values, token
from wardlight_cloud.fhir.sealed_pages import sealed
from wardlight_cloud.fhir.vocabulary import CATEGORY, measured_by_code
from wardlight_cloud.security.access import Reach
from wardlight_cloud.store.sealing import CursorStore
from wardlight_cloud.store.streams import StreamQuery, StreamStore, Width

STREAM_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "category": "token", "code": "token", "date": "date",
    "device": "reference", "patient": "reference", "status": "token", "subject": "reference",
}  # fmt: skip
"""What such a search takes; averages have no ``_lastUpdated``."""

_FORM: Final = ("_count", "_sort", paging.SUMMARY, paging.TOTAL, paging.CURSOR)
_KINDS: Final = frozenset({WAVEFORM, *AVERAGE})
_CHANGED: Final = "_lastUpdated"
_STATUS: Final = "http://hl7.org/fhir/observation-status"
_LENGTH: Final[dict[Width, timedelta]] = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1)}
_TICK: Final = timedelta(microseconds=1)


class StreamReads(StreamStore, CursorStore, Protocol):
    """What is asked of the store."""


class StreamSearches:
    """Handlers; ``base`` gives the address of FHIR for a request."""

    def __init__(self, store: StreamReads, base: Callable[[Request], str]) -> None:
        self._store = store
        self._base = base

    async def search(self, request: Request, given: paging.Parameters) -> Response | None:
        """The answer; None for a search of other Observations."""
        kind = _kind_asked_for(given)
        if kind is None:
            return None
        takes = STREAM_PARAMETERS if kind == WAVEFORM else STREAM_PARAMETERS.keys() - {_CHANGED}
        refuse_narrowing(given, takes, "averages and waveforms")
        names = (*takes, *_FORM)
        honoured = honoured_parameters(given, names, strict=asking.is_strict(request))
        if dict(honoured).get("_sort", "-date") != "-date":
            raise invalid("_sort", "averages and waveforms come the latest first: use -date")
        find = partial(self._find, Asked(tuple(honoured)), isolation.reach(request), kind)
        answer = Answer(self._base(request), "Observation", honoured)
        return await answer.of_pages(sealed(find, self._store, kind, honoured), _resource)

    async def read(self, resource_id: str, reach: Reach) -> Made | None:
        """One of them; None where there is none in reach."""
        for width, prefix in AVERAGE_ID.items():
            if resource_id.startswith(prefix):
                query = _of_key(reach, resource_id.removeprefix(prefix))
                kind = next(name for name, each in AVERAGE.items() if each == width)
                return await self._one(self._averages(width, query), reach, kind)
        if not resource_id.startswith(WAVEFORM_ID):
            return None
        query = _of_key(reach, resource_id.removeprefix(WAVEFORM_ID))
        return await self._one(self._waveforms(query), reach, WAVEFORM)

    async def _one(
        self, found: Awaitable[list[tuple[str, Made]]], reach: Reach, kind: str
    ) -> Made | None:
        rows = await found
        return rows[0][1] if rows and _is_in_categories(reach, kind) else None

    async def _find(
        self, asked: Asked, reach: Reach, kind: str, *, count: int, after: bytes | None
    ) -> tuple[tuple[Made, ...], bytes | None]:
        query = _query(asked, reach, kind)
        if query is None:
            return (), None
        place = None if after is None else after.decode("ascii", "replace")
        query = replace(query, count=count + 1, after=place)
        width = AVERAGE.get(kind)
        rows = await (self._waveforms(query) if width is None else self._averages(width, query))
        page = rows[:count]
        following = page[-1][0].encode() if len(rows) > count and page else None
        return tuple([made for _, made in page]), following

    async def _waveforms(self, query: StreamQuery) -> list[tuple[str, Made]]:
        blocks = await self._store.waveforms(query)
        return [(b.key, Made(waveform(b), str(b.commit_seq), b.stored_at)) for b in blocks]

    async def _averages(self, width: Width, query: StreamQuery) -> list[tuple[str, Made]]:
        rows = await self._store.averages(query, width)
        return [(row.key, Made(average(row, width))) for row in rows]


def _of_key(reach: Reach, key: str) -> StreamQuery:
    return StreamQuery(reach.patients, keys=(key,), count=1)


def is_stream(resource_id: str) -> bool:
    """Whether an id is, or could only be, one of these."""
    return resource_id.startswith((WAVEFORM_ID, *AVERAGE_ID.values()))


def _kind_asked_for(given: paging.Parameters) -> str | None:
    """Which of them; None for a search of other Observations. FhirError 400 for a mixture."""
    values = [
        token(value) for name, text in given if name == "category" for value in split_values(text)
    ]
    named = {code for system, code in values if system == KIND_SYSTEM and code in _KINDS}
    if not named and not any(system == KIND_SYSTEM for system, _ in values):
        return None
    if len(named) != 1 or any(system != KIND_SYSTEM for system, _ in values):
        known = ", ".join(f"{KIND_SYSTEM}|{each}" for each in sorted(_KINDS))
        raise invalid("category", f"ask for one of {known}, and for no other category with it")
    return named.pop()


def _is_in_categories(reach: Reach, kind: str) -> bool:
    """Whether the categories that a token is held to hold these; waveforms have R4's as well."""
    if reach.categories is None:
        return True
    own = {(None, kind), (KIND_SYSTEM, kind)}
    if kind == WAVEFORM:
        own |= {(None, "procedure"), (CATEGORY, "procedure")}
    return not own.isdisjoint(reach.categories)


def _query(asked: Asked, reach: Reach, kind: str) -> StreamQuery | None:
    if not _is_in_categories(reach, kind):
        return None
    patients = within(reach.patients, asked.ids("patient", "Patient"))
    patients = within(patients, asked.ids("subject", "Patient"))
    prefix = WAVEFORM_ID if kind == WAVEFORM else AVERAGE_ID[AVERAGE[kind]]
    ids = asked.values("_id")
    during = _in_status(asked, kind, *asked.interval("date"))
    if during is None:
        return None
    metrics = None
    for text in asked.texts("code"):
        found = {wire for v in split_values(text) for wire, _ in measured_by_code(*token(v))}
        metrics = found if metrics is None else metrics & found
    return StreamQuery(
        patients, asked.ids("device", "Device"),
        None if metrics is None else tuple(sorted(metrics)), *during,
        None if ids is None
        else tuple(each.removeprefix(prefix) for each in ids if each.startswith(prefix)),
        *asked.interval(_CHANGED),
    )  # fmt: skip


def _in_status(
    asked: Asked, kind: str, start: datetime | None, end: datetime | None
) -> tuple[datetime | None, datetime | None] | None:
    """The time with what ``status`` says of it: an average is final when its time is over.

    None where nothing has such a status.
    """
    statuses = asked.codes("status", [_STATUS])
    if statuses is None:
        return start, end
    if kind == WAVEFORM or {"final", "preliminary"} <= set(statuses):
        return (start, end) if "final" in statuses else None
    edge = datetime.now(UTC) - _LENGTH[AVERAGE[kind]] + _TICK
    if "final" in statuses:
        return start, edge if end is None else min(end, edge)
    return (
        None
        if "preliminary" not in statuses
        else (edge if start is None else max(start, edge), end)
    )


def _resource(made: Made) -> dict[str, Any]:
    return made.resource
