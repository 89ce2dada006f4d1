"""ObservationTextStore: pages of kept days, and of rows where a day is not kept.

Kept days serve searches of one patient over few days in the order of measured time; any other
search is written anew.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from wardlight_cloud.store.observation_texts import Form, PatientDay, TextPage
from wardlight_cloud.store.postgres.by_time import ahead, direction_of, is_narrow, within
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.gathering import Position
from wardlight_cloud.store.postgres.kept_day import MOST, KeptDay, Stretch, packed
from wardlight_cloud.store.postgres.observations import ObservationsPart, names_nothing, search_of
from wardlight_cloud.store.postgres.scan import Direction, Window, finish
from wardlight_cloud.store.postgres.spans import TICK
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationQuery, TimeBound

_SQL: Final = statements("kept_days")
_DAY: Final = timedelta(days=1)
_YOUNG: Final = timedelta(hours=1)  # gateways that are online have sent the day by then
_SETTLED: Final = timedelta(minutes=1)  # a backlog comes in one go


class ObservationTextsPart(ObservationsPart):
    """See ObservationTextStore."""

    @storage_call
    async def observation_texts(self, query: ObservationQuery, form: Form) -> TextPage:
        """See ObservationTextStore; ValueError for a cursor that is not one of this search."""
        after = self._place_after(query)
        if names_nothing(query):
            return TextPage((), None)
        window = ahead(query, after)
        if not _may_be_kept(query, after, window):
            page = await self.observations(query)
            texts = form.texts(page.rows)
            ids = [row.observation_id for row in page.rows]
            return TextPage(
                list(zip(ids, texts, strict=True)), page.next, others_seq=page.others_seq
            )
        return await self._of_days(query, form, window, after)

    @storage_call
    async def keep_day(self, of: PatientDay, form: Form) -> bool:
        """See ObservationTextStore."""
        if not _is_old(of.day):
            return False
        begin = datetime.combine(of.day, time(), UTC)
        bounds = TimeBound("ge", begin), TimeBound("lt", begin + _DAY)
        query = ObservationQuery(patients=(of.patient_id,), times=bounds, order="oldest")
        async with self._connections.acquire() as connection:
            state = await connection.fetchrow(
                _SQL["settled"], of.patient_id, of.day, MOST, _SETTLED
            )
            if state is None or not state["is_settled"]:
                return False
            # The search begins later than ``state``: it sees what is committed up to there.
            found, _ = await within(connection, query, None, MOST)
            await finish(connection, found, self._ids, self._known)
            body = packed(found, form.texts(found))
            await connection.execute(
                _SQL["keep"], of.patient_id, of.day, form.digest, state["commit_seq"], body
            )
        return True

    async def _of_days(
        self, query: ObservationQuery, form: Form, window: Window, after: Position | None
    ) -> TextPage:
        (patient,) = query.patients or ()
        left = query.count + 1
        found: list[Stretch] = []
        unkept: list[PatientDay] = []
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["kept"], patient, *_first_and_last(window), form.digest
            )
            kept = {row["day"]: row["body"] for row in rows if row["day"] is not None}
            others_seq = rows[0]["others_seq"] or 0
            for part in _parts(window, kept, direction_of(query)):
                if part.body is not None:
                    stretch = KeptDay(part.body).found(query, part.window, after, left)
                else:
                    unkept += (PatientDay(patient, day) for day in part.days if _is_old(day))
                    stretch = await self._written(
                        connection, _cut(query, part.window), form, after, left
                    )
                found.append(stretch)
                left -= len(stretch.texts)
                if left <= 0:
                    break
        texts = [each for stretch in found for each in stretch.texts]
        following = None
        if len(texts) > query.count:
            texts.pop()
            following = self._cursors.seal(_last_but_one(found), search_of(query))
        return TextPage(texts, following, tuple(unkept), others_seq)

    async def _written(
        self,
        connection: Connection,
        query: ObservationQuery,
        form: Form,
        after: Position | None,
        limit: int,
    ) -> Stretch:
        rows, _ = await within(connection, query, after, limit)
        await finish(connection, rows, self._ids, self._known)
        ids = [row.observation_id for row in rows]
        return Stretch(
            list(zip(ids, form.texts(rows), strict=True)), lambda index: rows[index].position
        )


def _last_but_one(found: Sequence[Stretch]) -> Position:
    """Where the last of a page stands, when one more was found than it holds; two at least."""
    back = 2
    for stretch in reversed(found):
        if back <= len(stretch.texts):
            return stretch.position(len(stretch.texts) - back)
        back -= len(stretch.texts)
    raise AssertionError("a page has no end")


@dataclass(slots=True)
class _Part:
    """A kept day, or adjoining days that are not kept."""

    window: Window
    body: bytes | None
    days: list[date]


def _parts(window: Window, kept: Mapping[date, bytes], direction: Direction) -> list[_Part]:
    """The window cut at kept days, in the order of the search."""
    first, last = _first_and_last(window)
    made: list[_Part] = []
    for place in range((last - first).days + 1):
        day = first + place * _DAY
        begin = datetime.combine(day, time(), UTC)
        edges = max(window[0], begin), min(window[1], begin + _DAY)
        body = kept.get(day)
        if body is None and made and made[-1].body is None:
            made[-1].window = made[-1].window[0], edges[1]
            made[-1].days.append(day)
        else:
            made.append(_Part(edges, body, [day]))
    return made if direction == "forward" else made[::-1]


def _cut(query: ObservationQuery, window: Window) -> ObservationQuery:
    bounds = TimeBound("ge", window[0]), TimeBound("lt", window[1])
    return dataclasses.replace(query, times=(*query.times, *bounds))


def _first_and_last(window: Window) -> tuple[date, date]:
    return window[0].date(), (window[1] - TICK).date()


def _may_be_kept(query: ObservationQuery, after: Position | None, window: Window) -> bool:
    return (
        query.ids is None
        and is_narrow(query, after)
        and len(query.patients or ()) == 1
        and window[0] < window[1]
        and _is_old(window[0].date())
    )


def _is_old(day: date) -> bool:
    return datetime.combine(day, time(), UTC) + _DAY + _YOUNG <= datetime.now(UTC)
