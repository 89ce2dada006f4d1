"""The validator of FHIR definitions: it takes what is valid, and finds each fault put into it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fhir_definitions.package import (
    Definitions,
    installed_version,
    locked_version,
    require_definitions,
)
from support.fhir_definitions.samples import NAMES, sample
from support.fhir_definitions.terminology import LOINC, UCUM, Terminology, is_ucum
from support.fhir_definitions.validator import Validator

Json = Any
Path = tuple[str | int, ...]
GONE = object()
R4 = "http://hl7.org/fhir/StructureDefinition/"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.fixture
def definitions() -> Definitions:
    return require_definitions()


@cache
def shared_validator() -> Validator:
    """One for all examples: it keeps the code systems that it has read."""
    return Validator(require_definitions())


@pytest.fixture
def validator() -> Validator:
    return shared_validator()


# ---------------------------------------------------------------- what is valid


def test_the_installed_definitions_are_the_locked_ones(definitions: Definitions) -> None:
    assert definitions.structure("Observation") is not None
    assert installed_version() == locked_version()


@pytest.mark.parametrize("name", NAMES)
def test_a_valid_resource_has_no_issues(validator: Validator, name: str) -> None:
    assert not validator.issues(sample(name))
    assert not validator.unknown_profiles(sample(name))


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("ValueSet", "http://hl7.org/fhir/ValueSet/ucum-vitals-common"),
        ("ValueSet", "http://hl7.org/fhir/ValueSet/observation-vitalsignresult"),
        ("CodeSystem", "http://hl7.org/fhir/observation-status"),
        ("CodeSystem", "http://terminology.hl7.org/CodeSystem/data-absent-reason"),
        ("CodeSystem", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"),
    ],
)
def test_what_hl7_published_has_no_issues(
    definitions: Definitions, validator: Validator, kind: str, url: str
) -> None:
    """Resources of others, with extensions, deep lists and bindings of their own."""
    resource = json.loads(json.dumps(definitions.terminology(kind, url)), parse_float=Decimal)
    resource.pop("text")  # fhirpathpy lacks htmlChecks(): a narrative cannot be proved
    # HL7 puts this one outside the context that its own definition gives.
    resource["extension"] = [e for e in resource["extension"] if e["url"] != NORMATIVE]
    assert not validator.issues(resource)
    resource["status"] = "ready"
    assert validator.issues(resource)


# ---------------------------------------------------------------- one fault, by name

NORMATIVE = R4 + "structuredefinition-normative-version"
LOINC_CODE = {"system": LOINC, "code": "8867-4", "display": "Heart rate"}
DAR = {"text": "lost"}
MMHG = {"value": 80, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
REPEATED = {"code": {"coding": [LOINC_CODE]}, "valueQuantity": MMHG}
GATEWAY = {
    "url": R4 + "observation-gatewayDevice",
    "valueReference": {"reference": "Device/hub"},
}
FAULTS: list[tuple[str, Path, Json, str]] = [
    # cardinality and lists
    ("heart rate", ("status",), GONE, "minimum"),
    ("heart rate", ("code",), GONE, "minimum"),
    ("heart rate", ("subject",), GONE, "minimum"),
    ("pressure", ("effectiveDateTime",), GONE, "minimum"),
    ("heart rate", ("category",), GONE, "minimum"),
    ("heart rate", ("referenceRange", 0, "low"), GONE, "ele-1"),
    ("heart rate", ("referenceRange", 0), {"text": ""}, "primitive"),
    ("heart rate", ("valueQuantity", "value"), GONE, "minimum"),
    ("heart rate", ("valueQuantity", "unit"), GONE, "minimum"),
    ("heart rate", ("note", 0, "text"), GONE, "ele-1"),
    ("heart rate", ("note",), {"text": "x"}, "json"),
    ("heart rate", ("status",), ["final"], "json"),
    ("heart rate", ("note",), [], "json"),
    ("heart rate", ("effectiveDateTime",), None, "json"),
    ("heart rate", ("_effectiveDateTime",), None, "json"),
    ("pressure", ("component", 0, "code"), GONE, "minimum"),
    ("patient", ("contact", 0), {"gender": "male"}, "pat-1"),
    ("device", ("version", 0, "value"), GONE, "ele-1"),
    ("device", ("deviceName", 0, "type"), GONE, "minimum"),
    ("statement", ("fhirVersion",), GONE, "minimum"),
    ("statement", ("format",), GONE, "minimum"),
    ("outcome", ("issue",), GONE, "minimum"),
    ("outcome", ("issue", 0, "severity"), GONE, "minimum"),
    ("searchset", ("type",), GONE, "minimum"),
    ("searchset", ("link", 0, "relation"), GONE, "minimum"),
    # types, choices, unknown elements
    ("heart rate", ("valueQuantity",), {"value": "72"}, "primitive"),
    ("heart rate", ("valueQuantity", "value"), True, "primitive"),
    ("heart rate", ("valueString",), "72", "maximum"),
    ("heart rate", ("effectivePeriod",), {"start": "2026-03-10"}, "maximum"),
    ("heart rate", ("value",), 72, "unknown"),
    ("heart rate", ("code", "coding", 0, "label"), "x", "unknown"),
    ("heart rate", ("_effectiveDateTime", "value"), "x", "unknown"),
    ("heart rate", ("resourceType",), "Observatory", "resourceType"),
    ("patient", ("active",), "true", "primitive"),
    ("patient", ("multipleBirthBoolean",), False, "maximum"),
    ("patient", ("multipleBirthInteger",), Decimal("2.0"), "primitive"),
    ("patient", ("telecom", 0, "rank"), 0, "primitive"),
    ("searchset", ("total",), -1, "primitive"),
    ("searchset", ("entry", 1, "resource", "colour"), "x", "unknown"),
    # primitives
    ("heart rate", ("id",), "under_score", "primitive"),
    ("heart rate", ("id",), "x" * 65, "primitive"),
    ("heart rate", ("status",), " final", "primitive"),
    ("heart rate", ("meta", "lastUpdated"), "2026-03-10T12:00:01.250", "primitive"),
    ("heart rate", ("meta", "lastUpdated"), "2026-03-10", "primitive"),
    ("heart rate", ("issued",), "2026-03-10T12:00Z", "primitive"),
    ("heart rate", ("effectiveDateTime",), "2026-03-10T13:00:00", "primitive"),
    ("heart rate", ("effectiveDateTime",), "2026-03-10 13:00:00Z", "primitive"),
    ("heart rate", ("effectiveDateTime",), "2026-02-29T13:00:00Z", "primitive"),
    ("heart rate", ("effectiveDateTime",), "2026-03-10T24:30:00Z", "primitive"),
    ("heart rate", ("effectiveDateTime",), "2026-03-10T13:00:00+0100", "primitive"),
    ("heart rate", ("identifier", 0, "system"), "a b", "primitive"),
    ("heart rate", ("identifier", 0, "system"), "urn:oid:1.2.x", "primitive"),
    ("heart rate", ("note", 0, "text"), "", "primitive"),
    ("patient", ("birthDate",), "1950-02-29", "primitive"),
    ("patient", ("birthDate",), "1950-02-28T00:00:00Z", "primitive"),
    # fixed values, slices, bindings
    ("heart rate", ("code", "coding", 0, "code"), "8889-8", "minimum"),
    ("heart rate", ("code", "coding", 0, "system"), "urn:other", "minimum"),
    ("heart rate", ("code", "coding"), [LOINC_CODE, LOINC_CODE], "maximum"),
    ("heart rate", ("valueQuantity", "code"), "{beats}/min", "fixed"),
    ("heart rate", ("valueQuantity", "code"), "bpm", "ucum"),
    ("heart rate", ("valueQuantity", "system"), "urn:other", "fixed"),
    ("heart rate", ("category", 0, "coding", 0, "code"), "laboratory", "minimum"),
    ("heart rate", ("category", 0, "coding", 0, "code"), "vitals", "coding"),
    ("heart rate", ("category", 0, "coding", 0, "display"), "Laboratory", "coding"),
    ("heart rate", ("category", 0, "coding", 0, "system"), "categories", "coding"),
    ("heart rate", ("interpretation", 0, "coding", 0, "code"), "LOW", "coding"),
    ("heart rate", ("status",), "done", "binding"),
    ("pressure", ("component", 1), GONE, "minimum"),
    ("pressure", ("component", 2, "code", "coding", 0, "code"), "8480-6", "maximum"),
    ("pressure", ("component", 0, "code", "coding", 1, "system"), "urn:other", "minimum"),
    ("pressure", ("component", 0, "valueQuantity", "code"), "kPa", "binding"),
    ("pressure", ("component", 2, "valueQuantity", "code"), "kPa", "binding"),
    ("pressure", ("component", 0, "valueQuantity", "unit"), GONE, "minimum"),
    ("pressure", ("component", 2, "valueQuantity"), GONE, "vs-3"),
    ("patient", ("gender",), "f", "binding"),
    ("device", ("deviceName", 0, "type"), "nickname", "binding"),
    ("outcome", ("issue", 0, "code"), "lost", "binding"),
    ("statement", ("rest", 0, "resource", 0, "type"), "Observatory", "binding"),
    ("statement", ("rest", 0, "resource", 0, "searchParam", 0, "type"), "text", "binding"),
    ("searchset", ("entry", 0, "search", "mode"), "hit", "binding"),
    # constraints
    ("heart rate", ("dataAbsentReason",), DAR, "obs-6"),
    ("heart rate", ("valueQuantity",), GONE, "vs-2"),
    ("heart rate", ("effectiveDateTime",), "2026-03", "vs-1"),
    ("heart rate", ("valueQuantity", "system"), GONE, "qty-3"),
    ("heart rate", ("component",), [REPEATED], "obs-7"),
    ("heart rate", ("contained",), [{"resourceType": "Patient", "id": "x"}], "dom-3"),
    ("heart rate", ("subject", "reference"), "#x", "ref-1"),
    ("heart rate", ("extension", 0, "extension"), [GATEWAY], "ext-1"),
    ("patient", ("identifier", 0, "period", "end"), "2026-03-10T11:00:00Z", "per-1"),
    ("patient", ("telecom", 0, "system"), GONE, "cpt-2"),
    ("statement", ("implementation",), GONE, "cpb-14"),
    ("statement", ("rest",), GONE, "cpb-1"),
    ("statement", ("rest", 0, "resource", 0, "searchParam", 1, "name"), "date", "cpb-12"),
    ("searchset", ("type",), "collection", "bdl-2"),
    (
        "searchset",
        ("entry", 1, "fullUrl"),
        "https://ehr.example/fhir/Patient/1/_history/2",
        "bdl-8",
    ),
    ("searchset", ("entry", 0), {"fullUrl": "https://ehr.example/fhir/Patient/1"}, "bdl-5"),
    # references and extensions
    ("heart rate", ("subject", "reference"), "Group/1", "reference"),
    ("heart rate", ("subject", "reference"), "anna", "reference"),
    ("heart rate", ("device", "reference"), "Patient/anna", "reference"),
    ("device", ("patient", "reference"), "Person/anna", "reference"),
    ("heart rate", ("extension", 0, "url"), R4 + "observation-gateway", "extension"),
    ("heart rate", ("extension", 0, "url"), "urn:wardlight:other", "extension"),
    ("heart rate", ("extension", 0, "url"), R4 + "patient-birthPlace", "extension"),
    ("heart rate", ("extension", 0, "valueReference", "reference"), "Patient/1", "reference"),
    ("heart rate", ("extension", 0, "valueReference"), GONE, "ext-1"),
    ("device", ("extension",), [GATEWAY], "extension"),
    ("heart rate", ("_effectiveDateTime",), {}, "json"),
    ("heart rate", ("_effectiveDateTime", "extension", 0, "url"), GONE, "minimum"),
    # profiles
    ("heart rate", ("meta", "profile", 0), R4 + "bodyweight", "minimum"),
    ("patient", ("meta",), {"profile": [R4 + "heartrate"]}, "profile"),
]


def changed(resource: Json, path: Path, value: Json) -> Json:
    """The resource with one place set to a value, or without it."""
    place = resource
    for step in path[:-1]:
        place = place[step]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return resource


@pytest.mark.parametrize(("name", "path", "value", "rule"), FAULTS)
def test_one_fault_is_found_by_its_rule(
    validator: Validator, name: str, path: Path, value: Json, rule: str
) -> None:
    issues = validator.issues(changed(sample(name), path, value))
    assert rule in {issue.rule for issue in issues}, issues


def test_two_entries_of_one_version_are_found(validator: Validator) -> None:
    bundle = sample("searchset")
    bundle["entry"].append(bundle["entry"][1])
    assert "bdl-7" in {issue.rule for issue in validator.issues(bundle)}


def test_an_own_extension_must_be_named_and_be_a_url(definitions: Definitions) -> None:
    urls = frozenset({"urn:ours", "ours", R4 + "ours"})
    validator = Validator(definitions, own_extensions=urls)
    for url, is_valid in (("urn:ours", True), ("ours", False), (R4 + "ours", False)):
        extended = sample("patient") | {"extension": [{"url": url, "valueString": "x"}]}
        assert (not validator.issues(extended)) == is_valid
    assert Validator(definitions).issues(
        sample("patient") | {"extension": [{"url": "urn:ours", "valueString": "x"}]}
    )


def test_a_profile_the_package_lacks_is_told(validator: Validator) -> None:
    us_core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-heart-rate"
    heart_rate = sample("heart rate")
    heart_rate["meta"]["profile"].append(us_core)
    assert validator.unknown_profiles(heart_rate) == [us_core]


# ---------------------------------------------------------------- any fault, anywhere


def places(value: Json, path: Path = ()) -> Iterator[Path]:
    """Every member and item of a resource."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in inside:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


EVERYWHERE = [(name, path) for name in NAMES for path in places(sample(name))]
OBJECTS = [
    (name, (*path, "colour"))
    for name, path in EVERYWHERE
    if isinstance(path[-1], int) and name != "outcome"
]


def at(resource: Json, path: Path) -> Json:
    for step in path:
        resource = resource[step]
    return resource


def of_other_type(value: Json) -> st.SearchStrategy[Json]:
    """Values that JSON's type alone makes wrong at the place of ``value``."""
    words, lists = st.text(min_size=1), st.lists(st.text(min_size=1), max_size=2)
    numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
    objects = st.dictionaries(st.sampled_from(["x", "y"]), words, max_size=2)
    if isinstance(value, dict):
        return words | numbers | lists | objects | st.booleans() | st.none()
    if isinstance(value, list):
        return words | numbers | objects | st.booleans() | st.none() | st.just(value[0])
    if isinstance(value, str):
        return numbers | lists | objects | st.booleans() | st.none() | st.just([value])
    return words | lists | objects | st.none() | st.just([value])


@given(st.data())
def test_a_value_of_another_json_type_is_found(data: st.DataObject) -> None:
    name, path = data.draw(st.sampled_from(EVERYWHERE))
    value = data.draw(of_other_type(at(sample(name), path)))
    assert shared_validator().issues(changed(sample(name), path, value))


@given(st.sampled_from(EVERYWHERE), st.sampled_from(["", {}, [], None]))
def test_a_value_emptied_is_found(place: tuple[str, Path], empty: Json) -> None:
    name, path = place
    assert shared_validator().issues(changed(sample(name), path, empty))


@given(st.sampled_from(EVERYWHERE), st.sampled_from(["X", " ", "[x]", "_"]))
def test_a_member_renamed_is_found(place: tuple[str, Path], tail: str) -> None:
    name, path = place
    if isinstance(path[-1], str):
        value = at(sample(name), path)
        without = changed(sample(name), path, GONE)
        renamed = changed(without, (*path[:-1], path[-1] + tail), value)
        assert shared_validator().issues(renamed)


@given(st.sampled_from(OBJECTS), st.sampled_from(["x", 1, {"x": 1}, ["x"]]))
def test_an_unknown_member_is_found(place: tuple[str, Path], value: Json) -> None:
    name, path = place
    if isinstance(at(sample(name), path[:-1]), dict):
        assert shared_validator().issues(changed(sample(name), path, value))


# ---------------------------------------------------------------- terminology


@pytest.mark.parametrize(
    ("value_set", "system", "code", "answer"),
    [
        ("ucum-bodyweight", UCUM, "kg", True),
        ("ucum-bodyweight", UCUM, "t", False),
        ("ucum-bodyweight", "urn:other", "kg", False),
        ("ucum-units", UCUM, "mm[Hg]", True),
        ("ucum-units", UCUM, "mmHg", False),
        ("observation-status", None, "final", True),
        ("observation-status", None, "done", False),
        ("observation-category", CATEGORY, "vital-signs", True),
        ("mimetypes", None, "application/fhir+json", None),
        ("observation-codes", LOINC, "8867-4", None),
        ("no-such-set", None, "x", None),
    ],
)
def test_a_value_set_tells_what_it_holds(
    definitions: Definitions, value_set: str, system: str | None, code: str, answer: bool | None
) -> None:
    url = f"http://hl7.org/fhir/ValueSet/{value_set}|4.0.1"
    assert Terminology(definitions).contains(url, system, code) is answer


def test_ucum_is_a_grammar() -> None:
    """Units of UCUM 2.2 tables 3 to 6, and what people write instead."""
    assert all(map(is_ucum, ("kg/m2", "[degF]", "{INR}", "mmol/L", "10*3/uL", "/min")))
    assert not any(map(is_ucum, ("bpm", "count/min", "degC", "mmHg", "lb", "mm(Hg)", "kg/", "")))
