"""Searches of Observations to store queries; pure functions.

The self link lists the parameters that were honoured.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1 (search), Observation/Patient/Device search parameters
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal
from uuid import UUID

from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.paging import (
    COUNT_DEFAULT,
    CURSOR,
    SUMMARY,
    TOTAL,
    BundleKind,
    Parameters,
    bundle_asked_for,
    count,
    cursor_bytes,
)
from wardlight_cloud.fhir.parameters import (
    honoured_parameters,
    reference_id,
    split_values,
    token,
)
from wardlight_cloud.fhir.remembered import remembered
from wardlight_cloud.fhir.vocabulary import (
    MEASURED,
    Measured,
    measured_by_category,
    measured_by_code,
)
from wardlight_cloud.store.base import ObservationQuery, TimeBound

_ORDERS: Final[dict[str, Literal["newest", "oldest", "commit"]]] = {
    "-date": "newest",
    "date": "oldest",
    "_lastUpdated": "commit",
}


@dataclass(frozen=True, slots=True)
class Search:
    """A parsed search: the store's query and the parameters that were honoured."""

    query: ObservationQuery
    honoured: Parameters
    bundle: BundleKind
    matches_nothing: bool = False


@dataclass(slots=True)
class _Draft:
    patients: set[UUID] | None = None
    devices: set[UUID] | None = None
    measured: frozenset[Measured] | None = None
    components: frozenset[Measured] | None = None
    ids: set[str] | None = None
    times: list[TimeBound] = field(default_factory=list)
    stored: list[TimeBound] = field(default_factory=list)
    order: Literal["newest", "oldest", "commit"] | None = None
    count: int = COUNT_DEFAULT
    after: bytes | None = None
    empty: bool = False


def _narrow(old: frozenset[Measured] | None, new: frozenset[Measured]) -> frozenset[Measured]:
    return new if old is None else old & new


def _patients(draft: _Draft, text: str, parameter: str) -> None:
    found = {reference_id(parameter, value, "Patient") for value in split_values(text)} - {None}
    ids = {value for value in found if value is not None}
    draft.patients = ids if draft.patients is None else draft.patients & ids
    draft.empty |= not draft.patients


def _devices(draft: _Draft, text: str, parameter: str) -> None:
    found = {reference_id(parameter, value, "Device") for value in split_values(text)}
    ids = {value for value in found if value is not None}
    draft.devices = ids if draft.devices is None else draft.devices & ids
    draft.empty |= not draft.devices


# Clients ask for the same codes and days over and over, of one patient after the other.
_cached: Final = remembered(256)


@_cached
def _coded(text: str) -> frozenset[Measured]:
    found = [measured_by_code(*token(value)) for value in split_values(text)]
    return frozenset[Measured]().union(*found)


@_cached
def _categorised(text: str) -> frozenset[Measured]:
    found = [measured_by_category(*token(value)) for value in split_values(text)]
    return frozenset[Measured]().union(*found)


_COMPONENTS: Final = frozenset(
    each for each, metric in MEASURED.items() if metric.component_of is not None
)


def _code(draft: _Draft, text: str, _: str) -> None:
    # A component (systolic) is no Observation of its own: ``code`` does not reach inside panels.
    draft.measured = _narrow(draft.measured, _coded(text) - _COMPONENTS)


def _component_code(draft: _Draft, text: str, _: str) -> None:
    draft.components = _narrow(draft.components, _coded(text) & _COMPONENTS)


def _combo_code(draft: _Draft, text: str, _: str) -> None:
    draft.components = _narrow(draft.components, _coded(text))


def _category(draft: _Draft, text: str, _: str) -> None:
    draft.measured = _narrow(draft.measured, _categorised(text))


def _bounds(parameter: str, text: str) -> tuple[TimeBound, ...]:
    if "," in text:
        raise invalid(parameter, "a comma list of dates is not supported; repeat the parameter")
    try:
        return _cached_bounds(text)
    except ValueError as error:
        raise invalid(parameter, str(error)) from error


_cached_bounds: Final = _cached(bounds)


def _date(draft: _Draft, text: str, parameter: str) -> None:
    draft.times += _bounds(parameter, text)


def _last_updated(draft: _Draft, text: str, parameter: str) -> None:
    draft.stored += _bounds(parameter, text)


def _ids(draft: _Draft, text: str, _: str) -> None:
    ids = set(split_values(text))
    draft.ids = ids if draft.ids is None else draft.ids & ids
    draft.empty |= not draft.ids


def _sort(draft: _Draft, text: str, parameter: str) -> None:
    if text not in _ORDERS:
        raise invalid(parameter, f"use one of {', '.join(_ORDERS)}")
    draft.order = _ORDERS[text]


def _count(draft: _Draft, text: str, parameter: str) -> None:
    draft.count = count(parameter, text)


def _after(draft: _Draft, text: str, _: str) -> None:
    draft.after = cursor_bytes(text)


def _part_of_the_answer(draft: _Draft, text: str, parameter: str) -> None:
    del draft, text, parameter


_OBSERVATION: Final[dict[str, Callable[[_Draft, str, str], None]]] = {
    "patient": _patients,
    "subject": _patients,
    "device": _devices,
    "code": _code,
    "component-code": _component_code,
    "combo-code": _combo_code,
    "category": _category,
    "date": _date,
    "_lastUpdated": _last_updated,
    "_id": _ids,
    "_sort": _sort,
    "_count": _count,
    SUMMARY: _part_of_the_answer,
    TOTAL: _part_of_the_answer,
    CURSOR: _after,
}
OBSERVATION_PARAMETERS: Final = {
    "patient": "reference",
    "subject": "reference",
    "device": "reference",
    "code": "token",
    "component-code": "token",
    "combo-code": "token",
    "category": "token",
    "date": "date",
    "_lastUpdated": "date",
    "_id": "token",
}
"""What the CapabilityStatement declares."""


def observation_search(parameters: Parameters, *, strict: bool) -> Search:
    """Parse an Observation search."""
    draft = _Draft()
    honoured = honoured_parameters(parameters, _OBSERVATION, strict=strict)
    for name, text in honoured:
        _OBSERVATION[name](draft, text, name)
    query = ObservationQuery(
        patients=_frozen(draft.patients),
        devices=_frozen(draft.devices),
        metrics=_metrics(draft.measured),
        component_metrics=_metrics(draft.components),
        other_units=_other_units(draft.measured) + _other_units(draft.components),
        times=tuple(draft.times),
        stored=tuple(draft.stored),
        ids=None if draft.ids is None else tuple(sorted(draft.ids)),
        order=draft.order or ("commit" if draft.stored else "newest"),
        count=max(1, draft.count),
        after=draft.after,
    )
    empty = draft.empty or query.metrics == () or query.component_metrics == ()
    return Search(query, honoured, bundle_asked_for(honoured), matches_nothing=empty)


def _frozen(ids: set[UUID] | None) -> tuple[UUID, ...] | None:
    return None if ids is None else tuple(sorted(ids))


@lru_cache(maxsize=256)  # of sets of our own vocabulary
def _metrics(measured: frozenset[Measured] | None) -> tuple[int, ...] | None:
    return None if measured is None else tuple(sorted({wire for wire, _ in measured}))


@lru_cache(maxsize=256)
def _other_units(measured: frozenset[Measured] | None) -> tuple[Measured, ...]:
    """The named metrics in units that have another code: moles where mass is looked for."""
    if measured is None:
        return ()
    wires = {wire for wire, _ in measured}
    return tuple(sorted({each for each in MEASURED if each[0] in wires} - measured))


def for_read(observation_id: str) -> ObservationQuery:
    """Query of a single Observation."""
    return replace(ObservationQuery(), ids=(observation_id,), count=1)
