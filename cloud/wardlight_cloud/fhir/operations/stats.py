"""``Observation/$stats``: statistics of a patient's numbers, of readings and others' together.

Each number is counted, so the results are exact. Numbers in other units of one kind are brought
into the unit that the code is measured in; others make an Observation of their own. What is entered
in error or cancelled does not count. What has no exact value (a comparator: below 40, above 600) is
counted as measured without a number: R4 has no statistic of bounds.

    GET  ?subject=Patient/ID&code=8867-4&system=http://loinc.org&statistic=average&duration=24
    POST a Parameters resource: subject, code, system, coding, period, duration (hours), statistic

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 OperationDefinition Observation-stats
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.answers import resource_answer
from wardlight_cloud.fhir.observation_searches import ObservationStore
from wardlight_cloud.fhir.observation_sources import KIND
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.operations.invoked import invoked, one, period
from wardlight_cloud.fhir.operations.lastn import NO_OBSERVATION
from wardlight_cloud.fhir.operations.numbers import Numbers, alike, count
from wardlight_cloud.fhir.operations.patients_asked import patients_asked
from wardlight_cloud.fhir.operations.statistics import (
    ALSO_CALLED,
    COUNTS,
    STATISTICS,
    SYSTEM,
    Counted,
    statistic,
)
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.parameters import split_values, token
from wardlight_cloud.fhir.search_moments import FIRST, LAST, Span, bounds_of
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import dumped, parsed, whole
from wardlight_cloud.fhir.stored.searching import stored_search
from wardlight_cloud.fhir.vocabulary import UCUM, measured_by_code, unit_text
from wardlight_cloud.store.queries import ObservationQuery

_KNOWN: Final = frozenset(
    {"subject", "patient", "subject:Patient", "patient:Patient", "code", "system", "coding",
     "duration", "period", "statistic", "include", "limit", "_format", "_pretty"}
)  # fmt: skip
_MOST_CODES: Final = 20
_AT_ONCE: Final = 500
_MOST_STORED: Final = 20_000
_LONGEST_H: Final = Decimal(24 * 366 * 100)
_INTERVALS: Final = {"Cel": "K", "[degF]": "[degR]"}  # of a scale without a zero, by UCUM
Coding = tuple[str | None, str]


async def stats(store: ObservationStore, asker: Asker) -> Response:
    """The Parameters."""
    given = await invoked(asker.request)
    for name, _ in given:
        if name not in _KNOWN:
            raise invalid(name[:64], "$stats does not know the parameter")
    if one(given, "include") == "true":
        raise invalid("include", "is not supported; search for Observations beside this")
    codes, wanted, during = _codes(given), _statistics(given), _during(given)
    patients = patients_asked(asker, given)
    if len(patients) > 1:
        raise invalid("subject", "statistics are of one patient")
    made = []
    for patient in patients:
        for coding in codes:
            numbers = await _of_readings(store, asker, patient, coding, during)
            async for unit, number, digits in _of_others(store, asker, patient, coding, during):
                count(numbers, unit, number, digits)
            made += [
                _observation(patient, coding, during, unit, of.counted(), wanted)
                for unit, of in sorted(numbers.items())
            ]
    parameter = [{"name": "statistics", "resource": each} for each in made]
    found: dict[str, Any] = {"resourceType": "Parameters"}
    return resource_answer(dumped(found | ({"parameter": parameter} if parameter else {})))


def _codes(given: Parameters) -> list[Coding]:
    system = one(given, "system")
    found = [
        (system or asked_system, code)
        for name, text in given
        if name == "code"
        for asked_system, code in map(token, split_values(text))
    ]
    found += [token(text) for name, text in given if name == "coding"]
    if not found or not all(code for _, code in found):
        raise FhirError(
            400, "required", "Say of which code: code=8867-4, with its system where it has one.",
            expression="http.code",
        )  # fmt: skip
    if len(found) > _MOST_CODES:
        raise invalid("code", f"names more than {_MOST_CODES} codes")
    return list(dict.fromkeys(found))


def _statistics(given: Parameters) -> list[str]:
    found = []
    for name, text in given:
        if name != "statistic":
            continue
        for code in (token(value)[1] for value in split_values(text)):
            plain = ALSO_CALLED.get(code, code)
            if plain not in STATISTICS:
                raise invalid(name, f"use one of {', '.join(STATISTICS)}")
            found.append(plain)
    if not found:
        text = f"Say which: statistic=average; there are {', '.join(STATISTICS)}."
        raise FhirError(400, "required", text, expression="http.statistic")
    return list(dict.fromkeys(found))


def _during(given: Parameters) -> Span:
    text, hours = one(given, "period"), one(given, "duration")
    if text is not None and hours is not None:
        raise invalid("duration", "give a period or a duration")
    if text is not None:
        return period("period", text)
    if hours is None:
        return FIRST, LAST
    try:
        length = Decimal(hours)
    except ArithmeticError:
        length = Decimal(0)
    if not length.is_finite() or not 0 < length <= _LONGEST_H:
        raise invalid("duration", "expected hours, more than 0")
    now = datetime.now(UTC)
    return now - timedelta(hours=float(length)), now


async def _of_readings(
    store: ObservationStore, asker: Asker, patient: UUID, coding: Coding, during: Span
) -> dict[str, Numbers]:
    """By unit: that of most of what has the code first, so that others are brought into it."""
    found: dict[str, Numbers] = {}
    measured = measured_by_code(*coding)
    query = ObservationQuery(patients=(patient,), times=bounds_of(during))
    if not measured or (within := isolation.observations(asker.request, query)) is None:
        return found
    rows = [
        row
        for row in await store.observed_numbers(
            replace(within, component_metrics=tuple(sorted({wire for wire, _ in measured})))
        )
        if (row.metric, row.unit) in measured
    ]
    for row in sorted(rows, key=lambda each: -each.readings):
        if row.number is None:
            found.setdefault(alike(found, row.unit), Numbers()).missing += row.readings
            continue
        digits = max(0, -int(row.number.as_tuple().exponent))
        count(found, row.unit, Fraction(row.number), digits, row.readings)
    return found


async def _of_others(
    store: ObservationStore, asker: Asker, patient: UUID, coding: Coding, during: Span
) -> AsyncIterator[tuple[str, Fraction | None, int]]:
    """Unit, number (None = none) and digits of what others wrote under the code."""
    system, code = coding
    pairs = [
        ("patient", str(patient)),
        ("combo-code", code if system is None else f"{system}|{code}"),
        ("status:not", NO_OBSERVATION),
    ]
    pairs += [("date", f"{each.op}{each.instant.isoformat()}") for each in bounds_of(during)]
    query = replace(stored_search(asker, KIND, pairs, strict=True).query, count=_AT_ONCE)
    looked = 0
    while True:
        page = await store.resources(query)
        for row in page.rows:
            resource = parsed(whole(row))
            for part in (resource, *resource.get("component", [])):
                if _is_of(part, coding):
                    yield _number(part)
        looked += len(page.rows)
        if page.next is None:
            return
        if looked >= _MOST_STORED:
            text = f"More than {_MOST_STORED} stored Observations; ask for a shorter period."
            raise FhirError(400, "too-costly", text, expression="http.period")
        query = replace(query, after=page.next)


def _is_of(part: dict[str, Any], coding: Coding) -> bool:
    system, code = coding
    return any(
        each.get("code") == code and system in (None, each.get("system", ""))
        for each in part.get("code", {}).get("coding", [])
    )


def _number(part: dict[str, Any]) -> tuple[str, Fraction | None, int]:
    quantity = part.get("valueQuantity", {})
    unit = str(quantity.get("code", quantity.get("unit", "")))
    if "value" not in quantity or "comparator" in quantity:
        return unit, None, 0
    value = Decimal(quantity["value"])
    return unit, Fraction(value), max(0, -int(value.as_tuple().exponent))


def _observation(
    patient: UUID, coding: Coding, during: Span, unit: str, of: Counted, wanted: Sequence[str]
) -> dict[str, Any]:
    system, code = coding
    asked = {"code": code} if not system else {"system": system, "code": code}
    told: dict[str, Any] = {
        "resourceType": KIND,
        "status": "final",
        "code": {"coding": [asked]},
        "subject": {"reference": f"Patient/{patient}"},
    }
    ends = zip(("start", "end"), during, (FIRST, LAST), strict=True)
    if when := {name: instant(edge) for name, edge, end in ends if edge != end}:
        told["effectivePeriod"] = when
    told["component"] = [_component(each, unit, of) for each in wanted]
    return told


def _component(name: str, unit: str, of: Counted) -> dict[str, Any]:
    told: dict[str, Any] = {"code": {"coding": [{"system": SYSTEM, "code": name}]}}
    number = statistic(name, of)
    if number is None:
        reason = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
        told["dataAbsentReason"] = {"coding": [{"system": reason, "code": "not-performed"}]}
        return told
    quantity: dict[str, Any] = {"value": number}
    plain = "1" if name in COUNTS or name in ("skew", "kurtosis") else unit
    if name == "variance":
        plain = squared(unit)
    if plain:
        quantity |= {"unit": unit_text(plain), "system": UCUM, "code": plain}
    told["valueQuantity"] = quantity
    return told


def squared(unit: str) -> str:
    """The square of a UCUM unit: UCUM has exponents of single units only, and none of degrees.

    It reads from the left: ``mg/dL.mg/dL`` is mg2/dL2.
    """
    unit = _INTERVALS.get(unit, unit)
    return unit + unit if unit.startswith("/") else f"{unit}.{unit}" if unit else ""
