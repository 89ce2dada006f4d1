"""Observation search parameters to store queries."""

from uuid import UUID

import pytest

from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.paging import COUNT_MAX, BundleKind, cursor_bytes, cursor_text
from wardlight_cloud.fhir.parameters import split_values
from wardlight_cloud.fhir.search import (
    observation_search,
)
from wardlight_shared.codes import METRICS

PATIENT = UUID("0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11")


def wires(*names: str) -> tuple[int, ...]:
    return tuple(sorted(METRICS[name].wire for name in names))


@pytest.mark.parametrize("text", [str(PATIENT), f"Patient/{PATIENT}"])
def test_patient_in_every_spelling(text: str) -> None:
    found = observation_search([("patient", text)], strict=False)
    assert found.query.patients == (PATIENT,)
    assert not found.matches_nothing


def test_two_patient_parameters_must_both_hold() -> None:
    other = "3a5f0a0e-0000-4000-8000-000000000001"
    found = observation_search([("patient", str(PATIENT)), ("subject", other)], strict=False)
    assert found.matches_nothing


@pytest.mark.parametrize(
    "text",
    [
        "12345", f"https://ehr.example/fhir/Patient/{PATIENT}", f"urn:uuid:{PATIENT}",
        str(PATIENT).upper(), PATIENT.hex, f"/fhir/Patient/{PATIENT}",
    ],
)  # fmt: skip
def test_patient_that_cannot_be_ours_matches_nothing(text: str) -> None:
    assert observation_search([("patient", text)], strict=False).matches_nothing


@pytest.mark.parametrize("code", ["8867-4", "http://loinc.org|8867-4"])
def test_code_with_and_without_system(code: str) -> None:
    found = observation_search([("code", code)], strict=False)
    assert found.query.metrics == wires("heart_rate", "pulse_rate_oximeter", "pulse_rate_nibp")


def test_code_takes_mdc_and_lists() -> None:
    text = "urn:iso:std:iso:11073:10101|150456,8310-5"
    metrics = observation_search([("code", text)], strict=False).query.metrics
    assert metrics is not None
    assert METRICS["spo2"].wire in metrics
    assert METRICS["body_temperature"].wire in metrics


def test_code_of_another_system_matches_nothing() -> None:
    assert observation_search([("code", "urn:other|8867-4")], strict=False).matches_nothing


def test_component_code_reaches_inside_the_panel() -> None:
    assert observation_search([("code", "8480-6")], strict=False).matches_nothing
    found = observation_search([("component-code", "8480-6")], strict=False)
    assert found.query.metrics == wires("blood_pressure")


def test_category_and_code_must_both_hold() -> None:
    parameters = [("category", "laboratory"), ("code", "8867-4")]
    assert observation_search(parameters, strict=False).matches_nothing
    parameters = [("category", "vital-signs"), ("code", "85354-9")]
    query = observation_search(parameters, strict=False).query
    assert query.metrics == wires("blood_pressure")


def test_last_updated_orders_by_commit() -> None:
    query = observation_search([("_lastUpdated", "gt2026-01-01")], strict=False).query
    assert query.order == "commit"
    assert len(query.stored) == 1


def test_count_is_bounded_and_zero_asks_for_no_entries() -> None:
    assert observation_search([("_count", "9999")], strict=False).query.count == COUNT_MAX
    assert observation_search([("_count", "0")], strict=False).bundle is BundleKind.TOTAL


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_count", "-1"),
        ("_count", "many"),
        ("date", "soon"),
        ("date", "2026,soon"),
        ("value-quantity", "gt"),
        ("code-value-quantity", "8867-4"),
        ("code:in", "8867-4"),
        ("_sort", "code"),
        ("patient", "Device/1"),
        ("_cursor", "%%%"),
    ],
)
def test_bad_value_names_its_parameter(name: str, text: str) -> None:
    with pytest.raises(FhirError, match=name) as caught:
        observation_search([(name, text)], strict=False)
    assert caught.value.status == 400
    assert caught.value.expression == f"http.{name}"


def test_unknown_parameter_is_ignored_or_refused_when_strict() -> None:
    parameters = [("patient", str(PATIENT)), ("colour", "green")]
    assert observation_search(parameters, strict=False).honoured == parameters[:1]
    with pytest.raises(FhirError, match="colour"):
        observation_search(parameters, strict=True)


def test_split_values_honours_escapes() -> None:
    assert split_values(r"a\,b,c,,d\\") == ["a,b", "c", "d\\"]


def test_cursor_text_is_reversible() -> None:
    for length in range(20):
        cursor = bytes(range(length))
        assert cursor_bytes(cursor_text(cursor)) == cursor


@pytest.mark.parametrize("name", ["date", "_lastUpdated"])
def test_dates_that_are_nowhere_match_nothing(name: str) -> None:
    """A list of what lies behind the calendar; each alone would only narrow to its end."""
    behind = "gt9999-12-31T23:59:59Z"
    assert observation_search([(name, f"{behind},{behind}")], strict=False).matches_nothing
    some = observation_search([(name, f"{behind},2026-03-10")], strict=False)
    assert not some.matches_nothing
    assert len((some.query.times, some.query.stored)[name == "_lastUpdated"]) == 2
