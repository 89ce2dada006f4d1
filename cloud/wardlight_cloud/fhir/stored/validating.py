"""Whether a foreign resource is what R4 says: its shape, then what shapes do not say.

In      a resource as JSON text
Out     issues, none = it is valid. No issue quotes a value.

The shape is that of the R4B models, which for these kinds is R4's. They take "72" for a number and
any text for a code with a required binding; both are looked at beside them, with invariants of
Observation, the rules of the vital signs profile and those of readings (measurements.py).

Source  R4 4.0.1; invariants obs-3, obs-6, obs-7, per-1, ref-1, vs-1, vs-2, vs-3;
        required_codes.csv, made from R4's StructureDefinitions and ValueSets
"""

import csv
import importlib
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from pydantic import BaseModel, ValidationError

from wardlight_cloud.fhir.stored.issue import Issue
from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.measurements import is_vital_sign, issues_of_measurement
from wardlight_cloud.fhir.stored.moments import earliest, is_before
from wardlight_cloud.fhir.stored.narrative import issues_of_narrative
from wardlight_cloud.fhir.stored.units import UCUM
from wardlight_cloud.fhir.vocabulary import LOINC

MOST_ISSUES: Final = 20
_UNITS: Final = {
    "9279-1": ("/min",), "8867-4": ("/min",), "2708-6": ("%",), "59408-5": ("%",),
    "8310-5": ("Cel", "[degF]"), "8302-2": ("cm", "[in_i]"), "9843-4": ("cm", "[in_i]"),
    "29463-7": ("g", "kg", "[lb_av]"), "39156-5": ("kg/m2",), "8480-6": ("mm[Hg]",),
    "8462-4": ("mm[Hg]",),
}  # fmt: skip
_DAY: Final = len("2026-01-31")
_PRESSURE: Final = "85354-9"
_SIDES: Final = ("8480-6", "8462-4")


def issues(text: bytes) -> list[Issue]:
    """What is wrong with a resource, at most MOST_ISSUES."""
    resource = msgspec.json.decode(text)
    kind = resource.get("resourceType")
    if kind not in STORED:
        return [Issue("not-supported", "This server does not store the type.", "resourceType")]
    if nulls := [*_of_nulls(resource, kind)]:
        return nulls[:MOST_ISSUES]
    try:
        model = _model(kind).model_validate(_exact(text))
    except ValidationError as error:
        return [_of_model(kind, each) for each in error.errors(include_url=False)[:MOST_ISSUES]]
    found = [*_of_values(model, resource, kind), *_of_references(resource)]
    found += [*_of_empty(resource, kind), *issues_of_narrative(resource, kind)]
    if kind == "Observation":
        found += [*_of_observation(resource), *_of_vital_sign(resource)]
    if kind == "Patient":
        found += _of_patient(resource)
    if kind == "Observation" and not found:  # what these look at is of the shape it should be
        found += issues_of_measurement(_exact(text))
    return found[:MOST_ISSUES]


def _exact(text: bytes) -> Any:
    return msgspec.json.Decoder(float_hook=Decimal).decode(text)


@cache
def _model(kind: str) -> type[BaseModel]:
    model: type[BaseModel] = getattr(
        importlib.import_module(f"fhir.resources.R4B.{kind.lower()}"), kind
    )
    return model


@cache
def _codes() -> dict[tuple[str, str], frozenset[str]]:
    text = files("wardlight_cloud.fhir.stored").joinpath("required_codes.csv")
    rows = csv.DictReader(text.read_text(encoding="utf-8").splitlines())
    return {(row["class"], row["element"]): frozenset(row["codes"].split()) for row in rows}


def _of_model(kind: str, error: Any) -> Issue:
    place = kind
    for step in error["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if step != "root" else ""
    what = str(error["type"])
    if what.endswith("missing"):
        return Issue("required", "An element is missing that must be there.", place)
    if what == "extra_forbidden":
        return Issue("structure", "R4 has no such element here.", place)
    if "multiple" in error["msg"]:
        return Issue("structure", "Only one type of value may be given.", place)
    return Issue("value", "The value is not of the type that R4 says.", place)


def _of_values(model: Any, node: Any, place: str) -> Iterator[Issue]:
    """Numbers and booleans written as texts; codes that a required binding does not have."""
    name = type(model).__name__
    if name == "Period" and _is_turned_round(node):
        yield Issue("invariant", "The period ends before it starts (per-1).", f"{place}.end")
    for field_name, field in type(model).model_fields.items():
        key = field.alias or field_name
        written, value = node.get(key), getattr(model, field_name, None)
        if written is None or value is None:
            continue
        for at, (one, meant) in enumerate(_pairs(written, value)):
            where = f"{place}.{key}[{at}]" if isinstance(written, list) else f"{place}.{key}"
            if isinstance(meant, BaseModel) and isinstance(one, dict):
                yield from _of_values(meant, one, where)
            elif isinstance(meant, bool | int | float | Decimal) and isinstance(one, str):
                yield Issue("value", "A number or boolean is written as a text.", where)
            elif isinstance(meant, bool) is not isinstance(one, bool):
                yield Issue("value", "The value is not of the type that R4 says.", where)
            elif (codes := _codes().get((name, key))) is not None and one not in codes:
                yield Issue("code-invalid", "The code is none of those that R4 requires.", where)


def _is_turned_round(period: dict[str, Any]) -> bool:
    start, end = period.get("start"), period.get("end")
    try:
        return isinstance(start, str) and isinstance(end, str) and is_before(end, start)
    except ValueError:
        return False  # finer than any clock, or of no calendar: not compared


def _pairs(written: Any, value: Any) -> list[tuple[Any, Any]]:
    if isinstance(written, list) and isinstance(value, list):
        return list(zip(written, value, strict=False))
    return [(written, value)]


def _of_empty(node: Any, place: str) -> Iterator[Issue]:
    """Elements that say nothing: R4 has none (2.6.2); they would stand for what was meant."""
    if node in ([], {}, ""):
        yield Issue("structure", "An element is empty; leave it out.", place)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _of_empty(value, f"{place}.{key}")
    elif isinstance(node, list):
        for at, each in enumerate(node):
            yield from _of_empty(each, f"{place}[{at}]")


def _of_nulls(node: Any, place: str) -> Iterator[Issue]:
    """Nulls, which stand in lists only, for what the extension at the same place is about.

    The models take any other for an element that is not there, even for one that must be.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            where = f"{place}.{key}"
            beside = node.get(key[1:] if key.startswith("_") else f"_{key}")
            if value is None:
                yield Issue("structure", "R4 has no null; leave the element out.", where)
            elif isinstance(value, list):
                yield from _of_nulls_in_list(value, beside, where)
            else:
                yield from _of_nulls(value, where)


def _of_nulls_in_list(values: list[Any], beside: Any, place: str) -> Iterator[Issue]:
    others = beside if isinstance(beside, list) else []
    for at, each in enumerate(values):
        if each is None and (at >= len(others) or others[at] is None):
            text = "A null in a list has an extension of its place beside the list."
            yield Issue("structure", text, f"{place}[{at}]")
        yield from _of_nulls(each, f"{place}[{at}]")


def _of_references(resource: dict[str, Any]) -> Iterator[Issue]:
    contained = {each.get("id") for each in resource.get("contained", []) if isinstance(each, dict)}
    for place, text in _references(resource, resource["resourceType"]):
        if text.startswith("#") and text != "#" and text[1:] not in contained:
            yield Issue("not-found", "Nothing contained has this id (ref-1).", place)


def _references(node: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            where = f"{place}.{key}"
            if key == "reference" and isinstance(value, str):
                yield where, value
            else:
                yield from _references(value, where)
    elif isinstance(node, list):
        for at, each in enumerate(node):
            yield from _references(each, f"{place}[{at}]")


def _of_patient(resource: dict[str, Any]) -> Iterator[Issue]:
    born = resource.get("birthDate")
    if isinstance(born, str) and earliest(born) > time.time_ns() // 1000:
        yield Issue("value", "The birth date lies in the future.", "Patient.birthDate")


def _has_value(node: dict[str, Any]) -> bool:
    return any(key.startswith("value") and key != "value" for key in node)


def _of_observation(resource: dict[str, Any]) -> Iterator[Issue]:
    if _has_value(resource) and "dataAbsentReason" in resource:
        yield Issue(
            "invariant", "A value and dataAbsentReason exclude each other (obs-6).",
            "Observation.dataAbsentReason",
        )  # fmt: skip
    codes = _codings(resource.get("code"))
    for at, component in enumerate(resource.get("component", [])):
        place = f"Observation.component[{at}]"
        if _has_value(component) and "dataAbsentReason" in component:
            text = "A value and dataAbsentReason exclude each other."
            yield Issue("invariant", text, f"{place}.dataAbsentReason")
        if _has_value(resource) and _codings(component.get("code")) & codes:
            text = "The component has the code of the Observation, which has a value (obs-7)."
            yield Issue("invariant", text, f"{place}.code")


def _of_vital_sign(resource: dict[str, Any]) -> Iterator[Issue]:
    """The base profile of vital signs; units and components where the code has a profile."""
    if not is_vital_sign(resource):
        return
    if "subject" not in resource:
        yield Issue("required", "A vital sign has a subject.", "Observation.subject")
    if not any(key in resource for key in ("effectiveDateTime", "effectivePeriod")):
        text = "A vital sign has effectiveDateTime or effectivePeriod."
        yield Issue("required", text, "Observation.effective")
    if len(str(resource.get("effectiveDateTime", "0000-00-00"))) < _DAY:
        text = "A vital sign says at least the day when it was measured (vs-1)."
        yield Issue("invariant", text, "Observation.effectiveDateTime")
    linked = any(resource.get(key) for key in ("component", "hasMember"))
    if not linked and not _has_value(resource) and "dataAbsentReason" not in resource:
        text = "A vital sign has a value, dataAbsentReason, component or hasMember (vs-2)."
        yield Issue("invariant", text, "Observation")
    yield from _of_unit(resource, "Observation")
    codes: list[str] = []
    for at, component in enumerate(resource.get("component", [])):
        place = f"Observation.component[{at}]"
        if not _has_value(component) and "dataAbsentReason" not in component:
            yield Issue("invariant", "A component has a value or dataAbsentReason (vs-3).", place)
        yield from _of_unit(component, place)
        codes += [code for system, code in _codings(component.get("code")) if system == LOINC]
    if (LOINC, _PRESSURE) in _codings(resource.get("code")):
        for side in _SIDES:
            if codes.count(side) != 1:
                text = f"A blood pressure has the component {side} once."
                yield Issue("required", text, "Observation.component")


def _of_unit(node: dict[str, Any], place: str) -> Iterator[Issue]:
    quantity = node.get("valueQuantity")
    units = [
        _UNITS[code]
        for system, code in _codings(node.get("code"))
        if system == LOINC and code in _UNITS
    ]
    if not units or quantity is None:
        return
    if quantity.get("system") != UCUM or quantity.get("code") not in units[0]:
        text = f"The profile of this code takes the UCUM unit {' or '.join(units[0])}."
        yield Issue("code-invalid", text, f"{place}.valueQuantity.code")


def _codings(concept: Any) -> set[tuple[Any, Any]]:
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    return {(each.get("system"), each.get("code")) for each in codings if isinstance(each, dict)}
