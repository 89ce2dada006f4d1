"""CapabilityStatement: generated from what the router really serves.

Source  R4 4.0.1 CapabilityStatement
"""

from typing import Any, Final

from wardlight_cloud.fhir.search import OBSERVATION_PARAMETERS
from wardlight_shared import __version__

PATIENT_PARAMETERS: Final = {"_id": "token", "identifier": "token", "family": "string"}
DEVICE_PARAMETERS: Final = {"_id": "token", "identifier": "token", "patient": "reference"}
_PUBLISHED: Final = "2026-11-22"


def _resource(kind: str, parameters: dict[str, str], profiles: tuple[str, ...]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "versioned",
        "readHistory": False,
        "updateCreate": False,
        "conditionalRead": "not-match",
        "searchParam": [{"name": name, "type": form} for name, form in parameters.items()],
    }
    if profiles:
        resource["supportedProfile"] = list(profiles)
    return resource


def capability_statement(base: str, profiles: tuple[str, ...]) -> dict[str, Any]:
    """The statement of this server; ``profiles`` are those its Observations claim."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _PUBLISHED,
        "kind": "instance",
        "software": {"name": "Wardlight", "version": __version__},
        "implementation": {"description": "Wardlight vital signs", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "cors": False,
                    "description": "Bearer token in the Authorization header; metadata is open.",
                },
                "resource": [
                    _resource("Patient", PATIENT_PARAMETERS, ()),
                    _resource("Device", DEVICE_PARAMETERS, ()),
                    _resource("Observation", dict(OBSERVATION_PARAMETERS), profiles),
                ],
            }
        ],
    }
