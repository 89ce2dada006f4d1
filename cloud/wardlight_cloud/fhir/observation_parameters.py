"""Which search parameters Observation has, whatever is found: readings, others, streams, ECGs.

Each is declared for the one type; a search of streams or ECGs that cannot follow one refuses it,
because an answer without it would show what was not asked for.

Errors  FhirError 400 with the parameter at fault
"""

from collections.abc import Collection
from typing import Final

from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.search import OBSERVATION_PARAMETERS

NOT_OF_READINGS: Final = {
    "_security": "token", "_source": "uri", "_tag": "token",
    "based-on": "reference", "combo-value-concept": "token", "component-value-concept": "token",
    "derived-from": "reference", "encounter": "reference", "focus": "reference",
    "has-member": "reference", "method": "token", "part-of": "reference",
    "performer": "reference", "specimen": "reference", "value-concept": "token",
    "value-date": "date", "value-string": "string",
}  # fmt: skip
"""Parameters that no reading has a value of: they find stored Observations only."""

DECLARED: Final = {**OBSERVATION_PARAMETERS, **NOT_OF_READINGS}
"""What the CapabilityStatement declares."""


def refuse_narrowing(given: Parameters, takes: Collection[str], what: str) -> None:
    """Refuse a declared parameter that a search of these does not take."""
    for name, _ in given:
        base = name.partition(":")[0].partition(".")[0]
        if base in DECLARED and base not in takes:
            raise invalid(name[:64], f"is not supported with {what}; leave it out")
