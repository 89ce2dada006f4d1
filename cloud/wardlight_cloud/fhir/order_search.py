"""Searches of ServiceRequest: orders of images by patient, number, status.

Source  R4 4.0.1 search parameters of ServiceRequest
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir.imaging_ids import TextIds
from wardlight_cloud.fhir.imaging_search import time_bounds
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.parameters import reference_id, split_values, token
from wardlight_cloud.fhir.service_request import IMAGING, SNOMED
from wardlight_cloud.store.order_reads import OrderQuery, OrderReadStore, OrderRow, OrderStatus

ORDER_PARAMETERS: Final = {
    "_id": "token",
    "_lastUpdated": "date",
    "identifier": "token",
    "patient": "reference",
    "subject": "reference",
    "status": "token",
    "category": "token",
}
STATUS_SYSTEM: Final = "http://hl7.org/fhir/request-status"
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_STEP: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class OrderSearch:
    """A parsed search; ``is_empty``: nothing can be found."""

    query: OrderQuery
    is_empty: bool = False

    async def find(
        self, store: OrderReadStore, *, count: int, after: bytes | None
    ) -> tuple[tuple[OrderRow, ...], bytes | None]:
        """A page and the next cursor, which is an accession number."""
        if self.is_empty:
            return (), None
        place = "" if after is None else after.decode()
        rows = await store.orders(replace(self.query, after=place, limit=count + 1))
        cursor = rows[count - 1].accession.encode() if len(rows) > count else None
        return tuple(rows[:count]), cursor

    async def count(self, store: OrderReadStore) -> int:
        """How many there are."""
        return 0 if self.is_empty else await store.order_count(self.query)

    def within(self, patients: Sequence[UUID] | None) -> "OrderSearch":
        """The search among these patients alone; None = all."""
        if patients is None:
            return replace(self, query=replace(self.query, patients=None))
        query = replace(self.query, patients=tuple(patients))
        return OrderSearch(query, self.is_empty or not patients)


def order_search(honoured: Parameters, ids: TextIds) -> OrderSearch:
    """A search; 400 with the parameter at fault."""
    draft = _Draft()
    readers: dict[str, Callable[[str, str], None]] = {
        "_id": lambda name, text: draft.of_numbers(
            number for value in split_values(text) if (number := ids.text_of(value)) is not None
        ),
        "_lastUpdated": draft.of_time,
        "identifier": lambda name, text: draft.of_numbers(
            value for system, value in map(token, split_values(text)) if system in (None, "")
        ),
        "patient": draft.of_patients,
        "subject": draft.of_patients,
        "status": lambda name, text: draft.of_statuses(text),
        "category": lambda name, text: draft.of_category(text),
    }
    for name, text in honoured:
        if name in readers:
            readers[name](name, text)
    return draft.search()


class _Draft:
    """A search while its parameters are read; each narrows it further."""

    def __init__(self) -> None:
        self._query = OrderQuery(patients=None)
        self._is_empty = False

    def search(self) -> OrderSearch:
        return OrderSearch(self._query, self._is_empty)

    def of_numbers(self, numbers: Iterable[str]) -> None:
        found, known = set(numbers), self._query.accessions
        found = found if known is None else found & set(known)
        self._query = replace(self._query, accessions=tuple(sorted(found)))
        self._is_empty |= not found

    def of_patients(self, name: str, text: str) -> None:
        asked = {reference_id(name, value, "Patient") for value in split_values(text)}
        found = {each for each in asked if each is not None}
        if self._query.patients is not None:
            found &= set(self._query.patients)
        self._query = replace(self._query, patients=tuple(sorted(found)))
        self._is_empty |= not found

    def of_statuses(self, text: str) -> None:
        asked = [token(value) for value in split_values(text)]
        codes = {code for system, code in asked if system in (None, STATUS_SYSTEM)}
        found = {status for status in OrderStatus if status in codes}
        if self._query.statuses is not None:
            found &= set(self._query.statuses)
        self._query = replace(self._query, statuses=tuple(sorted(found)))
        self._is_empty |= not found

    def of_category(self, text: str) -> None:
        """All of these orders are of images."""
        asked = [token(value) for value in split_values(text)]
        self._is_empty |= not any(
            code == IMAGING and system in (None, SNOMED) for system, code in asked
        )

    def of_time(self, name: str, text: str) -> None:
        """Instants are told in microseconds, which is as exact as they are kept."""
        for bound in time_bounds(name, text):
            instant = bound.instant
            if bound.op in ("gt", "le") and instant < _LAST:
                instant += _STEP
            if bound.op in ("gt", "ge"):
                low = max(instant, self._query.changed_from or instant)
                self._query = replace(self._query, changed_from=low)
            else:
                high = min(instant, self._query.changed_before or instant)
                self._query = replace(self._query, changed_before=high)
