"""``Observation/$lastn``: the newest Observations of each code, of readings and of others together.

What has a code in common is of one code: a pulse rate that an oximeter measured (LOINC and MDC) and
one that an EHR wrote under the LOINC code alone. All that were measured at the time of the last one
that is asked for come with it. What is cancelled or entered in error is no observation, unless
``status`` asks.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 OperationDefinition Observation-lastn
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, partial
from typing import Final

from starlette.responses import Response

from wardlight_cloud.fhir import asking, isolation
from wardlight_cloud.fhir.answers import resource_answer
from wardlight_cloud.fhir.bundle import links
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.observation_chains import is_looked_up_first, without_chains
from wardlight_cloud.fhir.observation_searches import (
    ObservationStore,
    StoredAlike,
    excludes_readings,
    is_of_stored,
    stored_alike,
)
from wardlight_cloud.fhir.observation_sources import KIND
from wardlight_cloud.fhir.operations.invoked import invoked, whole_number
from wardlight_cloud.fhir.operations.patients_asked import patients_asked
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.search import observation_search
from wardlight_cloud.fhir.search_narrowing import OBSERVATIONS
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import parsed, whole
from wardlight_cloud.fhir.stored.bundles import bundle, search_entries
from wardlight_cloud.fhir.vocabulary import LOINC, MEASURED, code_of, is_amount, measured_by_code
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.resources import AnyOf, HasText, ResourceRow, TextMatch

MAX: Final = "max"
NO_OBSERVATION: Final = "cancelled,entered-in-error"
"""Statuses of what tells nothing of the patient."""

_MOST: Final = 100
_AT_ONCE: Final = 500
_NEVER: Final = Decimal(10) ** 40
_OF_PATIENTS: Final = ("patient", "subject")
_NOT: Final = ("_sort", "_count", "_cursor", "_summary", "_total", "_include", "_revinclude",
               "_elements")  # fmt: skip

_Coding = tuple[str, str]  # system, code


@dataclass(frozen=True, slots=True)
class _Last:
    """One Observation among those of its patient and code; later ones have a lower ``order``."""

    patient: str
    code: str
    order: Decimal
    id: str
    text: Callable[[], bytes]


async def lastn(store: ObservationStore, asker: Asker) -> Response:
    """The Bundle."""
    given = await invoked(asker.request)
    most = whole_number(given, MAX, 1, _MOST)
    criteria = [pair for pair in given if pair[0] not in (MAX, "_format", "_pretty")]
    for name, _ in criteria:
        if name.partition(":")[0] in _NOT:
            raise invalid(name[:64], "says nothing to $lastn, which has an order and a size")
    if any(is_looked_up_first(*pair) for pair in criteria):
        criteria = await without_chains(store, asker, criteria)
    patients = patients_asked(asker, criteria)
    if not any(name.partition(":")[0] == "status" for name, _ in criteria):
        criteria = [*criteria, ("status:not", NO_OBSERVATION)]
    of_readings = [pair for pair in criteria if not is_of_stored(pair[0])]
    strict = asking.is_strict(asker.request)
    found = observation_search(of_readings, strict=strict)
    last: list[_Last] = []
    query = isolation.observations(asker.request, replace(found.query, patients=patients))
    is_of_others = found.matches_nothing or any(excludes_readings(*each) for each in criteria)
    if query is not None and not is_of_others:
        rows = await store.last_observations(query, group=group_of, most=most)
        last += [_of_reading(row) for row in rows]
    for patient in patients:
        if not isolation.patient_ids(asker.request, [patient]):
            continue
        own = [pair for pair in criteria if pair[0].partition(":")[0] not in _OF_PATIENTS]
        alike = stored_alike(asker, [*own, ("patient", str(patient))], found, is_strict=strict)
        last += [each async for each in _others(store, alike, str(patient), most)]
    chosen = _newest(last, most)
    entries = search_entries(asker.base, KIND, [(each.id, each.text()) for each in chosen], ())
    link = links(asker.base, f"{KIND}/$lastn", given, None)
    return resource_answer(bundle("searchset", entries, link, len(entries)))


def _of_reading(row: ObservationRow) -> _Last:
    unit = row.circumstances.kinds[0].unit
    return _Last(
        str(row.origin.patient_id), group_of(row.origin.metric, unit), Decimal(-row.time_us),
        row.observation_id, partial(observation, row),
    )  # fmt: skip


@cache
def group_of(metric: int, unit: str) -> str:
    """What Observations of a metric in a unit are grouped by: the first of their codes."""
    measured = MEASURED.get((metric, unit))
    if measured is None:
        return f"|{metric}"
    coding = code_of(measured, moles=is_amount(unit))["coding"]
    return f"{coding[0]['system']}|{coding[0]['code']}" if coding else f"|{metric}"


async def _others(
    store: ObservationStore, alike: StoredAlike, patient: str, most: int
) -> AsyncIterator[_Last]:
    """Of one patient, newest first; groups that are full are not asked for again.

    They are left out by the code that names them, save what has another code, too, that it could be
    named by instead.
    """
    taken: dict[str, list[Decimal]] = defaultdict(list)
    full: set[_Coding] = set()
    beside: dict[_Coding, set[_Coding]] = defaultdict(set)
    query = replace(alike.search.query, sort="Observation.date", descending=True, after=None)
    while True:
        page = await store.resources(replace(query, count=_AT_ONCE))
        for row in page.rows:
            if alike.takes is not None and not alike.takes(row):
                continue
            codings = _codings(row)
            group, named_by = _group(codings)
            for coding in named_by:
                beside[coding].update(codings)
            order = _NEVER if row.sort_low is None else -row.sort_low
            times = taken[group]
            if len(times) >= most and order > times[most - 1]:
                full |= {*named_by}
                continue
            times.append(order)
            yield _Last(patient, group, order, row.id, partial(whole, row))
        if page.next is None:
            return
        without = tuple(_not_named_by(each, beside[each]) for each in sorted(full))
        last = page.rows[-1]
        query = replace(query, conditions=(*alike.search.query.conditions, *without), after=None)
        query = replace(query, after=store.resource_cursor(query, last))


def _not_named_by(naming: _Coding, beside: Collection[_Coding]) -> AnyOf:
    """Without this code, or with one that may name it instead; ``beside``: seen with it."""
    lesser = sorted(each for each in beside if each != naming and not _may_name(each, naming))
    alone = tuple(TextMatch(code, system) for system, code in (naming, *lesser))
    without = HasText("code", alone[:1], negated=True)
    return AnyOf(((without,), (HasText("code", alone, is_other=True),)))


def _may_name(coding: _Coding, naming: _Coding) -> bool:
    """Whether what has both codes may be of another group than that of ``naming``; see _group."""
    if _is_known(coding):
        return _group([coding])[0] != _group([naming])[0]
    return not _is_known(naming) and (naming[0] != LOINC or coding[0] == LOINC)


def _is_known(coding: _Coding) -> bool:
    return bool(measured_by_code(*coding) & OBSERVATIONS)


def _codings(row: ResourceRow) -> list[_Coding]:
    codings = parsed(whole(row)).get("code", {}).get("coding", [])
    return [(each.get("system", ""), each["code"]) for each in codings if "code" in each]


def _group(codings: Sequence[_Coding]) -> tuple[str, Sequence[_Coding]]:
    """That of readings where a code is theirs, else its LOINC code, or its first one.

    With it the coding that it is named by, if there is one.
    """
    for system, code in codings:
        own = sorted(measured_by_code(system, code) & OBSERVATIONS)
        if own:
            return group_of(*own[0]), [(system, code)]
    ordered = sorted(codings, key=lambda each: each[0] != LOINC)
    return "|".join(ordered[0]) if ordered else "|", ordered[:1]


def _newest(last: Sequence[_Last], most: int) -> list[_Last]:
    """By patient and code, the newest first, with all that share the time of the last one."""
    groups: dict[tuple[str, str], list[_Last]] = defaultdict(list)
    for each in last:
        groups[each.patient, each.code].append(each)
    chosen: list[_Last] = []
    for key in sorted(groups):
        ordered = sorted(groups[key], key=lambda each: (each.order, each.id))
        edge = ordered[min(most, len(ordered)) - 1].order
        chosen += [each for each in ordered if each.order <= edge]
    return chosen
