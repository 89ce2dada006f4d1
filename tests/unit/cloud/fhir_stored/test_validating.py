"""What of a foreign resource is refused, and where it is said to be."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.stored_resources import observation, organization, task
from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.validating import issues

DAR = {"coding": [{"code": "unknown"}]}
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def _code(code: str) -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code}]}


def _quantity(value: Any, code: str) -> dict[str, Any]:
    return {"value": value, "system": UCUM, "code": code}


def _pressure(*sides: str, unit: str = "mm[Hg]") -> dict[str, Any]:
    made = observation(code=_code("85354-9"))
    del made["valueQuantity"]
    made["component"] = [{"code": _code(s), "valueQuantity": _quantity(80, unit)} for s in sides]
    return made


def _without(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key not in names}


@pytest.mark.parametrize(
    "resource",
    [
        organization(), task(), observation(), _pressure("8480-6", "8462-4"),
        observation(code=_code("1-8"), valueQuantity=_quantity(5, "{any}")),
        {**_without(observation(), "valueQuantity"), "dataAbsentReason": DAR},
        {**_without(observation(), "effectiveDateTime"),
         "effectivePeriod": {"start": "2026-03-10T12:00:00Z", "end": "2026-03-10"}},
        observation(effectiveDateTime="2026-03-10"),
        observation(effectiveDateTime="2026-03", category=[{"text": "x"}]),
        task(executionPeriod={"start": "2026-03-10T12:00:00.5Z", "end": "2026-03-10T12:00:00Z"}),
        task(executionPeriod={"start": "2026-03-10T23:00:00-10:00", "end": "2026-03-10"}),
        task(executionPeriod={"start": "2026-03-10T12:00:00+02:00", "end": "2026-03-10T10:00:00Z"}),
        task(executionPeriod={"start": "2026-03-10", "end": "2026"}),
        task(contained=[{"resourceType": "Patient", "id": "p"}], owner={"reference": "#p"}),
        {"resourceType": "Patient", "birthDate": "1950", "_gender": {"id": "x"}},
        {"resourceType": "Patient",
         "name": [{"given": ["A", None, "C"], "_given": [None, {"id": "b"}, None]}]},
    ],
)  # fmt: skip
def test_what_is_valid(resource: dict[str, Any]) -> None:
    assert issues(json.dumps(resource).encode()) == []


@pytest.mark.parametrize(
    ("resource", "code", "place"),
    [
        ({"resourceType": "Encounter"}, "not-supported", "resourceType"),
        (task(status="done"), "code-invalid", "Task.status"),
        (_without(task(), "status"), "required", "Task"),
        (task(colour="green"), "structure", "Task.colour"),
        (task(authoredOn="2026-13-01"), "value", "Task.authoredOn"),
        (task(owner={"reference": 5}), "value", "Task.owner.reference"),
        (task(owner={"reference": "#nobody"}), "not-found", "Task.owner.reference"),
        (organization(active="true"), "value", "Organization.active"),
        (organization(text={"status": "generated", "div": "<div><script>1</script></div>"}),
         "invariant", "Organization.text.div"),
        (organization(telecom=[{"system": "pigeon"}]), "code-invalid",
         "Organization.telecom[0].system"),
        (observation(valueQuantity=_quantity("72", "/min")), "value",
         "Observation.valueQuantity.value"),
        (observation(dataAbsentReason=DAR), "invariant", "Observation.dataAbsentReason"),
        (observation(valueString="x"), "structure", "Observation"),
        (observation(valueQuantity=_quantity(72, "{beats}/min")), "code-invalid",
         "Observation.valueQuantity.code"),
        (_without(observation(), "subject"), "required", "Observation.subject"),
        (_without(observation(), "effectiveDateTime"), "required", "Observation.effective"),
        (_without(observation(), "valueQuantity"), "invariant", "Observation"),
        (observation(effectiveDateTime="2026"), "invariant", "Observation.effectiveDateTime"),
        (observation(effectiveDateTime="2026-03"), "invariant", "Observation.effectiveDateTime"),
        ({**_without(observation(), "effectiveDateTime"),
          "effectivePeriod": {"start": "2026-03-10T12:00:00Z", "end": "2026-03-10T11:59:59Z"}},
         "invariant", "Observation.effectivePeriod.end"),
        (task(executionPeriod={"start": "2026-03-10T12:00:01+02:00",
                               "end": "2026-03-10T10:00:00Z"}),
         "invariant", "Task.executionPeriod.end"),
        (task(executionPeriod={"start": "2026-03-10", "end": "2026-03-09"}), "invariant",
         "Task.executionPeriod.end"),
        (task(executionPeriod={"start": "2026-03-10T12:00:00Z", "end": "2026-02"}), "invariant",
         "Task.executionPeriod.end"),
        ({"resourceType": "Patient", "name": [{"period": {"start": "2026", "end": "2025"}}]},
         "invariant", "Patient.name[0].period.end"),
        (_pressure("8480-6"), "required", "Observation.component"),
        (_pressure("8480-6", "8480-6"), "required", "Observation.component"),
        (_pressure("8480-6", "8462-4", unit="kPa"), "code-invalid",
         "Observation.component[0].valueQuantity.code"),
        (observation(component=[{"code": _code("8867-4"), "valueInteger": 1}]), "invariant",
         "Observation.component[0].code"),
    ],
)  # fmt: skip
def test_what_is_refused(resource: dict[str, Any], code: str, place: str) -> None:
    found = issues(json.dumps(resource).encode())
    assert code in {each.code for each in found}
    assert any(each.expression.startswith(place) for each in found), found


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"gender": None}, "Patient.gender"),
        ({"name": None}, "Patient.name"),
        ({"name": [None]}, "Patient.name[0]"),
        ({"name": [{"family": None}]}, "Patient.name[0].family"),
        ({"name": [{"given": ["A", None]}]}, "Patient.name[0].given[1]"),
        ({"name": [{"given": [None], "_given": [None]}]}, "Patient.name[0].given[0]"),
        ({"identifier": [{"system": None, "value": "1"}]}, "Patient.identifier[0].system"),
        ({"link": [{"other": None, "type": "refer"}]}, "Patient.link[0].other"),
        ({"_birthDate": None}, "Patient._birthDate"),
        ({"extension": [{"url": "u:x", "valueCode": None}]}, "Patient.extension[0].valueCode"),
        ({"contained": None}, "Patient.contained"),
    ],
)  # fmt: skip
def test_a_null_is_no_value(resource: dict[str, Any], place: str) -> None:
    """The models take it for what is left out, where something must be, too."""
    found = issues(json.dumps({"resourceType": "Patient", **resource}).encode())
    assert {(each.code, each.expression) for each in found} >= {("structure", place)}


def test_nobody_is_born_tomorrow() -> None:
    """Where it is tomorrow already, somebody may be born by now."""
    today = datetime.now(UTC).date()
    for days, is_taken in ((-1, True), (0, True), (3, False), (400, False)):
        born = (today + timedelta(days=days)).isoformat()
        found = issues(json.dumps({"resourceType": "Patient", "birthDate": born}).encode())
        told = [] if is_taken else [("value", "Patient.birthDate")]
        assert [(each.code, each.expression) for each in found] == told
        assert born not in str(found)
    for born in ("2999", "2999-01"):
        (issue,) = issues(json.dumps({"resourceType": "Patient", "birthDate": born}).encode())
        assert issue.expression == "Patient.birthDate"


def test_issues_quote_no_value() -> None:
    body = json.dumps(task(status="secret", authoredOn="secret", secret_name="secret"))
    assert "secret" not in "".join(each.diagnostics for each in issues(body.encode()))


@pytest.mark.parametrize("kind", STORED)
def test_each_kind_has_a_model(kind: str) -> None:
    assert all(each.code in ("required", "invariant", "structure") for each in issues(
        json.dumps({"resourceType": kind}).encode()
    ))  # fmt: skip
