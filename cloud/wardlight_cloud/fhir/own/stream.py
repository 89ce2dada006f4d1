"""Observations of streams: blocks of waveforms as SampledData, averages of readings.

They are found only by a category of their own, so that no search for vital signs mixes a number
that was measured with one that was made of it, or draws a waveform unawares.

Source  R4 4.0.1 Observation, SampledData; PHD IG PhdRtsaObservation (period in ms, factor, origin;
        category phd); HL7 observation-statistics
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from struct import unpack
from typing import Any, Final

import orjson

from wardlight_cloud.fhir.observation import decimal_text, gateway_reference
from wardlight_cloud.fhir.observation_texts import GATEWAY_EXTENSION, instant
from wardlight_cloud.fhir.vocabulary import (
    CATEGORY,
    LOINC,
    PHD_CATEGORY,
    UCUM,
    code_of,
    is_amount,
    unit_text,
)
from wardlight_cloud.store.streams import Average, WaveformBlock, Width
from wardlight_shared.codes import BY_WIRE, METRICS

KIND_SYSTEM: Final = "urn:wardlight:observation-kind"
WAVEFORM: Final = "waveform"
AVERAGE: Final[dict[str, Width]] = {"average-minute": "1m", "average-hour": "1h"}
WAVEFORM_ID: Final = "waveform-"
AVERAGE_ID: Final[dict[Width, str]] = {"1m": "minute-", "1h": "hour-"}
RTSA: Final = "http://hl7.org/fhir/uv/phd/StructureDefinition/PhdRtsaObservation"
_STATISTICS: Final = "http://terminology.hl7.org/CodeSystem/observation-statistics"
_DAR: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_METHOD: Final[dict[Width, str]] = {
    "1m": "Mean of the readings of a minute",
    "1h": "Mean of the readings of an hour",
}
_KIND_OF: Final[dict[Width, str]] = {width: kind for kind, width in AVERAGE.items()}
_SYSTOLIC: Final = METRICS["systolic_bp"].wire
# Source  US Core average blood pressure (9.0): panel, systolic, diastolic
_AVERAGE_PRESSURE: Final = tuple(
    {"coding": [{"system": LOINC, "code": code}], "text": text}
    for code, text in (
        (METRICS["average_bp"].loinc, "Average blood pressure"),
        ("96608-5", "Average systolic blood pressure"),
        ("96609-3", "Average diastolic blood pressure"),
    )
)
_LOW, _HIGH = -32768, 32767  # of a sample
_PERIOD_DIGITS: Final = 12
_MEAN_DIGITS: Final = 6


def _unit(unit: str) -> dict[str, str]:
    return {"unit": unit_text(unit), "system": UCUM, "code": unit}


def _number(text: str) -> orjson.Fragment:
    """Digits as they are."""
    return orjson.Fragment(text)


def _kind(code: str) -> dict[str, Any]:
    return {"coding": [{"system": KIND_SYSTEM, "code": code}]}


def waveform(block: WaveformBlock) -> dict[str, Any]:
    """One block. All samples are as the device sent them: value = origin + factor * sample."""
    metric = BY_WIRE[block.metric]
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": WAVEFORM_ID + block.key,
        "meta": {
            "versionId": str(block.commit_seq),
            "lastUpdated": instant(block.stored_at),
            "profile": [RTSA],
        },
        "extension": [
            {
                "url": GATEWAY_EXTENSION,
                "valueReference": {"reference": gateway_reference(block.gateway)},
            }
        ],
        "status": "final",
        "category": [
            {"coding": [{"system": CATEGORY, "code": metric.category}]},
            {"coding": [{"system": PHD_CATEGORY, "code": "phd"}]},
            _kind(WAVEFORM),
        ],
        "code": code_of(metric),
        "subject": {"reference": f"Patient/{block.patient_id}"},
        "effectivePeriod": {"start": instant(block.time), "end": instant(block.end)},
        "issued": instant(block.stored_at),
        "device": {"reference": f"Device/{block.device_id}"},
    }
    if len(block.samples) < 2:
        return resource | {
            "dataAbsentReason": {
                "coding": [{"system": _DAR, "code": "not-performed"}],
                "text": "a block without samples",
            }
        }
    return resource | {"valueSampledData": _sampled(block)}


def _sampled(block: WaveformBlock) -> dict[str, Any]:
    count = len(block.samples) // 2
    samples = unpack(f"<{count}h", block.samples[: 2 * count])

    def value(sample: int) -> orjson.Fragment:
        return _number(decimal_text(block.origin + sample, block.scale))

    return {
        "origin": {"value": value(0), **_unit(block.unit)},
        "period": _number(_period(block.rate_mhz)),
        "factor": _number(decimal_text(1, block.scale)),
        "lowerLimit": value(_LOW),
        "upperLimit": value(_HIGH),
        "dimensions": 1,
        "data": " ".join(map(str, samples)),
    }


def _period(rate_mhz: int) -> str:
    """Milliseconds between samples; a rate such as 130 Hz has no end of digits."""
    with localcontext() as context:
        context.prec = _PERIOD_DIGITS
        return f"{(Decimal(1_000_000) / Decimal(rate_mhz)).normalize():f}"


def average(row: Average, width: Width) -> dict[str, Any]:
    """One average, with least, greatest and number of what it was made of.

    ``preliminary`` until its time is over. An hour is made of minutes.
    """
    prefix = "" if width == "1m" else AVERAGE_ID["1m"]
    return {
        "resourceType": "Observation",
        "id": AVERAGE_ID[width] + row.key,
        "status": "preliminary" if row.end > datetime.now(UTC) else "final",
        "category": [_kind(_KIND_OF[width])],
        "subject": {"reference": f"Patient/{row.patient_id}"},
        "effectivePeriod": {
            "start": instant(row.time),
            # What follows begins at the end of this one; a Period holds its end.
            "end": instant(row.end - timedelta(milliseconds=1)),
        },
        "method": {
            "coding": [{"system": _STATISTICS, "code": "average", "display": "Average"}],
            "text": _METHOD[width],
        },
        "device": {"reference": f"Device/{row.device_id}"},
        "derivedFrom": [{"reference": f"Observation/{prefix}{each}"} for each in row.parts],
        **(_pressure(row) if row.metric == _SYSTOLIC else _single(row)),
    }


def _single(row: Average) -> dict[str, Any]:
    """Code and mean, with least, greatest and number."""
    count = {"value": row.readings, "unit": "readings", "system": UCUM, "code": "1"}
    return {
        "code": code_of(BY_WIRE[row.metric], moles=is_amount(row.unit)),
        "valueQuantity": {"value": _rounded(row.mean), **_unit(row.unit)},
        "component": [
            _part(_statistic("minimum", "Minimum"), _exact(row.minimum), row.unit),
            _part(_statistic("maximum", "Maximum"), _exact(row.maximum), row.unit),
            {"code": _statistic("count", "Count"), "valueQuantity": count},
        ],
    }


def _pressure(row: Average) -> dict[str, Any]:
    """The average blood pressure panel (US Core: both sides as components, and no value)."""
    other = None if row.diastolic is None else _rounded(row.diastolic)
    panel, systolic, diastolic = _AVERAGE_PRESSURE
    return {
        "code": panel,
        "component": [
            _part(systolic, _rounded(row.mean), row.unit),
            _part(diastolic, other, row.unit),
        ],
    }


def _part(code: dict[str, Any], value: orjson.Fragment | None, unit: str) -> dict[str, Any]:
    if value is None:
        absent = {"coding": [{"system": _DAR, "code": "unknown"}], "text": "not stored"}
        return {"code": code, "dataAbsentReason": absent}
    return {"code": code, "valueQuantity": {"value": value, **_unit(unit)}}


def _statistic(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": _STATISTICS, "code": code, "display": display}]}


def _exact(number: float) -> orjson.Fragment:
    """The fewest digits that are this number: those of the reading, without zeros at the end."""
    return _number(f"{Decimal(repr(number)).normalize():f}")


def _rounded(number: float) -> orjson.Fragment:
    """A mean has no digits of its own: six that count."""
    with localcontext() as context:
        context.prec = _MEAN_DIGITS
        return _number(f"{(+Decimal(repr(number))).normalize():f}")
