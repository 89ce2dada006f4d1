"""Foreign measurements by the rules of readings: what can be measured, in which unit, and when.

A reading whose number no body can have is withheld, one from the future stands aside, one outside
its plausible range is kept and flagged. Who writes an Observation can be told: the first two are
refused, the third is kept and flagged in the same way (``marked``). What is withdrawn
(entered-in-error, cancelled) is not looked at: a wrong value must be able to go.

In      a resource as JSON values, of the shape that R4 says; decimals are Decimal or float
Out     issues; the resource that is kept

Source  wardlight_shared.codes (units and ranges, engineering guards: no clinical limits);
        wardlight_shared.timestamps (how far ahead a clock may be); glucose: molar mass
"""

import time
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any, Final

from wardlight_cloud.fhir.observation_texts import FLAG_EXTENSION, MEASUREMENT_STATUS
from wardlight_cloud.fhir.stored.issue import Issue
from wardlight_cloud.fhir.stored.moments import earliest
from wardlight_cloud.fhir.stored.unit_texts import contradicts
from wardlight_cloud.fhir.stored.units import UCUM, in_base_unit
from wardlight_cloud.fhir.vocabulary import CATEGORY, LOINC, MDC, Measured, measured_by_code
from wardlight_shared.codes import BY_WIRE, Metric
from wardlight_shared.timestamps import FUTURE_LIMIT_MS

GLUCOSE_G_PER_MOL: Final = Decimal("180.156")
_VITAL_SIGNS: Final = "vital-signs"
_R4: Final = "http://hl7.org/fhir/StructureDefinition/"
_ANY_VITAL_SIGN: Final = f"{_R4}vitalsigns"
_SIDES: Final = ("systolic_bp", "diastolic_bp")
_WITHDRAWN: Final = frozenset({"entered-in-error", "cancelled"})
_NUMBERS: Final = frozenset({"valueQuantity", "valueSampledData"})
_MAY_BE_NEGATIVE: Final = "V"  # base unit of voltage; warmth is counted from where there is none
_IMPLAUSIBLE: Final = {"url": FLAG_EXTENSION, "valueCode": "implausible"}
_QUESTIONABLE: Final = {"coding": [{"system": MEASUREMENT_STATUS, "code": "questionable"}]}
_Range = tuple[Decimal, Decimal, str]


def issues_of_measurement(resource: dict[str, Any], now_us: int | None = None) -> Iterator[Issue]:
    """What is wrong with an Observation. ``now_us``: microseconds since 1970; None = now."""
    if is_withdrawn(resource):
        return
    yield from _of_time(resource, time.time_ns() // 1000 if now_us is None else now_us)
    yield from _of_sides(resource)
    for part, place in _parts(resource):
        named = _named(part)
        if "valueQuantity" in part and _is_of_several(named):
            text = "The codings name different measurements of one value. Say which one it is."
            yield Issue("value", text, f"{place}.code")
        for key in part:
            if named and _is_value(key) and key.lstrip("_") not in _NUMBERS:
                text = "The code is that of a quantity: its value is a valueQuantity."
                yield Issue("value", text, f"{place}.{key.lstrip('_')}")
        quantity = part.get("valueQuantity")
        if quantity is not None:
            yield from _of_quantity(quantity, named, f"{place}.valueQuantity")


def is_withdrawn(resource: dict[str, Any]) -> bool:
    """Whether an Observation says of itself that it is not to be used."""
    return resource.get("status") in _WITHDRAWN


def is_vital_sign(resource: dict[str, Any]) -> bool:
    """Whether an Observation says that it is one."""
    return any(
        (each.get("system"), each.get("code")) == (CATEGORY, _VITAL_SIGNS)
        for category in resource.get("category", [])
        for each in category.get("coding", [])
    )


def names_what_is_measured(resource: dict[str, Any]) -> bool:
    """Whether a code of an Observation, or of a component, is one that is measured here."""
    return any(_named(part) for part, _ in _parts(resource))


def marked(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource with the flag of readings where a value is outside its plausible range.

    Where it is not any more, the flag that an earlier version got is taken away.
    """
    is_flagged = _IMPLAUSIBLE in resource.get("extension", [])
    is_plausible = is_withdrawn(resource) or all(
        _is_plausible(part) for part, _ in _parts(resource)
    )
    if is_flagged is not is_plausible:
        return resource
    made = dict(resource)
    for key, value in (("extension", _IMPLAUSIBLE), ("interpretation", _QUESTIONABLE)):
        rest = [each for each in resource.get(key, []) if each != value]
        made[key] = rest if is_plausible else [*rest, value]
        if not made[key]:
            del made[key]
    return made


def _parts(resource: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The Observation and its components, with their places."""
    yield resource, "Observation"
    for at, component in enumerate(resource.get("component", [])):
        yield component, f"Observation.component[{at}]"


def _is_value(key: str) -> bool:
    rest = key.lstrip("_").removeprefix("value")
    return rest[:1].isupper() and "value" in key


def _of_time(resource: dict[str, Any], now_us: int) -> Iterator[Issue]:
    latest = now_us + FUTURE_LIMIT_MS * 1000
    period = resource.get("effectivePeriod", {})
    events = resource.get("effectiveTiming", {}).get("event", [])
    begins = "start" if "start" in period else "end"  # it may go on after now
    for place, text in (
        ("effectiveDateTime", resource.get("effectiveDateTime")),
        ("effectiveInstant", resource.get("effectiveInstant")),
        (f"effectivePeriod.{begins}", period.get(begins)),
        *((f"effectiveTiming.event[{at}]", text) for at, text in enumerate(events)),
        ("issued", resource.get("issued")),
    ):
        if isinstance(text, str) and earliest(text) > latest:
            said = f"It lies more than {FUTURE_LIMIT_MS // 60_000} minutes ahead of now."
            yield Issue("value", said, f"Observation.{place}")


def _of_sides(resource: dict[str, Any]) -> Iterator[Issue]:
    """A blood pressure with its sides swapped, or one of them wrong."""
    upper, lower = (_side(resource, name) for name in _SIDES)
    if upper is None or lower is None or upper[1] != lower[1] or not upper[0] < lower[0]:
        return
    text = "The systolic pressure is less than the diastolic one; nobody can have that."
    yield Issue("value", text, "Observation.component")


def _side(resource: dict[str, Any], name: str) -> tuple[Decimal, str] | None:
    """The value of a side of a blood pressure, in its base unit; None where it is not said once."""
    values = [
        in_base_unit(value, str(quantity.get("code")))
        for part in resource.get("component", [])
        if {name} in [{BY_WIRE[wire].name for wire, _ in each} for each in _named(part)]
        and (quantity := part.get("valueQuantity")) is not None
        and quantity.get("system") == UCUM
        and (value := _number(quantity)) is not None
    ]
    return values[0] if len(values) == 1 else None


def _is_of_several(named: list[frozenset[Measured]]) -> bool:
    """Whether two codings of a code name measurements that nobody takes for one another."""
    subjects = [{_subject_of(BY_WIRE[wire]) for wire, _ in each} for each in named]
    return len({next(iter(each)) for each in subjects if len(each) == 1} - {""}) > 1


def _subject_of(metric: Metric) -> str:
    """What a metric is about: a profile of several, or itself; "" where codes are used loosely."""
    if metric.r4_profile == _ANY_VITAL_SIGN or metric.component_of is not None:
        return metric.name
    return metric.r4_profile if metric.r4_profile.startswith(_R4) else ""


def _of_quantity(
    quantity: dict[str, Any], named: list[frozenset[Measured]], place: str
) -> Iterator[Issue]:
    code, unit = quantity.get("code"), quantity.get("unit")
    if quantity.get("system") != UCUM or not isinstance(code, str):
        return
    if isinstance(unit, str) and contradicts(unit, code):
        yield Issue(
            "value", "The text of the unit says another unit than its code.", f"{place}.unit"
        )
    value = _number(quantity)
    base = in_base_unit(Decimal(1) if value is None else value, code)
    for units in (sorted({unit for _, unit in each}) for each in named):
        if code not in units and (base is None or base[1] not in {_base(each) for each in units}):
            text = f"What the code names is not measured in this unit, but in {' or '.join(units)}."
            yield Issue("code-invalid", text, f"{place}.code")
            return
        if value is not None and base is not None and _is_impossible(*base, units):
            yield Issue("value", "Nobody can have such a value.", f"{place}.value")
            return


def _is_impossible(value: Decimal, base: str, units: list[str]) -> bool:
    """As of readings: less than nothing, and a share of more than all."""
    if value < 0:
        return base != _MAY_BE_NEGATIVE
    return units == ["%"] and value > 1


def _is_plausible(part: dict[str, Any]) -> bool:
    """Whether a value is within a range of what its code names; True where nobody can tell."""
    quantity = part.get("valueQuantity")
    value = None if quantity is None else _number(quantity)
    if value is None or quantity is None or quantity.get("system") != UCUM:
        return True
    base = in_base_unit(value, str(quantity.get("code")))
    measured = frozenset[Measured]().union(*_named(part))
    ranges = {found for each in measured if (found := _range(each)) is not None}
    if base is None or not ranges:
        return True
    return any(low <= base[0] <= high and unit == base[1] for low, high, unit in ranges)


def _named(part: dict[str, Any]) -> list[frozenset[Measured]]:
    """What each coding of a part names, of what is measured here."""
    concept = part.get("code")
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    found = (
        measured_by_code(each["system"], each["code"])
        for each in codings
        if each.get("system") in (LOINC, MDC) and each.get("code")
    )
    return [each for each in found if each]


def _number(quantity: dict[str, Any]) -> Decimal | None:
    value = quantity.get("value")
    return None if value is None or isinstance(value, str | bool) else Decimal(str(value))


def _base(unit: str) -> str | None:
    found = in_base_unit(Decimal(1), unit)
    return None if found is None else found[1]


@cache
def _range(measured: Measured) -> _Range | None:
    """The plausible range of a metric, in the base unit of one of its units."""
    wire, unit = measured
    metric = BY_WIRE[wire]
    if metric.plausible is None:
        return None
    ends = [in_base_unit(each, metric.plausible_unit) for each in metric.plausible]
    if ends[0] is None or ends[1] is None:
        return None
    (low, base), (high, _) = ends[0], ends[1]
    if _base(unit) == base:
        return low, high, base
    if base == "g/L" and _base(unit) == "mol/L":  # only glucose has both
        return low / GLUCOSE_G_PER_MOL, high / GLUCOSE_G_PER_MOL, "mol/L"
    return None
