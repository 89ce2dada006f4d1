"""ISO/IEEE 11073-10101 and LOINC codes as metrics of the code table, and units as UCUM.

A 32-bit MDC code is ``partition << 16 | term``. What this gateway has no metric for gives None.

Source  shared/wardlight_shared/vitals_codes.csv (metrics); ISO/IEEE 11073-10101 annex A (terms and
        units below; the numbers are those of the public nomenclature headers of Antidote)
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from wardlight_edge.devices._gatt import Number, nonzero, number
from wardlight_edge.devices._units import convert, is_permitted
from wardlight_shared.codes import METRICS
from wardlight_shared.model import Absent

# Terms that monitors send for a metric of the table: cuff pressures of the bedside partition,
# patient temperature of no stated site, respiration by its way of measuring; waveforms by both of
# their names.
_ALSO: Final[Mapping[str, tuple[int, str]]] = {
    "MDC_PRESS_CUFF_SYS": (150301, "systolic_bp"),
    "MDC_PRESS_CUFF_DIA": (150302, "diastolic_bp"),
    "MDC_PRESS_CUFF_MEAN": (150303, "mean_bp"),
    "MDC_TEMP": (150344, "body_temperature"),
    "MDC_BLD_PERF_INDEX": (150488, "perfusion_index"),
    "MDC_TTHOR_RESP_RATE": (151578, "respiratory_rate"),
    "MDC_AWAY_RESP_RATE": (151570, "respiratory_rate"),
    "MDC_CO2_RESP_RATE": (151594, "respiratory_rate"),
    "MDC_TEMP_EAR": (188428, "body_temperature_tympanic"),
    "MDC_RESP": (151552, "respiration_waveform"),
    "MDC_CONC_AWAY_CO2": (151700, "co2_waveform"),
}
# What a thermometer names by its site and the table by the metric and the site.
_SITES: Final[Mapping[int, str]] = {
    188432: "finger",  # MDC_TEMP_FINGER
    188448: "toe",
    188456: "gastrointestinal-tract",  # MDC_TEMP_GIT
}
_HAS_VALUE: Final = frozenset(
    name for name, row in METRICS.items() if not row.structure.startswith("component x")
)
_MAY_BE_ZERO: Final = frozenset({"battery", "steps"})


def _metrics_by_code() -> dict[int, str]:
    found = {code: name for code, name in _ALSO.values()}
    for name, row in METRICS.items():
        if row.mdc is not None and name in _HAS_VALUE:
            found.setdefault(row.mdc, name)
    return found


def _metrics_by_refid() -> dict[str, str]:
    found = {refid: name for refid, (_, name) in _ALSO.items()}
    for name, row in METRICS.items():
        if row.mdc_refid and name in _HAS_VALUE:
            found.setdefault(row.mdc_refid, name)
    return found


def _metrics_by_loinc() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(_HAS_VALUE, key=lambda name: METRICS[name].wire):
        found.setdefault(METRICS[name].loinc, name)
    for name in sorted(_HAS_VALUE, key=lambda name: METRICS[name].wire):
        for code, _ in METRICS[name].loinc_also:
            found.setdefault(code, name)
    found.pop("", None)
    return found


BY_CODE: Final[Mapping[int, str]] = _metrics_by_code()
BY_REFID: Final[Mapping[str, str]] = _metrics_by_refid()
BY_LOINC: Final[Mapping[str, str]] = _metrics_by_loinc()
METRIC_AT_SITE: Final[Mapping[int, tuple[str, str | None]]] = {
    **{code: (name, None) for code, name in BY_CODE.items()},
    **{code: ("body_temperature", site) for code, site in _SITES.items()},
}
"""Metric and body site by code: for those who can keep the site, without which a finger's
temperature would pass for the body's."""

WAVEFORM_BY_CODE: Final[Mapping[int, str]] = {
    code: name for code, name in BY_CODE.items() if METRICS[name].structure == "valueSampledData"
}
"""Metrics whose values are samples of a waveform."""

DIMENSIONS: Final = 4 << 16
"""Partition of units; what is sent is often the term alone."""

UNIT_BY_CODE: Final[Mapping[int, str]] = {
    262656: "1",  # MDC_DIM_DIMLESS
    262688: "%",
    263424: "m",
    263441: "cm",
    263520: "[in_i]",
    263744: "L",
    263762: "mL",
    263872: "g",
    263875: "kg",
    263904: "[lb_av]",
    264096: "kg/m2",
    264274: "mg/dL",
    264320: "s",
    264338: "ms",
    264864: "/min",  # MDC_DIM_BEAT_PER_MIN
    264928: "/min",  # MDC_DIM_RESP_PER_MIN
    265216: "L/min",
    265987: "kPa",
    266016: "mm[Hg]",
    266418: "mV",
    266419: "uV",
    266432: "Ohm",
    266560: "[degF]",  # MDC_DIM_FAHR
    266866: "mmol/L",
    268192: "Cel",
    268752: "{INR}",
}

UNIT_BY_REFID: Final[Mapping[str, str]] = {
    "MDC_DIM_DIMLESS": "1",
    "MDC_DIM_PERCENT": "%",
    "MDC_DIM_X_M": "m",
    "MDC_DIM_CENTI_M": "cm",
    "MDC_DIM_INCH": "[in_i]",
    "MDC_DIM_X_L": "L",
    "MDC_DIM_MILLI_L": "mL",
    "MDC_DIM_X_G": "g",
    "MDC_DIM_KILO_G": "kg",
    "MDC_DIM_LB": "[lb_av]",
    "MDC_DIM_KG_PER_M_SQ": "kg/m2",
    "MDC_DIM_MILLI_G_PER_DL": "mg/dL",
    "MDC_DIM_SEC": "s",
    "MDC_DIM_MILLI_SEC": "ms",
    "MDC_DIM_BEAT_PER_MIN": "/min",
    "MDC_DIM_RESP_PER_MIN": "/min",
    "MDC_DIM_X_L_PER_MIN": "L/min",
    "MDC_DIM_KILO_PASCAL": "kPa",
    "MDC_DIM_MMHG": "mm[Hg]",
    "MDC_DIM_MILLI_VOLT": "mV",
    "MDC_DIM_MICRO_VOLT": "uV",
    "MDC_DIM_X_OHM": "Ohm",
    "MDC_DIM_FAHR": "[degF]",
    "MDC_DIM_MILLI_MOLE_PER_L": "mmol/L",
    "MDC_DIM_DEGC": "Cel",
}


def measured(metric: str, value: Decimal, unit: str) -> tuple[Number, str]:
    """Return value, raw value and raw unit, and the unit of the value: one the table permits.

    0 is NOT_MEASURED and a negative number INVALID where the metric has neither in a living
    patient; the number then stays as raw. ConversionError: no way from this unit to the table's.
    """
    row = METRICS[metric]
    kept = unit if is_permitted(metric, unit) else row.unit
    converted = convert(value, unit, kept)  # also checks the unit of what is withheld
    if value < 0 and not metric.startswith("ecg_"):
        return number(value, unit, Absent.INVALID), kept
    if not value and metric not in _MAY_BE_ZERO:
        return nonzero(value, unit), kept
    return ((converted, None, None) if kept == unit else (converted, value, unit)), kept
