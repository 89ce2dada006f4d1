"""How many Observations a search finds: counted row by row, so it is right and has its price."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.spans import Span, find_spans, interval
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_shared.model import NOT_CLINICAL

_SQL: Final = statements("observations")


async def count(connection: Connection, query: ObservationQuery, commits: tuple[int, int]) -> int:
    """Observations of a query without ids whose commit lies within ``commits``."""
    # All components of a panel count for its commit, also those that the search does not name.
    spans = await find_spans(connection, replace(query, component_metrics=None))
    if not spans:
        return 0
    lo, hi = interval(query.times)
    found: int = await connection.fetchval(
        _SQL["count"],
        [span.series_id for span in spans],
        [span.anchor for span in spans],
        [span.assigned_seq for span in spans],
        [span.lo for span in spans],
        [span.hi for span in spans],
        _asked_for(spans, query),
        max(lo, min(span.lo for span in spans)),
        min(hi, max(span.hi for span in spans)),
        int(NOT_CLINICAL),
        *commits,
    )
    return found


def _asked_for(spans: Sequence[Span], query: ObservationQuery) -> list[bool]:
    wanted = query.component_metrics
    return [
        wanted is None or span.metric in wanted or span.origin.metric in wanted for span in spans
    ]
