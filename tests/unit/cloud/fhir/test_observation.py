"""Observation templates: valid R4, exact numbers, honest absence and time.

The judge is fhir.resources' R4B model and the R4 profile rules written out here.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.observation import Observation
from msgspec.structs import replace

from wardlight_cloud.fhir.observation import decimal_text, observation
from wardlight_cloud.fhir.observation_texts import TIME_EXTENSION
from wardlight_cloud.store.observation_rows import (
    Circumstances,
    Kind,
    ObservationRow,
    Origin,
    Value,
)
from wardlight_shared.codes import METRICS
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import ClockQuality

ROW = ObservationRow(
    observation_id="mzxw6ytboi",
    circumstances=Circumstances(
        origin=Origin(
            metric=METRICS["spo2"].wire,
            patient_id=UUID("0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11"),
            device_id=UUID("3a5f0a0e-0000-4000-8000-000000000001"),
            user=None,
            site=None,
        ),
        kinds=(Kind(METRICS["spo2"].wire, 0, 0, "%", 0),),
        gateway="gw-test",
        offset_min=60,
        clock=ClockQuality.NTP | TimeMethod.DEVICE_CLOCK << 4,
        error_ms=2010,
    ),
    mantissas=(97,),
    time_us=int(datetime(2026, 1, 31, 23, 30, 0, tzinfo=UTC).timestamp()) * 1_000_000,
    device_time="2026-02-01T00:29:58",
    raw=None,
    context=(),
    commit_seq=7,
    stored_at=datetime(2026, 1, 31, 23, 30, 5, 120000, tzinfo=UTC),
)


def row(metric: str, *values: Value, **changes: Any) -> ObservationRow:
    kinds = [Kind(v.metric, v.scale, v.absent, v.unit, v.flags) for v in values]
    about = replace(
        ROW.circumstances,
        origin=replace(ROW.origin, metric=METRICS[metric].wire),
        kinds=tuple(kinds),
    )
    mantissas = tuple(v.mantissa for v in values)
    return replace(ROW, circumstances=about, mantissas=mantissas, **changes)


def value(metric: str, mantissa: int, scale: int = 0, *, absent: int = 0, flags: int = 0) -> Value:
    name = METRICS[metric]
    return Value(name.wire, mantissa, scale, absent, name.unit, flags)


def parsed(source: ObservationRow) -> dict[str, Any]:
    body = observation(source)
    Observation.model_validate_json(body)
    resource: dict[str, Any] = json.loads(body, parse_float=Decimal)
    return resource


def codings(resource: dict[str, Any]) -> set[tuple[str, str]]:
    return {(c["system"], c["code"]) for c in resource["code"]["coding"]}


def test_spo2_carries_both_loinc_codes_and_mdc() -> None:
    resource = parsed(ROW)
    assert codings(resource) == {
        ("http://loinc.org", "2708-6"),
        ("http://loinc.org", "59408-5"),
        ("urn:iso:std:iso:11073:10101", "150456"),
    }
    assert resource["valueQuantity"] == {
        "value": 97, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%",
    }  # fmt: skip
    assert "http://hl7.org/fhir/StructureDefinition/oxygensat" in resource["meta"]["profile"]
    categories = [c["coding"][0]["code"] for c in resource["category"]]
    assert categories.count("vital-signs") == 1


def test_blood_pressure_is_components_without_a_value() -> None:
    resource = parsed(
        row("blood_pressure", value("systolic_bp", 1205, -1), value("diastolic_bp", 80))
    )
    assert ("http://loinc.org", "85354-9") in codings(resource)
    assert "valueQuantity" not in resource
    found = {
        component["code"]["coding"][0]["code"]: component["valueQuantity"]
        for component in resource["component"]
    }
    assert str(found["8480-6"]["value"]) == "120.5"
    assert found["8462-4"]["code"] == "mm[Hg]"


def test_missing_side_of_a_pressure_is_a_reason() -> None:
    nan = CODE_BY_ABSENT[Absent.NAN]
    resource = parsed(
        row("blood_pressure", value("systolic_bp", 0, absent=nan), value("diastolic_bp", 80))
    )
    systolic = resource["component"][0]
    assert "valueQuantity" not in systolic
    assert systolic["dataAbsentReason"]["coding"][0]["code"] == "not-a-number"


@pytest.mark.parametrize("absent", list(Absent))
def test_every_reason_becomes_a_data_absent_reason(absent: Absent) -> None:
    resource = parsed(row("spo2", value("spo2", 0, absent=CODE_BY_ABSENT[absent])))
    assert "valueQuantity" not in resource
    assert resource["dataAbsentReason"]["text"] == absent
    assert (resource["status"] == "entered-in-error") == (absent is Absent.INVALID)


@pytest.mark.parametrize(
    ("mantissa", "scale", "text"),
    [(3650, -2, "36.50"), (365, -1, "36.5"), (-5, -2, "-0.05"), (12, 1, "120"), (0, -1, "0.0")],
)
def test_decimal_keeps_the_precision(mantissa: int, scale: int, text: str) -> None:
    assert decimal_text(mantissa, scale) == text
    assert Decimal(text) == Decimal(mantissa).scaleb(scale)


def test_time_has_the_local_offset_and_its_provenance() -> None:
    resource = parsed(ROW)
    assert resource["effectiveDateTime"] == "2026-02-01T00:30:00+01:00"
    (extension,) = resource["_effectiveDateTime"]["extension"]
    assert extension["url"] == TIME_EXTENSION
    parts = {
        part["url"]: next(v for k, v in part.items() if k != "url")
        for part in extension["extension"]
    }
    assert parts == {
        "method": "device-clock",
        "clock": "ntp",
        "errorMilliseconds": 2010,
        "deviceTimeAsSent": "2026-02-01T00:29:58",
    }


def test_what_a_later_version_stored_is_unknown() -> None:
    """A clock quality and a method that no table of this version has break no page."""
    about = replace(ROW.circumstances, clock=15 | 7 << 4)
    (extension,) = parsed(replace(ROW, circumstances=about))["_effectiveDateTime"]["extension"]
    told = {part["url"]: part.get("valueCode") for part in extension["extension"]}
    assert (told["method"], told["clock"]) == ("unknown", "unknown")


@pytest.mark.parametrize("offset_min", [841, -841, 960, -960])
def test_a_stored_offset_that_r4_cannot_say_is_utc(offset_min: int) -> None:
    """R4 2.24.0.1: the zone of a dateTime goes to 14:00."""
    about = replace(ROW.circumstances, offset_min=offset_min)
    shown = parsed(replace(ROW, circumstances=about))["effectiveDateTime"]
    assert shown == "2026-01-31T23:30:00+00:00"


def test_unknown_time_bound_is_left_out() -> None:
    about = replace(ROW.circumstances, error_ms=-1)
    resource = parsed(replace(ROW, circumstances=about, device_time=None))
    (extension,) = resource["_effectiveDateTime"]["extension"]
    assert {part["url"] for part in extension["extension"]} == {"method", "clock", "uncertain"}


@pytest.mark.parametrize("flag", [Flag.CUFF_LOOSE, Flag.BODY_MOVEMENT, Flag.SIGNAL_POOR])
def test_badly_measured_value_says_so(flag: Flag) -> None:
    resource = parsed(row("spo2", value("spo2", 97, flags=flag)))
    assert resource["interpretation"][0]["coding"][0]["code"] == "questionable"
    codes = [e["valueCode"] for e in resource["extension"] if "valueCode" in e]
    assert codes == [str(flag.name).lower().replace("_", "-")]


def test_early_reading_is_preliminary() -> None:
    resource = parsed(row("spo2", value("spo2", 97, flags=Flag.EARLY)))
    assert resource["status"] == "preliminary"
    assert resource["interpretation"][0]["coding"][0]["code"] == "early-indication"


def test_glucose_in_moles_has_the_moles_code() -> None:
    moles = Value(METRICS["glucose_cgm"].wire, 57, -1, 0, "mmol/L", 0)
    resource = parsed(row("glucose_cgm", moles))
    assert ("http://loinc.org", "105272-9") in codings(resource)
    assert ("http://loinc.org", "99504-3") not in codings(resource)


def test_raw_value_and_context_are_kept() -> None:
    resource = parsed(replace(ROW, raw=("16.1", "kPa"), context=(("meal", "fasting"),)))
    texts = [e["valueString"] for e in resource["extension"] if "valueString" in e]
    assert texts == ["16.1 kPa", "meal=fasting"]


@pytest.mark.parametrize(
    "metric", [m for m in METRICS.values() if m.structure.startswith("valueQuantity")]
)
def test_every_metric_makes_a_valid_resource(metric: Any) -> None:
    resource = parsed(row(metric.name, value(metric.name, 1)))
    assert resource["code"]["coding"]
