"""What oximeters have in common: a code for "no number", and a sensor that may be off.

A number that is shown while the sensor is not on the patient is none of the patient's: it is
withheld, with the number kept in raw_value. What only makes it doubtful (artefact, low perfusion,
a weak signal, out of track) is a flag beside it.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Final

from wardlight_edge.devices._gatt import Number, nonzero, number
from wardlight_shared.model import Absent, Flag

_FULL: Final = 100
_OFF: Final = int(Flag.SENSOR_OFF)
_FAULT: Final = int(Flag.SENSOR_FAULT)


def off_patient(flags: int) -> Absent | None:
    """Why numbers with these flags are not the patient's, None where nothing says so.

    SENSOR_OFF: not on the patient; SENSOR_FAULT: not plugged in, broken, or not known.
    """
    if flags & _OFF:
        return Absent.SENSOR_OFF
    return Absent.SENSOR_FAULT if flags & _FAULT else None


@lru_cache(maxsize=1024)
def saturation(spo2: int, missing: int, reason: Absent | None = None) -> Number:
    """SpO2 in %: ``missing`` and 0 are NOT_MEASURED, above 100 INVALID; withheld for ``reason``."""
    if spo2 == missing:
        return reason or Absent.NOT_MEASURED, None, None
    if spo2 > _FULL:
        return number(Decimal(spo2), "%", reason or Absent.INVALID)
    return nonzero(Decimal(spo2), "%") if reason is None else number(Decimal(spo2), "%", reason)


@lru_cache(maxsize=1024)
def pulse_rate(rate: int, missing: int, reason: Absent | None = None) -> Number:
    """Pulse rate in /min: ``missing`` and 0 are NOT_MEASURED; withheld for ``reason``."""
    if rate == missing:
        return reason or Absent.NOT_MEASURED, None, None
    return (
        nonzero(Decimal(rate), "/min") if reason is None else number(Decimal(rate), "/min", reason)
    )
