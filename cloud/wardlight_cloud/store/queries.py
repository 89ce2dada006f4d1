"""What a search of Observations asks for, and what a page of it holds; bounds of time for all."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.observation_sieve import Sieve


@dataclass(frozen=True, slots=True)
class TimeBound:
    """One comparison on a time: ``lt``/``le``/``gt``/``ge`` against an instant."""

    op: Literal["lt", "le", "gt", "ge"]
    instant: datetime


@dataclass(frozen=True, slots=True)
class ObservationQuery:
    """Search of Observations. Empty ``metrics`` or ``patients`` = none match; None = no filter.

    ``metrics`` holds the Observation's metric; ``component_metrics`` the components' too;
    ``other_units`` pairs (metric, unit) that are not asked for all the same.
    ``stored_any``: one of these sets of bounds is met. ``without_ids`` are not asked for.
    Order: time descending, then id; commit_seq with ``order="commit"``, descending with
    ``"latest"``. ``after`` is the cursor of the page before (opaque, from ObservationPage).
    """

    patients: tuple[UUID, ...] | None = None
    devices: tuple[UUID, ...] | None = None
    metrics: tuple[int, ...] | None = None
    component_metrics: tuple[int, ...] | None = None
    other_units: tuple[tuple[int, str], ...] = ()
    times: tuple[TimeBound, ...] = ()
    stored: tuple[TimeBound, ...] = ()
    ids: tuple[str, ...] | None = None
    order: Literal["newest", "oldest", "commit", "latest"] = "newest"
    count: int = 50
    after: bytes | None = None
    stored_any: tuple[tuple[TimeBound, ...], ...] = ()
    without_ids: tuple[str, ...] = ()
    sieve: Sieve | None = None

    @property
    def is_by_commit(self) -> bool:
        """Whether the order is that of commits, either way."""
        return self.order in ("commit", "latest")

    @property
    def is_sifted(self) -> bool:
        """Whether more than columns decides which Observations are found."""
        return bool(self.sieve or self.stored_any or self.without_ids)


@dataclass(frozen=True, slots=True)
class ObservationPage:
    """One page and the cursor of the next; None = this was the last.

    ``others_seq``: the newest commit of a stored Observation when the page was read, 0 = there was
    none ever; None = not looked at.
    """

    rows: tuple[ObservationRow, ...]
    next: bytes | None
    others_seq: int | None = None


@dataclass(frozen=True, slots=True)
class NumberCount:
    """A number and how often it stands in readings of a metric in a unit; None = no number."""

    metric: int
    unit: str
    number: Decimal | None
    readings: int
