"""The last Observations of each kind, and the numbers of many: reads for operations of faces."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.postgres.by_time import by_time
from wardlight_cloud.store.postgres.commit_walk import ALL_COMMITS
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.gathering import Found
from wardlight_cloud.store.postgres.observation_texts import ObservationTextsPart
from wardlight_cloud.store.postgres.observations import names_nothing
from wardlight_cloud.store.postgres.scan import finish
from wardlight_cloud.store.postgres.sifting import keep_of
from wardlight_cloud.store.postgres.spans import Span, find_spans, interval
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import NumberCount, ObservationQuery
from wardlight_shared.errors import StorageError
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import CODE_BY_ABSENT, NO_NUMBER, NOT_CLINICAL, Absent

_SQL: Final = statements("observations")
_TIES: Final = 8
_GROWTH: Final = 8
_MOST_NUMBERS: Final = 50_000
_NO_NUMBERS: Final = int(NOT_CLINICAL | NO_NUMBER)


class LastObservationsPart(ObservationTextsPart):
    """See ReadStore.last_observations and observed_numbers."""

    @storage_call
    async def last_observations(
        self, query: ObservationQuery, *, group: Callable[[int, str], str], most: int
    ) -> tuple[ObservationRow, ...]:
        """See ReadStore."""
        if names_nothing(query):
            return ()
        query = dataclasses.replace(query, order="newest", after=None)
        found: list[Found] = []
        async with self._connections.acquire() as connection:
            groups: dict[tuple[object, str], list[Span]] = defaultdict(list)
            for span in await find_spans(connection, query):
                of = group(span.origin.metric, span.unit)
                groups[span.origin.patient_id, of].append(span)
            for spans in groups.values():
                found += await self._last(connection, query, spans, most)
            await finish(connection, found, self._ids, self._known)
        return tuple(found)

    async def _last(
        self, connection: Connection, query: ObservationQuery, spans: Sequence[Span], most: int
    ) -> list[Found]:
        keep = keep_of(query, (), self._ids)
        limit = most + _TIES
        while True:
            found = await by_time(connection, query, spans, ALL_COMMITS, None, limit, keep)
            if len(found) <= most:
                return found
            last = found[most - 1].time_us
            if len(found) < limit or found[-1].time_us != last:
                return [each for each in found if each.time_us >= last]
            limit *= _GROWTH

    @storage_call
    async def observed_numbers(self, query: ObservationQuery) -> tuple[NumberCount, ...]:
        """See ReadStore."""
        if names_nothing(query):
            return ()
        async with self._connections.acquire() as connection:
            spans = await find_spans(connection, query)
            if not spans:
                return ()
            lo, hi = interval(query.times)
            rows = await connection.fetch(
                _SQL["numbers"],
                [span.series_id for span in spans],
                [span.lo for span in spans],
                [span.hi for span in spans],
                max(lo, min(span.lo for span in spans)),
                min(hi, max(span.hi for span in spans)),
                _NO_NUMBERS,
                CODE_BY_ABSENT[Absent.INVALID],
                _MOST_NUMBERS + 1,
            )
        if len(rows) > _MOST_NUMBERS:
            raise StorageError(f"observed_numbers: more than {_MOST_NUMBERS} different numbers")
        return tuple(
            NumberCount(
                spans[row["place"] - 1].metric,
                spans[row["place"] - 1].unit,
                None if row["absent"] else decimal_from_parts(row["mantissa"], row["scale"]),
                row["readings"],
            )
            for row in rows
        )
