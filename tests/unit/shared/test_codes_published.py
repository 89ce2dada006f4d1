"""The code table against what HL7 and UCUM published: codes, units, categories, profiles.

LOINC and MDC are not in the package of definitions, so the displays of LOINC cannot be checked
here; the codes that R4's profiles fix can.
"""

import pytest

from support.fhir_definitions.package import Definitions, require_definitions
from support.fhir_definitions.structure import Element, Structure
from support.fhir_definitions.terminology import LOINC, UCUM, Terminology, is_ucum
from wardlight_shared.codes import METRICS, Metric

R4 = "http://hl7.org/fhir/StructureDefinition/"
VITALS = f"{R4}vitalsigns"
RESULTS = "http://hl7.org/fhir/ValueSet/observation-vitalsignresult"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"
PROFILED = [m for m in METRICS.values() if m.r4_profile.startswith(R4) and m.r4_profile != VITALS]
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"


@pytest.fixture
def definitions() -> Definitions:
    return require_definitions()


def profile_of(metric: Metric, definitions: Definitions) -> Structure:
    profile = definitions.structure(metric.r4_profile)
    assert profile is not None, f"{metric.name}: R4 has no {metric.r4_profile}"
    return profile


def fixed_codes(profile: Structure, parent: str) -> set[str]:
    """LOINC codes that the slices of ``parent``.coding fix."""
    return {
        str(child.fixed[0])
        for part in profile.by_id[f"{parent}.coding"].slices
        for child in part.children
        if child.name == "code"
    }


def allows(code: Element, unit: str, terminology: Terminology) -> bool:
    if code.fixed:
        return bool(code.fixed[0] == unit)
    assert code.required_binding is not None
    return terminology.contains(code.required_binding, UCUM, unit) is True


@pytest.mark.parametrize("metric", PROFILED, ids=lambda m: m.name)
def test_a_profile_fixes_the_code_and_units_of_its_metric(
    definitions: Definitions, metric: Metric
) -> None:
    profile = profile_of(metric, definitions)
    assert fixed_codes(profile, "Observation.code") == {metric.loinc}
    parts = [part.id for part in profile.by_id["Observation.component"].slices]
    quantities = [f"{part}.value[x]" for part in parts] or ["Observation.value[x]:valueQuantity"]
    for quantity in quantities:
        for unit in (metric.unit, *metric.units_also):
            code = profile.by_id[f"{quantity}.code"]
            assert allows(code, unit, Terminology(definitions)), f"{quantity}: {unit}"


def test_the_sides_of_a_pressure_are_the_slices_of_its_profile(definitions: Definitions) -> None:
    profile = profile_of(METRICS["blood_pressure"], definitions)
    slices = profile.by_id["Observation.component"].slices
    codes = {code for part in slices for code in fixed_codes(profile, f"{part.id}.code")}
    assert codes == {METRICS[name].loinc for name in ("systolic_bp", "diastolic_bp")}


def test_what_r4_calls_a_vital_sign_claims_its_profile(definitions: Definitions) -> None:
    """And what R4 has no code for claims no more than the general profile."""
    terminology = Terminology(definitions)
    for metric in METRICS.values():
        if metric.component_of is None:
            is_listed = terminology.contains(RESULTS, LOINC, metric.loinc) is True
            assert is_listed == (metric in PROFILED), metric.name


def test_units_are_ucum() -> None:
    for metric in METRICS.values():
        for unit in filter(None, (metric.unit, *metric.units_also, metric.plausible_unit)):
            assert is_ucum(unit), f"{metric.name}: {unit}"


def test_categories_are_those_of_hl7(definitions: Definitions) -> None:
    displays = Terminology(definitions).displays(CATEGORIES)
    assert displays is not None
    assert {metric.category for metric in METRICS.values()} - {""} <= displays.keys()


def test_a_profile_is_in_the_package_or_of_a_guide_that_is_not(definitions: Definitions) -> None:
    """Of US Core the package holds one vital sign; when it holds more, check against them."""
    held = {url for url in definitions.profiles() if url.startswith(US_CORE)}
    vitals = {metric.us_core_profile for metric in METRICS.values()} & held
    assert vitals == {f"{US_CORE}us-core-blood-pressure"}
    for metric in METRICS.values():
        if metric.r4_profile and not metric.r4_profile.startswith("http://hl7.org/fhir/uv/"):
            assert definitions.structure(metric.r4_profile) is not None, metric.name
