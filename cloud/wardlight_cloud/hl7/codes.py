"""Codes of what was measured, and units, as coded elements.

MDC first, as IHE PCD-01 wants it, LOINC as the alternate; where the table has no MDC term, LOINC
alone. Amounts of substance have the LOINC code of moles. Units are UCUM.

Source  wardlight_shared.codes; IHE Devices Technical Framework, volume 2, B.8 (OBX-3, OBX-6)
"""

from functools import cache

from wardlight_cloud.hl7.fields import components
from wardlight_shared.codes import BY_WIRE, Metric


@cache
def code(wire: int, unit: str) -> str:
    """OBX-3 of a metric in a unit, OBR-4 of a panel."""
    metric = BY_WIRE[wire]
    loinc, display = _loinc(metric, unit)
    if metric.mdc is None:
        return components(loinc, display, "LN")
    return components(
        str(metric.mdc), metric.mdc_refid, "MDC", loinc, display, "LN" if loinc else ""
    )


@cache
def unit_code(unit: str) -> str:
    """OBX-6."""
    return components(unit, unit, "UCUM")


def _loinc(metric: Metric, unit: str) -> tuple[str, str]:
    display = metric.loinc_display
    if "mol" in unit and "Mass/volume" in display:
        moles = (found for found, told in metric.loinc_also if "moles" in told.lower())
        found = next(moles, "")  # none: the LOINC code of mass would be a false one
        return found, display.replace("Mass/volume", "Moles/volume") if found else ""
    return metric.loinc, "" if display.startswith("(") else display
