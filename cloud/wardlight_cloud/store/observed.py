"""Which numbers become Observations: single values, and components of panels.

A battery is nobody's vital sign. A lone number is no waveform (SampledData) and no panel; such
readings are kept, and never served as Observations.

Source  the ``structure`` column of wardlight_shared.codes
"""

from typing import Final

from wardlight_shared.codes import METRICS

OBSERVED: Final = frozenset(
    row.wire
    for row in METRICS.values()
    if row.structure.startswith("valueQuantity") or row.component_of is not None
)
"""Wire numbers of readings' metrics."""
