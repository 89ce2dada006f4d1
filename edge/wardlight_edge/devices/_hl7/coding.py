"""OBX-3 and OBX-6: which metric, which unit. The code decides, its name must not contradict it.

Monitors are known to send a right name with a wrong number and a number with a name of their own.
So: a code of the table with the MDC name of another metric means nothing; an unknown code is taken
by its MDC name; LOINC by its code alone.

Errors  Hl7Error: a unit that is missing or unknown, where the metric is known
Source  IHE Devices Technical Framework, volume 2, appendix A.1 (MDC codes in CWE); HL7 v2.6, 2.A.13
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_edge.devices._mdc import (
    BY_CODE,
    BY_LOINC,
    BY_REFID,
    UNIT_BY_CODE,
    UNIT_BY_REFID,
)
from wardlight_shared.codes import METRICS

_LOINC: Final = frozenset({"LN", "LOINC"})
_CODING: Final = 3  # components of a coding: identifier, text, name of the coding system
_DISPLAYED: Final[Mapping[str, str]] = {
    "mmHg": "mm[Hg]",
    "bpm": "/min",
    "BPM": "/min",
    "rpm": "/min",
    "{beats}/min": "/min",
    "{breaths}/min": "/min",
    "beats/min": "/min",
    "breaths/min": "/min",
    "degF": "[degF]",
    "°F": "[degF]",
    "℉": "[degF]",
    "F": "[degF]",
    "degC": "Cel",
    "°C": "Cel",
    "℃": "Cel",
    "C": "Cel",
    "lb": "[lb_av]",
    "[lb_us]": "[lb_av]",
    "in": "[in_i]",
}
"""Units as monitors that know no coding write them; of what has a metric here each can mean one
thing only: no charge (C) and no capacitance (F) is measured."""

_UCUM: Final = frozenset(
    unit for row in METRICS.values() for unit in (row.unit, *row.units_also)
) | frozenset(UNIT_BY_CODE.values())


def metric_of(parts: Sequence[str]) -> str | None:
    """The metric of OBX-3, from its first or its alternate coding; None = none of this gateway."""
    for at in (0, _CODING):
        coding = (*parts[at : at + _CODING], "", "", "")[:_CODING]
        found = _metric(*coding)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=1024)
def _metric(identifier: str, text: str, system: str) -> str | None:
    if system in _LOINC:
        return BY_LOINC.get(identifier)
    if system not in ("MDC", ""):
        return None
    by_code = BY_CODE.get(int(identifier)) if _is_number(identifier) else None
    by_name = BY_REFID.get(text) or BY_REFID.get(identifier)
    if by_code is None:
        return by_name
    contradicts = by_name != by_code if by_name else text.startswith("MDC_")
    return None if contradicts and not _is_same_code(by_code, text) else by_code


def _is_same_code(metric: str, text: str) -> bool:
    # Several metrics share one MDC code (glucose, fasting or not).
    other = BY_REFID.get(text)
    return other is not None and METRICS[other].mdc == METRICS[metric].mdc


def unit_of(parts: Sequence[str], where: str) -> str:
    """The UCUM unit of OBX-6."""
    for at in (0, _CODING):
        coding = (*parts[at : at + _CODING], "", "", "")[:_CODING]
        found = _unit(*coding)
        if found is not None:
            return found
    if not any(parts):
        raise Hl7Error(101, where, "a number without a unit")
    raise Hl7Error(103, where, "a unit this gateway does not know")


@lru_cache(maxsize=1024)
def _unit(identifier: str, text: str, system: str) -> str | None:
    if system not in ("MDC", "UCUM", ""):
        return None
    by_code = UNIT_BY_CODE.get(int(identifier)) if _is_number(identifier) else None
    by_name = UNIT_BY_REFID.get(text) or UNIT_BY_REFID.get(identifier)
    if by_code is not None:
        return None if by_name not in (None, by_code) else by_code
    if by_name is not None:
        return by_name
    if _is_number(identifier) and identifier != "1":  # a code nobody knows; 1 is UCUM's unity
        identifier = text
    return identifier if identifier in _UCUM else _DISPLAYED.get(identifier)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
