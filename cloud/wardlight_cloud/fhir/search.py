"""Search parameters of a request to store queries; pure functions.

Unknown parameters are ignored, or refused under ``Prefer: handling=strict``; a known parameter
with a bad value is always refused. The self link lists what was honoured.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1 (search), Observation/Patient/Device search parameters
"""

from collections.abc import Callable, Iterable
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


def split_values(text: str) -> list[str]:
    """Split an OR list at commas that are not escaped."""
    if "\\" not in text:
        return [value for value in text.split(",") if value]
    values, current, escaped = [], "", False
    for character in text:
        if escaped or character not in "\\,":
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        else:
            values.append(current)
            current = ""
    return [value for value in (*values, current) if value]


def token(text: str) -> tuple[str | None, str]:
    """``system|code`` or a bare code; an empty system means "no system": none of ours."""
    system, bar, code = text.partition("|")
    return (system, code) if bar else (None, text)


def reference_id(parameter: str, text: str, kind: str) -> UUID | None:
    """Id of ``ID``, ``Kind/ID`` or a URL ending so; None when it cannot be one of ours."""
    parts = text.split("/")
    if len(parts) > 1 and parts[-2] != kind:
        raise invalid(parameter, f"expected a reference to {kind}")
    try:
        return UUID(parts[-1])
    except ValueError:
        return None


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
_cached: Final = lru_cache(maxsize=256)


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

_NO_SUMMARIES: Final = frozenset({"true", "text", "data"})
_IGNORED: Final = frozenset({"_format", "_pretty"})
_SAME: Final = {"patient:Patient": "patient", "subject:Patient": "subject"}


def honoured_parameters(
    parameters: Parameters, known: Iterable[str], *, strict: bool
) -> list[tuple[str, str]]:
    """The parameters this server follows, those without a value left out.

    Unknown ones are ignored, or refused when ``strict``. A modifier or chain on a known one is
    always refused: ignoring ``patient.identifier`` would answer with every patient's rows.
    """
    names = frozenset(known)
    plain = [(_SAME.get(name, name), text) for name, text in parameters]
    if any(name == SUMMARY and text in _NO_SUMMARIES for name, text in plain):
        if strict:
            raise invalid(SUMMARY, "this server knows no summary but count")
        plain = [pair for pair in plain if pair[0] != SUMMARY]
    for name in sorted({name for name, _ in plain} - names - _IGNORED):
        base = name.partition(":")[0].partition(".")[0]
        if base in names and base != name:
            raise invalid(name, "modifiers and chains are not supported")
        if strict:
            raise invalid(name, "this server does not know the parameter")
    return [(name, text) for name, text in plain if name in names and text]


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


@_cached
def _metrics(measured: frozenset[Measured] | None) -> tuple[int, ...] | None:
    return None if measured is None else tuple(sorted({wire for wire, _ in measured}))


@_cached
def _other_units(measured: frozenset[Measured] | None) -> tuple[Measured, ...]:
    """The named metrics in units that have another code: moles where mass is looked for."""
    if measured is None:
        return ()
    wires = {wire for wire, _ in measured}
    return tuple(sorted({each for each in MEASURED if each[0] in wires} - measured))


def for_read(observation_id: str) -> ObservationQuery:
    """Query of a single Observation."""
    return replace(ObservationQuery(), ids=(observation_id,), count=1)
