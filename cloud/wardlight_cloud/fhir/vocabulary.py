"""Codes, categories and profiles of each metric as ready JSON fragments, made once from the table.

Source  wardlight_shared.codes (LOINC, MDC, UCUM); R4 4.0.1 vital signs profiles; US Core;
        HL7 Personal Health Device IG (MDC system, category)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import orjson

from wardlight_shared.codes import BY_WIRE, METRICS, Metric

LOINC: Final = "http://loinc.org"
MDC: Final = "urn:iso:std:iso:11073:10101"
UCUM: Final = "http://unitsofmeasure.org"
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
PHD_CATEGORY: Final = "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories"

# Further LOINC codes that say the same Observation more closely; the rest of ``loinc_also`` names
# other units or other questions and is not a coding of this Observation.
_ALSO_CODED: Final = frozenset(
    {
        "spo2",
        "pulse_rate_oximeter",
        "body_weight",
        "body_temperature_oral",
        "body_temperature_rectal",
        "body_temperature_tympanic",
        "body_temperature_axillary",
    }
)
_SITE_MEASURED: Final = "8327-9"  # the question "where was it measured", not a temperature
_UNIT_TEXT: Final = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "/min": "/min"}
PANELS: Final = frozenset(m.component_of for m in METRICS.values() if m.component_of is not None)
"""Metrics that are panels: no value of their own, components instead."""

COMPONENTS_BY_PANEL: Final[Mapping[str, tuple[Metric, ...]]] = MappingProxyType(
    {
        panel: tuple(m for m in METRICS.values() if m.component_of == panel)
        for panel in sorted(PANELS)
    }
)


@dataclass(frozen=True, slots=True)
class Fragments:
    """Constant parts of an Observation of one metric, as JSON text."""

    meta_profile: bytes  # ,"profile":[...] or nothing
    profile_moles: bytes  # the same where the unit is an amount of substance
    category: bytes  # [...]
    code: bytes  # {...}
    code_moles: bytes  # {...} where the unit is an amount of substance


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    coding = {"system": system, "code": code}
    if display and not display.startswith("("):
        coding["display"] = display
    return coding


def _also(metric: Metric) -> list[dict[str, str]]:
    if metric.name not in _ALSO_CODED:
        return []
    # Short words such as "oral" are the table's own remarks, not LOINC displays.
    return [
        _coding(LOINC, code, display if display[:1].isupper() else "")
        for code, display in metric.loinc_also
        if code != _SITE_MEASURED
    ]


def _in_moles(metric: Metric) -> list[dict[str, str]]:
    """The code of the same quantity in moles; none where the table has only mass."""
    found = (code for code, display in metric.loinc_also if "moles" in display.lower())
    return [_coding(LOINC, code, "") for code in found]


def code_of(metric: Metric, *, moles: bool = False) -> dict[str, Any]:
    """CodeableConcept of a metric: LOINC first, further LOINC, then MDC."""
    codings: list[dict[str, str]] = []
    text = metric.loinc_display or metric.mdc_refid or metric.name
    if moles and "Mass/volume" in text:
        codings += _in_moles(metric)
        text = text.replace("Mass/volume", "Moles/volume")
    elif metric.loinc:
        codings.append(_coding(LOINC, metric.loinc, metric.loinc_display))
        codings += _also(metric)
    if metric.mdc is not None:
        codings.append(_coding(MDC, str(metric.mdc), metric.mdc_refid))
    return {"coding": codings, "text": text}


def _categories(metric: Metric) -> list[dict[str, Any]]:
    concepts = [{"coding": [{"system": CATEGORY, "code": metric.category}]}]
    if metric.mdc is not None:
        concepts.append({"coding": [{"system": PHD_CATEGORY, "code": "phd"}]})
    return concepts


def _fragments(metric: Metric) -> Fragments:
    profiles = [p for p in (metric.r4_profile, metric.us_core_profile) if p]
    profile = b',"profile":' + orjson.dumps(profiles) if profiles else b""
    return Fragments(
        meta_profile=profile,
        profile_moles=profile.replace(b"mass-per-volume", b"moles-per-volume"),
        category=orjson.dumps(_categories(metric)),
        code=orjson.dumps(code_of(metric)),
        code_moles=orjson.dumps(code_of(metric, moles=True)),
    )


FRAGMENTS: Final[Mapping[int, Fragments]] = MappingProxyType(
    {wire: _fragments(metric) for wire, metric in BY_WIRE.items()}
)
"""Wire number to fragments."""


def unit_text(ucum: str) -> str:
    """How a person writes a UCUM unit."""
    return _UNIT_TEXT.get(ucum, ucum)


def _codes(metric: Metric) -> list[tuple[str, str]]:
    both = (code_of(metric), code_of(metric, moles=True))
    return [(c["system"], c["code"]) for concept in both for c in concept["coding"]]


@lru_cache(maxsize=1024)
def metrics_of_code(system: str | None, code: str) -> frozenset[int]:
    """Wire numbers whose Observation carries the code; ``system`` None = any."""
    return frozenset(
        metric.wire
        for metric in METRICS.values()
        if any(code == c and system in (None, s) for s, c in _codes(metric))
    )


@lru_cache(maxsize=1024)
def metrics_of_category(system: str | None, code: str) -> frozenset[int]:
    """Wire numbers of a category; panels' components count with their panel."""
    if code == "phd" and system in (None, PHD_CATEGORY):
        return frozenset(m.wire for m in METRICS.values() if m.mdc is not None)
    if system not in (None, CATEGORY):
        return frozenset()
    return frozenset(m.wire for m in METRICS.values() if m.category == code)
