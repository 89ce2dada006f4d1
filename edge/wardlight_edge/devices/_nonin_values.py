"""What the numbers of Nonin's serial formats mean; the same in #2, #7 and #8.

SpO2 127 and pulse rate 511 are NOT_MEASURED; SpO2 101 to 126 is INVALID; both are withheld for
the reason given, where one is. The number stays as raw
Source  Nonin OEM III and 3150 specifications, serial data formats #2, #7, #8
"""

from functools import lru_cache
from typing import Final

from wardlight_edge.devices._oximetry import pulse_rate, saturation
from wardlight_shared.model import Absent, Reading

_PULSE_MISSING: Final = 511
_SPO2_MISSING: Final = 127
_SPO2_FULL: Final = 100

NO_VALUES: Final = (frozenset((0, *range(_SPO2_FULL + 1, 128))), frozenset((0, _PULSE_MISSING)))
"""SpO2, pulse rate: numbers that are none, as ``_extremes.reduced`` takes them."""


@lru_cache(maxsize=4096)
def readings(
    flags: int, spo2: int, pulse: int, reason: Absent | None = None
) -> tuple[Reading, ...]:
    """Return spo2 in % and pulse_rate_oximeter in /min, with ``flags`` on both."""
    percent, raw, raw_unit = saturation(spo2, _SPO2_MISSING, reason)
    rate, rate_raw, rate_raw_unit = pulse_rate(pulse, _PULSE_MISSING, reason)
    return (
        Reading("spo2", percent, "%", raw, raw_unit, flags=flags),
        Reading("pulse_rate_oximeter", rate, "/min", rate_raw, rate_raw_unit, flags=flags),
    )
