"""Which operations there are on which type, and where each is defined."""

from collections.abc import Mapping
from typing import Final

OPERATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Observation": {
        "lastn": "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        "stats": "http://hl7.org/fhir/OperationDefinition/Observation-stats",
    },
    "Patient": {"everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything"},
}
"""Definitions by kind and name, for the CapabilityStatement."""
