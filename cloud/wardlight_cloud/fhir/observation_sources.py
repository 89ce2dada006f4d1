"""The two sources of Observations: readings, and what other systems wrote, keyed alike."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from wardlight_cloud.fhir.merging import Entry, SourcePage
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.stored.including import OwnMatch
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.resources import ResourceRow

KIND: Final = "Observation"
_END: Final = Decimal(10) ** 40

SORTS: Final = {
    "newest": ("Observation.date", True),
    "oldest": ("Observation.date", False),
    "commit": ("_lastUpdated", False),
    "latest": ("_lastUpdated", True),
}
"""Orders of readings, as stored resources are sorted: by what, and whether descending."""


class Readings:
    """Readings; ``query`` None: none. ``newest``: up to which commit, in commit order."""

    def __init__(
        self, store: ReadStore, query: ObservationQuery | None, newest: int | None
    ) -> None:
        self._store = store
        self._query = query
        self._newest = newest

    async def page(self, after: bytes | None, count: int) -> SourcePage:
        """See Source."""
        if self._query is None:
            return SourcePage((), is_more=False)
        page = await self._store.observations(replace(self._query, after=after, count=count))
        key = key_of_reading(self._query.order)
        entries = [
            Entry(key(row), KIND, row.observation_id, partial(observation, row), row=row)
            for row in page.rows
            if self._newest is None or row.commit_seq <= self._newest
        ]
        return SourcePage(entries, page.next is not None and len(entries) == len(page.rows))

    async def count(self) -> int:
        """How many all pages have."""
        return 0 if self._query is None else await self._store.observation_count(self._query)

    def place_of(self, entry: Entry) -> bytes:
        """See Source."""
        assert self._query is not None  # noqa: S101 - it had entries
        return self._store.observation_cursor(self._query, entry.row)


def key_of_reading(order: str) -> Callable[[ObservationRow], Any]:
    """Where a reading stands in a search of this order."""
    if order in ("commit", "latest"):
        return lambda row: row.commit_seq if order == "commit" else -row.commit_seq
    return lambda row: _by_time(Decimal(row.time_us), order)


def key_of_stored(order: str) -> Callable[[ResourceRow], Any]:
    """Where a stored Observation stands."""
    if order in ("commit", "latest"):
        return lambda row: row.commit_seq if order == "commit" else -row.commit_seq
    return lambda row: _by_time(row.sort_low, order)


def own_match(row: ObservationRow) -> OwnMatch:
    """What a reading refers to."""
    patient = (f"Patient/{row.origin.patient_id}",)
    device = (f"Device/{row.origin.device_id}",)
    references = {"patient": patient, "subject": patient, "device": device}
    return OwnMatch(KIND, row.observation_id, references)


def _by_time(time_us: Decimal | None, order: str) -> Decimal:
    """A key that ascends; what has no date comes last."""
    if time_us is None:
        return _END
    return -time_us if order == "newest" else time_us
