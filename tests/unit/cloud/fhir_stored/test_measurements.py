"""Foreign measurements are judged as readings are: unit, what is possible, plausible, and when."""

import json
from decimal import Decimal
from typing import Any

import pytest

from support.stored_resources import observation
from wardlight_cloud.fhir.stored.measurements import (
    GLUCOSE_G_PER_MOL,
    issues_of_measurement,
    marked,
)
from wardlight_cloud.fhir.stored.moments import interval
from wardlight_cloud.fhir.stored.unit_texts import contradicts
from wardlight_cloud.fhir.stored.validating import issues
from wardlight_cloud.fhir.vocabulary import LOINC, MDC, MEASURED, code_of, is_amount, unit_text
from wardlight_edge.devices._units import convert
from wardlight_shared.codes import BY_WIRE

UCUM = "http://unitsofmeasure.org"
NOW_US = int(interval("2026-03-10T12:00:00Z")[0])
FLAG = {"url": "urn:wardlight:fhir:measurement-flag", "valueCode": "implausible"}


def measured(value: Any, unit: str, *codes: str, **more: Any) -> dict[str, Any]:
    """A value under LOINC codes, or MDC codes in their decimal form."""
    codings = [{"system": MDC if code.isdigit() else LOINC, "code": code} for code in codes]
    quantity = {"value": Decimal(value), "system": UCUM, "code": unit}
    return observation(
        **{
            "code": {"coding": codings},
            "category": [{"text": "x"}],
            "valueQuantity": quantity,
            **more,
        }
    )


def told(resource: dict[str, Any]) -> list[tuple[str, str]]:
    found = issues_of_measurement(resource, NOW_US)
    return [(each.code, each.expression.removeprefix("Observation.")) for each in found]


@pytest.mark.parametrize(
    ("value", "unit", "code"),
    [
        (72, "/min", "8867-4"), (72, "{beats}/min", "8867-4"), ("97.5", "%", "59408-5"),
        ("36.6", "Cel", "8310-5"), ("97.9", "[degF]", "8310-5"), (70, "kg", "29463-7"),
        (154, "[lb_av]", "29463-7"), (11, "[stone_av]", "29463-7"), (90, "mg/dL", "2345-7"),
        (5, "mmol/L", "105272-9"), ("-2.5", "mV", "131329"), (5, "{any}", "1-8"),
        (100, "%", "150456"), (0, "%", "59408-5"), (0, "/min", "8867-4"),
    ],
)  # fmt: skip
def test_what_is_taken(value: Any, unit: str, code: str) -> None:
    assert told(measured(value, unit, code)) == []


@pytest.mark.parametrize(
    ("value", "unit", "codes", "code", "place"),
    [
        (72, "kg", ["8867-4"], "code-invalid", "valueQuantity.code"),
        (72, "{any}", ["8867-4"], "code-invalid", "valueQuantity.code"),
        (5, "mmol/L", ["2345-7"], "code-invalid", "valueQuantity.code"),
        (90, "mg/dL", ["105272-9"], "code-invalid", "valueQuantity.code"),
        (5, "mmol/L", ["99504-3", "160212"], "code-invalid", "valueQuantity.code"),
        (5, "nonsense", ["29463-7"], "code-invalid", "valueQuantity.code"),
        (-1, "/min", ["8867-4"], "value", "valueQuantity.value"),
        ("100.1", "%", ["59408-5"], "value", "valueQuantity.value"),
        (-300, "Cel", ["8310-5"], "value", "valueQuantity.value"),
        (-5, "kg", ["29463-7"], "value", "valueQuantity.value"),
    ],
)  # fmt: skip
def test_what_is_refused(value: Any, unit: str, codes: list[str], code: str, place: str) -> None:
    resource = measured(value, unit, *codes)
    assert told(resource) == [(code, place)]
    assert told({**resource, "status": "entered-in-error"}) == [], "a wrong value can go"


@pytest.mark.parametrize(
    "value",
    [
        {"valueString": "72"}, {"valueInteger": 72}, {"valueBoolean": True},
        {"valueCodeableConcept": {"text": "high"}}, {"valueRange": {"low": {"value": 70}}},
        {"_valueString": {"id": "x"}},
    ],
)  # fmt: skip
def test_a_quantity_is_a_quantity(value: dict[str, Any]) -> None:
    resource = {k: v for k, v in observation().items() if k != "valueQuantity"} | value
    place = next(iter(value)).lstrip("_")
    assert told(resource) == [("value", place)]
    other = {**resource, "code": {"coding": [{"system": LOINC, "code": "72166-2"}]}}
    assert told(other) == []
    component = {**observation(component=[{"code": resource["code"], **value}])}
    assert told(component) == [("value", f"component[0].{place}")]


@pytest.mark.parametrize(
    ("when", "is_taken"),
    [
        ({"effectiveDateTime": "2026-03-10T12:05:00Z"}, True),
        ({"effectiveDateTime": "2026-03-10T12:05:01Z"}, False),
        ({"effectiveDateTime": "2026-03-10T14:04:00+02:00"}, True),
        ({"effectiveDateTime": "2026-03-11"}, True),  # it has begun in the east
        ({"effectiveDateTime": "2026-03-12"}, False), ({"effectiveDateTime": "2026"}, True),
        ({"effectiveDateTime": "2027"}, False),
        ({"effectiveInstant": "2026-03-10T12:06:00Z"}, False),
        ({"effectivePeriod": {"start": "2026-03-10", "end": "2026-03-12"}}, True),
        ({"effectivePeriod": {"start": "2026-03-12"}}, False),
        ({"effectivePeriod": {"end": "2026-03-12"}}, False),
        ({"effectiveTiming": {"event": ["2026-03-09", "2026-03-12"]}}, False),
        ({"issued": "2026-03-10T13:00:00Z"}, False),
    ],
)  # fmt: skip
def test_nothing_is_measured_in_the_future(when: dict[str, Any], is_taken: bool) -> None:
    resource = {k: v for k, v in observation().items() if k != "effectiveDateTime"} | when
    assert (told(resource) == []) is is_taken
    if not is_taken:
        assert told({**resource, "status": "cancelled"}) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("mmol/L", "mg/dL"), ("mg/dL", "mmol/L"), ("lb", "kg"), ("KG", "g"), ("kg", "[lb_av]"),
        ("°F", "Cel"), ("C", "[degF]"), ("in", "cm"), ("kPa", "mm[Hg]"), ("%", "/min"),
        ("bpm", "%"), ("g", "mg"), ("Pounds ", "kg"), ("K", "Cel"),
    ],
)  # fmt: skip
def test_texts_of_another_unit(text: str, code: str) -> None:
    assert contradicts(text, code)
    resource = measured(5, code, "1-8")
    resource["valueQuantity"]["unit"] = text
    assert told(resource) == [("value", "valueQuantity.unit")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("bpm", "/min"), ("beats/minute", "{beats}/min"), ("1/min", "/min"), ("mmHg", "mm[Hg]"),
        ("mm Hg", "mm[Hg]"), ("°C", "Cel"), ("F", "[degF]"), ("lbs", "[lb_av]"), ("l", "L"),
        ("kg/m²", "kg/m2"), ("schläge", "/min"), ("", "/min"), ("{score}", "1"), ("%", "%"),
    ],
)  # fmt: skip
def test_texts_of_the_same_unit(text: str, code: str) -> None:
    assert not contradicts(text, code)


@pytest.mark.parametrize(
    ("value", "unit", "code", "is_plausible"),
    [
        (20, "/min", "8867-4", True), (19, "/min", "8867-4", False), (300, "/min", "8867-4", True),
        (301, "/min", "8867-4", False), (5, "Hz", "8867-4", True), (6, "Hz", "8867-4", False),
        (49, "%", "150456", False), ("0.97", "1", "59408-5", True), (110, "[degF]", "8310-5", True),
        (120, "[degF]", "8310-5", False), (45, "Cel", "8310-5", True), (70, "g", "29463-7", False),
        (1001, "mg/dL", "2345-7", False), ("33.3", "mmol/L", "105272-9", True),
        ("33.4", "mmol/L", "105272-9", False), ("1.1", "mmol/L", "105272-9", False),
        (9999, "/min", "1-8", True), (9999, "bpm", "8867-4", True),
    ],
)  # fmt: skip
def test_what_is_not_plausible_is_flagged(
    value: Any, unit: str, code: str, is_plausible: bool
) -> None:
    resource = measured(value, unit, code)
    kept = marked(resource)
    assert (kept == resource) is is_plausible
    assert (FLAG in kept.get("extension", [])) is not is_plausible
    questionable = [each["coding"][0]["code"] for each in kept.get("interpretation", [])]
    assert questionable == ([] if is_plausible else ["questionable"])
    assert marked(kept) == kept


def test_the_flag_goes_with_what_it_was_about() -> None:
    other = {"url": "urn:other", "valueCode": "x"}
    good, bad = measured(72, "/min", "8867-4"), measured(500, "/min", "8867-4", extension=[other])
    kept = marked(bad)
    assert kept["extension"] == [other, FLAG]
    corrected = {**kept, "valueQuantity": good["valueQuantity"]}
    assert marked(corrected) == {**good, "extension": [other]}
    sides = [
        {"code": {"coding": [{"system": LOINC, "code": code}]},
         "valueQuantity": {"value": value, "system": UCUM, "code": "mm[Hg]"}}
        for code, value in (("8480-6", 310), ("8462-4", 80))
    ]  # fmt: skip
    assert FLAG in marked({"status": "final", "component": sides})["extension"]
    assert "extension" not in marked({"status": "entered-in-error", "component": sides})


def test_each_unit_of_the_table_fits_its_code() -> None:
    """What readings are told with would be taken from others, too."""
    for (wire, unit), metric in MEASURED.items():
        code = code_of(metric, moles=is_amount(unit))
        low = metric.plausible[0] if metric.plausible else Decimal(1)
        value = convert(low, metric.plausible_unit, unit) if unit == metric.plausible_unit else 1
        quantity = {"value": value, "system": UCUM, "code": unit, "unit": unit_text(unit)}
        resource = observation(code=code, valueQuantity=quantity)
        assert told(resource) == [], (BY_WIRE[wire].name, unit)
        if unit == metric.plausible_unit:
            assert marked(resource) == resource, (BY_WIRE[wire].name, unit)


def test_glucose_weighs_the_same_on_both_sides() -> None:
    assert convert(Decimal(10), "mmol/L", "mg/dL") == GLUCOSE_G_PER_MOL


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"performer": []}, "performer"), ({"note": [{"text": "x", "extension": []}]}, "note[0]"),
        ({"performer": [{}]}, "performer[0]"), ({"language": ""}, "language"),
        ({"performer": [{"display": ""}]}, "performer[0].display"), ({"method": {}}, "method"),
    ],
)  # fmt: skip
def test_nothing_is_empty(more: dict[str, Any], place: str) -> None:
    found = issues(json.dumps(observation(**more)).encode())
    assert found
    assert all(each.expression.startswith(f"Observation.{place}") for each in found), found


def pressure(upper: tuple[Any, str], lower: tuple[Any, str], **more: Any) -> dict[str, Any]:
    sides = [
        {"code": {"coding": [{"system": MDC if code.isdigit() else LOINC, "code": code}]},
         "valueQuantity": {"value": Decimal(value), "system": UCUM, "code": unit}}
        for code, (value, unit) in zip(more.pop("codes", ("8480-6", "8462-4")), (upper, lower),
                                       strict=True)
    ]  # fmt: skip
    made = observation(code={"coding": [{"system": LOINC, "code": "85354-9"}]}, component=sides)
    del made["valueQuantity"]
    return {**made, **more}


def test_sides_of_a_blood_pressure_are_not_swapped() -> None:
    refused = [("value", "component")]
    assert told(pressure((80, "mm[Hg]"), (120, "mm[Hg]"))) == refused
    assert told(pressure((80, "mm[Hg]"), (120, "mm[Hg]"), codes=("150021", "150022"))) == refused
    assert told(pressure(("10.5", "kPa"), (80, "mm[Hg]"))) == refused  # 78.8 mmHg
    assert told(pressure((80, "mm[Hg]"), (120, "mm[Hg]"), category=[{"text": "x"}])) == refused
    assert told(pressure((120, "mm[Hg]"), (80, "mm[Hg]"))) == []
    assert told(pressure((80, "mm[Hg]"), (80, "mm[Hg]"))) == []
    assert told(pressure((16, "kPa"), (80, "mm[Hg]"))) == []
    withdrawn = pressure((80, "mm[Hg]"), (120, "mm[Hg]"), status="entered-in-error")
    assert told(withdrawn) == []
    without = pressure((80, "mm[Hg]"), (120, "mm[Hg]"))
    del without["component"][1]["valueQuantity"]
    assert told(without) == []


@pytest.mark.parametrize(
    ("codes", "unit"),
    [
        (("8867-4", "9279-1"), "/min"), (("147842", "9279-1"), "/min"),
        (("8480-6", "8462-4"), "mm[Hg]"), (("8480-6", "85354-9"), "mm[Hg]"),
        (("59408-5", "61006-3"), "%"),
    ],
)  # fmt: skip
def test_one_code_names_one_measurement(codes: tuple[str, ...], unit: str) -> None:
    resource = measured(60, unit, *codes)
    assert ("value", "code") in told(resource)
    resource["status"] = "entered-in-error"
    assert told(resource) == []


@pytest.mark.parametrize(
    ("codes", "value", "unit"),
    [
        (("2708-6", "59408-5", "150456"), 97, "%"), (("8867-4", "8889-8", "149530"), 60, "/min"),
        (("8867-4", "149546"), 60, "/min"), (("8310-5", "8331-1"), 37, "Cel"),
        (("29463-7", "3141-9"), 70, "kg"), (("8867-4", "1-8"), 60, "/min"),
        (("41653-7", "2339-0"), 90, "mg/dL"),
    ],
)  # fmt: skip
def test_several_codes_of_one_measurement(codes: tuple[str, ...], value: int, unit: str) -> None:
    assert told(measured(value, unit, *codes)) == []


def test_what_is_made_here_names_one_measurement() -> None:
    """The codings that our own Observations have are taken from others, too."""
    for (_, unit), metric in MEASURED.items():
        coded = observation(code=code_of(metric, moles=is_amount(unit)), category=[{"text": "x"}])
        assert ("value", "code") not in told(coded), metric.name
