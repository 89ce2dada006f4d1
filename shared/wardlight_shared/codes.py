"""The code table: one row per metric, loaded from vitals_codes.csv beside this file.

The CSV is the only place where LOINC, MDC and UCUM codes stand; each row names the source of each
code. ``wire`` is the metric's number in envelopes: append only, never reused.
"""

import csv
from collections.abc import Mapping
from decimal import Decimal
from pkgutil import get_data
from types import MappingProxyType
from typing import Final

import msgspec

_COMPONENT_PREFIX: Final = "component of "


class Metric(msgspec.Struct, frozen=True):
    """One row of the table. ``unit`` is the FHIR profile's; ranges are engineering guards."""

    name: str
    wire: int
    loinc: str
    loinc_display: str
    loinc_also: tuple[tuple[str, str], ...]  # (code, display)
    unit: str
    units_also: tuple[str, ...]
    mdc: int | None
    mdc_refid: str
    mdc_unit: int | None
    category: str
    structure: str
    component_of: str | None
    r4_profile: str
    us_core_profile: str
    plausible: tuple[Decimal, Decimal] | None
    plausible_unit: str
    sources: tuple[str, str, str, str]  # loinc, unit, mdc, ble
    notes: str


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Split ``59408-5 (display) 2339-0 (display)`` into ((code, display), ...)."""
    found: list[tuple[str, str]] = []
    for part in text.split(")"):
        code, _, display = part.strip().partition("(")
        if code.strip():
            found.append((code.strip(), display.strip()))
    return tuple(found)


def _component_of(structure: str, names_by_loinc: Mapping[str, str]) -> str | None:
    if not structure.startswith(_COMPONENT_PREFIX):
        return None
    return names_by_loinc.get(structure.removeprefix(_COMPONENT_PREFIX))


def _metric(row: Mapping[str, str], names_by_loinc: Mapping[str, str]) -> Metric:
    low, high = row["plausible_low"], row["plausible_high"]
    return Metric(
        name=row["metric"],
        wire=int(row["wire"]),
        loinc=row["loinc"],
        loinc_display=row["loinc_display"],
        loinc_also=_pairs(row["loinc_also"]),
        unit=row["ucum"],
        units_also=tuple(row["ucum_also"].split()),
        mdc=int(row["mdc"]) if row["mdc"].isdigit() else None,
        mdc_refid=row["mdc_refid"],
        mdc_unit=int(row["mdc_unit"]) if row["mdc_unit"].isdigit() else None,
        category=row["fhir_category"],
        structure=row["structure"],
        component_of=_component_of(row["structure"], names_by_loinc),
        r4_profile=row["r4_profile"],
        us_core_profile=row["uscore_profile"],
        plausible=(Decimal(low), Decimal(high)) if low and high else None,
        plausible_unit=row["plausible_unit"],
        sources=(row["src_loinc"], row["src_unit"], row["src_mdc"], row["src_ble"]),
        notes=row["notes"],
    )


def load() -> dict[str, Metric]:
    """Read the table; keys are metric names in file order."""
    # Not importlib.resources: it brings zipfile, which a small gateway has no other use for.
    text = (get_data(__package__, "vitals_codes.csv") or b"").decode("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    names_by_loinc = {row["loinc"]: row["metric"] for row in rows if row["loinc"]}
    return {row["metric"]: _metric(row, names_by_loinc) for row in rows}


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(load())
"""Metric name to row."""

BY_WIRE: Final[Mapping[int, Metric]] = MappingProxyType({m.wire: m for m in METRICS.values()})
"""Wire number to row."""


def name_of(wire: int) -> str:
    """Name of a metric; ``metric-N`` for one that a newer program stored."""
    metric = BY_WIRE.get(wire)
    return f"metric-{wire}" if metric is None else metric.name
