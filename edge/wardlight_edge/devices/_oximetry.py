"""Saturation and pulse rate as oximeters send them: whole numbers with a code for "none"."""

from decimal import Decimal
from functools import lru_cache
from typing import Final

from wardlight_edge.devices._gatt import Number, nonzero, number
from wardlight_shared.model import Absent

_FULL: Final = 100


@lru_cache(maxsize=1024)
def saturation(spo2: int, missing: int, reason: Absent | None = None) -> Number:
    """SpO2 in %: ``missing`` and 0 are NOT_MEASURED, above 100 INVALID; withheld for ``reason``."""
    if spo2 == missing:
        return reason or Absent.NOT_MEASURED, None, None
    if spo2 > _FULL:
        return number(Decimal(spo2), "%", Absent.INVALID)
    return nonzero(Decimal(spo2), "%") if reason is None else number(Decimal(spo2), "%", reason)


@lru_cache(maxsize=1024)
def pulse_rate(rate: int, missing: int, reason: Absent | None = None) -> Number:
    """Pulse rate in /min: ``missing`` and 0 are NOT_MEASURED; withheld for ``reason``."""
    if rate == missing:
        return reason or Absent.NOT_MEASURED, None, None
    return (
        nonzero(Decimal(rate), "/min") if reason is None else number(Decimal(rate), "/min", reason)
    )
