"""Observations of readings for exports: line after line, as a form writes them.

Patients one after the other, day after day: kept days as they are, others by rows, many at a time.
Which days there are says series_day, which is written with the rows; behind a commit,
series_commit and the assignments say of whom and when there is something new. To walk along the
commits, as searches by ``_lastUpdated`` do, costs several times as much: each of them brings
little of each patient.

A place is where to go on: the patients, the first day that is left, and the Observation behind
which it is. While one part is written, the next is looked for, also of the patients who come then:
a patient costs several statements, each of which waits for the server.
"""

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from wardlight_cloud.store.exports import Commits, Lines
from wardlight_cloud.store.observation_texts import Form
from wardlight_cloud.store.postgres.by_time import stretches_of
from wardlight_cloud.store.postgres.commit_walk import ALL_COMMITS
from wardlight_cloud.store.postgres.connections import Connection, Connections
from wardlight_cloud.store.postgres.gathering import Found, Position, Stretch, instant_of
from wardlight_cloud.store.postgres.kept_day import KeptDay
from wardlight_cloud.store.postgres.scan import Window, complete_panels, scan
from wardlight_cloud.store.postgres.spans import TICK, find_spans, interval
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationQuery

_SQL: Final = statements("exports")
_AT_ONCE: Final = 6000  # Observations read in one statement
_DAYS_AT_ONCE: Final = 128
_WIDEST: Final = timedelta(days=31)  # of a window: it opens so many partitions
_PATIENTS_AT_ONCE: Final = 500
_PATIENTS_WITH_NEWS: Final = 25  # looked at together: of each there is little
_AHEAD: Final = 2  # of whom parts are looked for beside those that are written
_DAY: Final = timedelta(days=1)
_NOBODY: Final = UUID(int=0)

Finish = Callable[[Connection, Sequence[Found]], Awaitable[None]]
"""Gives Observations what few scans know: ids, instants of commits, gateways."""

_T = TypeVar("_T")


class _Place(msgspec.Struct, frozen=True, array_like=True):
    patients: tuple[UUID, ...]
    day: date
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """Kept days, or rows that are not written yet, and the place behind them."""

    place: _Place
    kept: Sequence[bytes] = ()
    found: Sequence[Found] = ()


async def lines_of_readings(
    connections: Connections,
    finish: Finish,
    query: ObservationQuery,
    commits: Commits,
    form: Form,
    place: bytes | None,
) -> AsyncGenerator[Lines, None]:
    """All Observations of the commits; ValueError for a place that is none."""
    reading = _Reading(connections, finish, query, commits, form)
    begin = None if place is None else _opened(place, _Place)
    whole = None if _takes_all(query) else query
    async with contextlib.aclosing(reading.parts(begin)) as parts:
        async for part in parts:
            yield _lines(part, form, whole)


def _lines(part: _Part, form: Form, whole: ObservationQuery | None) -> Lines:
    texts = form.texts(part.found) if part.found else []
    count = len(texts)
    lines = [*texts, b""] if texts else []
    for body in part.kept:
        text, more = KeptDay(body).lines(whole)
        lines.append(text)
        count += more
    text = b"\n".join(lines) if texts else b"".join(lines)
    return Lines(text, count, msgspec.msgpack.encode(part.place))


class _Reading:
    def __init__(
        self,
        connections: Connections,
        finish: Finish,
        query: ObservationQuery,
        commits: Commits,
        form: Form,
    ) -> None:
        self._connections = connections
        self._finish = finish
        self._query = query
        self._commits = commits
        self._form = form
        lo, hi = interval(query.times)
        self._bounds = lo, hi
        self._days = lo.date(), (hi - TICK).date()

    async def parts(self, begin: _Place | None) -> AsyncGenerator[_Part, None]:
        """In the order of patients and days."""
        ahead: deque[_Ahead[_Part]] = deque()
        try:
            async for place in self._places(begin):
                ahead.append(_Ahead(self._of_patients(place)))
                if len(ahead) > _AHEAD:
                    async for part in ahead[0]:
                        yield part
                    ahead.popleft()
            while ahead:
                async for part in ahead[0]:
                    yield part
                ahead.popleft()
        finally:
            for each in ahead:
                await each.aclose()

    async def _places(self, begin: _Place | None) -> AsyncIterator[_Place]:
        """Where readings of each patient begin, or of some whose news are looked at together."""
        if begin is not None:
            yield begin
        last = _NOBODY if begin is None else begin.patients[-1]
        together = _PATIENTS_WITH_NEWS if self._commits.after else 1
        while patients := await self._patients(last):
            for number in range(0, len(patients), together):
                yield _Place(tuple(patients[number : number + together]), self._days[0])
            last = patients[-1]

    async def _patients(self, last: UUID) -> list[UUID]:
        wanted = [last, self._query.patients, _PATIENTS_AT_ONCE]
        name = "patients_with_devices"
        if self._commits.after:
            name = "patients_with_news"
            wanted += [self._commits.after, self._commits.last]
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL[name], *wanted)
        return [row["patient_id"] for row in rows]

    async def _of_patients(self, begin: _Place) -> AsyncIterator[_Part]:
        patients, first, after = begin.patients, begin.day, begin.after
        stretches: list[Stretch] | None = None
        while True:
            days = await self._days_of(patients, first)
            has_news = self._commits.after > 0
            for group in _groups(days, is_read_on=after is not None, is_close=has_news):
                behind = _Place(patients, group[-1].day + _DAY)
                if group[0].body is not None:
                    yield _Part(behind, kept=[day.body for day in group if day.body is not None])
                    continue
                if stretches is None:
                    stretches = await self._stretches(patients)
                async for found, position in self._rows(stretches, self._window(group), after):
                    on = behind if position is None else _place_at(patients, position)
                    yield _Part(on, found=found)
                after = None
            if len(days) < _DAYS_AT_ONCE:
                return
            first = days[-1].day + _DAY

    async def _days_of(self, patients: tuple[UUID, ...], first: date) -> list["_Day"]:
        commits = self._commits
        whose: Any = patients
        name = "days_with_news"
        wanted: list[Any] = [first, self._days[1], commits.after, commits.last, _DAYS_AT_ONCE]
        if not commits.after:
            (whose,) = patients
            name, wanted[2] = "days_of_patient", self._form.digest
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL[name], whose, *wanted)
        return [self._day(row) for row in rows]

    def _day(self, row: Any) -> "_Day":
        begin = datetime.combine(row["day"], time(), UTC)
        end = begin + _DAY
        lo, hi = self._bounds
        # The bounds may cut the first and the last day: these are read from their rows.
        body = row["body"] if lo <= begin < end <= hi else None
        behind = end if row["last_time"] is None else row["last_time"] + TICK
        return _Day(row["day"], row["readings"], body, row["first_time"] or begin, behind)

    async def _stretches(self, patients: tuple[UUID, ...]) -> list[Stretch]:
        query = dataclasses.replace(self._query, patients=patients)
        async with self._connections.acquire() as connection:
            return stretches_of(await find_spans(connection, query), ALL_COMMITS)

    def _window(self, group: Sequence["_Day"]) -> Window:
        return max(group[0].begin, self._bounds[0]), min(group[-1].end, self._bounds[1])

    async def _rows(
        self, stretches: Sequence[Stretch], window: Window, after: Position | None
    ) -> AsyncIterator[tuple[list[Found], Position | None]]:
        """Observations within a window, and behind which to go on; None = there are no more."""
        within = [
            msgspec.structs.replace(each, span=cut)
            for each in stretches
            if not (cut := each.span.cut(*window)).is_empty
        ]
        is_more = bool(within)
        while is_more:
            async with self._connections.acquire() as connection:
                part = await scan(
                    connection, within, window=window, direction="forward", after=after,
                    limit=_AT_ONCE,
                )  # fmt: skip
                if self._query.component_metrics is not None:
                    await complete_panels(connection, part)
                # All rows were read, so that no panel lacks what a later commit brought.
                after_seq, last_seq = self._commits.after, self._commits.last
                whole = [each for each in part if after_seq < each.commit_seq <= last_seq]
                await self._finish(connection, whole)
            is_more = len(part) == _AT_ONCE
            after = part[-1].position if is_more else None
            yield whole, after


@dataclass(frozen=True, slots=True)
class _Day:
    day: date
    readings: int
    body: bytes | None
    begin: datetime
    end: datetime


def _groups(days: Sequence[_Day], *, is_read_on: bool, is_close: bool) -> Iterator[list[_Day]]:
    """Days that are read together: kept ones, or others.

    ``is_read_on``: the first has begun. ``is_close``: only days that follow one another, because
    between them there are others of which nothing is wanted.
    """
    group: list[_Day] = []
    for place, day in enumerate(days):
        each = replace(day, body=None) if is_read_on and place == 0 else day
        if group and (
            (each.body is None) is not (group[0].body is None)
            or sum(one.readings for one in group) >= _AT_ONCE
            or each.day - group[0].day >= _WIDEST
            or (is_close and each.day - group[-1].day > _DAY)
        ):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _place_at(patients: tuple[UUID, ...], position: Position) -> _Place:
    """Within a day: what is left of it is read from its rows."""
    return _Place(patients, instant_of(position[1]).date(), position)


def _takes_all(query: ObservationQuery) -> bool:
    narrow = (query.devices, query.metrics, query.component_metrics)
    return all(each is None for each in narrow) and not query.other_units


class _Ahead(AsyncIterator[_T]):
    """The same items, each asked for before it is wanted, the first one at once."""

    def __init__(self, items: AsyncIterator[_T]) -> None:
        self._items = items
        self._next = self._asked()

    async def __anext__(self) -> _T:
        item = await self._next
        if item is None:
            raise StopAsyncIteration
        self._next = self._asked()
        await asyncio.sleep(0)  # its statement is on the way before work begins
        return item

    async def aclose(self) -> None:
        """Ask for no more."""
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)

    def _asked(self) -> "asyncio.Task[_T | None]":
        async def following() -> _T | None:
            return await anext(self._items, None)

        return asyncio.create_task(following(), name="read ahead")


def _opened(place: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(place, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError("not a place of this export") from error
