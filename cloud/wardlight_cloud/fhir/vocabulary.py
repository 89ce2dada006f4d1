"""Codes, categories and profiles of each metric as ready JSON fragments, made once from the table.

Source  wardlight_shared.codes (LOINC, MDC, UCUM); R4 4.0.1 vital signs profiles; US Core;
        HL7 Personal Health Device IG (MDC system, category)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import orjson

from wardlight_cloud.store.observed import OBSERVED
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
_MASS_PROFILE: Final = "mass-per-volume"  # CGM IG: one profile for mass, one for moles
_MOLES_PROFILE: Final = "moles-per-volume"
_UNIT_TEXT: Final = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "/min": "/min"}


_PANELS: Final = frozenset(metric.component_of for metric in METRICS.values())


@dataclass(frozen=True, slots=True)
class Fragments:
    """Constant parts of an Observation of one metric, as JSON text."""

    profile: bytes  # ,"profile":[...] or nothing
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
    text = _text(metric)
    if moles and "Mass/volume" in text:
        codings += _in_moles(metric)
        text = text.replace("Mass/volume", "Moles/volume")
    elif metric.loinc:
        codings.append(_coding(LOINC, metric.loinc, metric.loinc_display))
        codings += _also(metric)
    if metric.mdc is not None:
        codings.append(_coding(MDC, str(metric.mdc), metric.mdc_refid))
    return {"coding": codings, "text": text}


def _text(metric: Metric) -> str:
    """What a person reads; a display in brackets is the table's own remark, not LOINC's."""
    if metric.loinc_display.startswith("("):
        return metric.loinc_display.strip("()").capitalize()
    return metric.loinc_display or metric.mdc_refid or metric.name


def profiles_of(metric: Metric, *, moles: bool = False) -> list[str]:
    """Profiles that an Observation of a metric claims, R4's (or its guide's) before US Core's."""
    claimed = [p for p in (metric.r4_profile, metric.us_core_profile) if p]
    return [p.replace(_MASS_PROFILE, _MOLES_PROFILE) if moles else p for p in claimed]


def _categories(metric: Metric) -> list[dict[str, Any]]:
    concepts = [{"coding": [{"system": CATEGORY, "code": metric.category}]}]
    if metric.mdc is not None:
        concepts.append({"coding": [{"system": PHD_CATEGORY, "code": "phd"}]})
    return concepts


def _profile_fragment(profiles: list[str]) -> bytes:
    return b',"profile":' + orjson.dumps(profiles) if profiles else b""


def _fragments(metric: Metric) -> Fragments:
    return Fragments(
        profile=_profile_fragment(profiles_of(metric)),
        profile_moles=_profile_fragment(profiles_of(metric, moles=True)),
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


Measured = tuple[int, str]
"""Wire number of a metric, and its unit: together they decide on the codes."""

MEASURED: Final[Mapping[Measured, Metric]] = MappingProxyType(
    {(m.wire, unit): m for m in METRICS.values() for unit in (m.unit, *m.units_also)}
)
"""All that can be measured."""


def is_amount(unit: str) -> bool:
    """Whether a unit is one of moles."""
    return "mol" in unit


CLAIMED_PROFILES: Final = tuple(
    sorted(
        {
            profile
            for (wire, unit), metric in MEASURED.items()
            if wire in OBSERVED or metric.name in _PANELS
            for profile in profiles_of(metric, moles=is_amount(unit))
        }
    )
)
"""All profiles that Observations of this server claim."""


Token = tuple[str | None, str]
"""System (None = any) and code ("" = any) of a search."""


def asked_as(system: str, code: str) -> tuple[Token, ...]:
    """The ways to ask for a code: ``system|code``, ``code``, ``system|``, any at all."""
    return (system, code), (None, code), (system, ""), (None, "")


def _by_token(
    codings: Callable[[Measured, Metric], Iterable[tuple[str, str]]],
) -> Mapping[Token, frozenset[Measured]]:
    """A table, since a request may ask for thousands of codes."""
    found: dict[Token, set[Measured]] = {}
    for measured, metric in MEASURED.items():
        for coding in codings(measured, metric):
            for way in asked_as(*coding):
                found.setdefault(way, set()).add(measured)
    return MappingProxyType({way: frozenset(each) for way, each in found.items()})


def _codes(measured: Measured, metric: Metric) -> Iterable[tuple[str, str]]:
    codings = code_of(metric, moles=is_amount(measured[1]))["coding"]
    return [(coding["system"], coding["code"]) for coding in codings]


def _category_codes(_: Measured, metric: Metric) -> Iterable[tuple[str, str]]:
    codings = [coding for concept in _categories(metric) for coding in concept["coding"]]
    return [(coding["system"], coding["code"]) for coding in codings]


_BY_CODE: Final = _by_token(_codes)
_BY_CATEGORY: Final = _by_token(_category_codes)
_NONE: Final[frozenset[Measured]] = frozenset()


def measured_by_code(system: str | None, code: str) -> frozenset[Measured]:
    """What carries the code as an Observation or component.

    ``system`` None = any system, ``code`` "" = any code of that system (R4 search, 3.1.1.4.10).
    """
    return _BY_CODE.get((system, code), _NONE)


def measured_by_category(system: str | None, code: str) -> frozenset[Measured]:
    """What is of a category, "" = of any; panels' components count with their panel."""
    return _BY_CATEGORY.get((system, code), _NONE)
