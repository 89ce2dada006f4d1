"""CapabilityStatement: generated from what the router really serves.

Source  R4 4.0.1 CapabilityStatement
"""

from typing import Any, Final

from wardlight_cloud.fhir.imaging_search import (
    DOCUMENT_PARAMETERS,
    ENDPOINT_PARAMETERS,
    IMAGING_STUDY_PARAMETERS,
)
from wardlight_cloud.fhir.observation_parameters import DECLARED
from wardlight_cloud.fhir.operations.definitions import OPERATIONS
from wardlight_cloud.fhir.order_search import ORDER_PARAMETERS
from wardlight_cloud.fhir.own.audit_event import AUDIT_PARAMETERS
from wardlight_cloud.fhir.own.device_metric import METRIC_PARAMETERS
from wardlight_cloud.fhir.own.issue import FLAG_PARAMETERS, ISSUE_PARAMETERS
from wardlight_cloud.fhir.own.provenance_search import PROVENANCE_PARAMETERS
from wardlight_cloud.fhir.stored.kinds import NOT_DELETED, STORED, SUBSCRIPTION
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS
from wardlight_cloud.fhir.subscriptions.declaring import SUBSCRIBING
from wardlight_cloud.fhir.two_sources import parameters_of
from wardlight_cloud.security.oauth_paths import AUTHORIZE, INTROSPECT, REVOKE, TOKEN
from wardlight_shared import __version__

DEVICE_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "device-name": "string", "identifier": "token",
    "manufacturer": "string", "model": "string", "patient": "reference", "status": "token",
    "type": "token",
}  # fmt: skip
_PUBLISHED: Final = "2026-11-22"
_SMART: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
    "code": "SMART-on-FHIR",
}
_OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_OAUTH: Final = {
    "authorize": AUTHORIZE, "token": TOKEN, "revoke": REVOKE, "introspect": INTROSPECT,
}  # fmt: skip

_BULK: Final = "http://hl7.org/fhir/uv/bulkdata"
_EXPORTS: Final = {"": "export", "Patient": "patient-export", "Group": "group-export"}

_OF_ALL: Final = {"_id": "token", "_lastUpdated": "date"}
_READ: Final = ("read", "vread", "search-type")
_STORED: Final = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
    "search-type",
)  # fmt: skip


def _resource(
    kind: str, parameters: dict[str, str], profiles: tuple[str, ...] = ()
) -> dict[str, Any]:
    is_stored = kind in STORED
    codes = [code for code in (_STORED if is_stored else _READ) if (kind, code) not in _MISSING]
    resource: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update" if is_stored else "versioned",
        "readHistory": is_stored,
        "updateCreate": is_stored,
        "conditionalCreate": is_stored,
        "conditionalRead": "full-support" if is_stored else "not-match",
        "conditionalUpdate": is_stored,
        "conditionalDelete": "single" if "delete" in codes else "not-supported",
        "searchParam": [{"name": name, "type": form} for name, form in parameters.items()],
    }
    if kind in OPERATIONS:
        resource["operation"] = [
            {"name": name, "definition": url} for name, url in OPERATIONS[kind].items()
        ]
    if is_stored:  # what is made here of these kinds is included, and includes, too
        resource |= {name: found for name, found in _inclusions(kind).items() if found}
    if profiles:
        resource["supportedProfile"] = list(profiles)
    return resource | SUBSCRIBING if kind == SUBSCRIPTION else resource


def _inclusions(kind: str) -> dict[str, list[str]]:
    """What can stand beside resources of a kind; not what they refer to of kinds kept elsewhere."""
    references = [
        each
        for table in SEARCH_PARAMETERS.values()
        for each in table.values()
        if each.type == "reference"
        and (each.targets is None or set(STORED).intersection(each.targets))
    ]
    return {
        "searchInclude": [f"{kind}:{each.name}" for each in references if each.kind == kind],
        "searchRevInclude": [
            f"{each.kind}:{each.name}"
            for each in references
            if each.targets is None or kind in each.targets
        ],
    }


_MISSING: Final = frozenset({("Endpoint", "vread"), *((kind, "delete") for kind in NOT_DELETED)})
OWN_HANDLERS: Final[dict[str, dict[str, str]]] = {
    "Device": DEVICE_PARAMETERS,
    "DeviceMetric": METRIC_PARAMETERS,
    "DocumentReference": dict(DOCUMENT_PARAMETERS),
    "Provenance": PROVENANCE_PARAMETERS,
    "ServiceRequest": dict(ORDER_PARAMETERS),
}
"""Search parameters of the handlers of what is made here, of kinds that are stored, too."""

OWN_SEARCHES: Final[dict[str, dict[str, str]]] = {
    **{kind: parameters_of(kind, own) for kind, own in OWN_HANDLERS.items()},
    "Observation": DECLARED,
    "AuditEvent": AUDIT_PARAMETERS,
    "DetectedIssue": ISSUE_PARAMETERS,
    "Flag": FLAG_PARAMETERS,
    "ImagingStudy": dict(IMAGING_STUDY_PARAMETERS),
    "Endpoint": dict(ENDPOINT_PARAMETERS),
}
"""Search parameters of kinds whose searches are not those of the table alone."""


def search_parameters() -> dict[str, dict[str, str]]:
    """What is declared for each kind, by name and type."""
    stored = {
        kind: {**_OF_ALL, **{each.name: each.type for each in table.values()}}
        for kind, table in SEARCH_PARAMETERS.items()
    }
    return {**stored, **OWN_SEARCHES}


def _oauth_uris(base: str) -> dict[str, Any]:
    """Clients that are older than .well-known/smart-configuration look here (SMART 1.0 to 2.2)."""
    root = base.removesuffix("/fhir")
    told = [{"url": name, "valueUri": root + path} for name, path in _OAUTH.items()]
    return {"url": _OAUTH_URIS, "extension": told}


def _exports(statement: dict[str, Any]) -> None:
    """Declare ``$export`` of the system, of Patients and of Groups."""
    (rest,) = statement["rest"]
    statement["instantiates"] = [f"{_BULK}/CapabilityStatement/bulk-data"]
    places = {"": rest, **{each["type"]: each for each in rest["resource"]}}
    for kind, name in _EXPORTS.items():
        operation = {"name": "export", "definition": f"{_BULK}/OperationDefinition/{name}"}
        places[kind].setdefault("operation", []).append(operation)


def capability_statement(
    base: str,
    profiles: tuple[str, ...],
    *,
    has_exports: bool = False,
    takes_other_origins: bool = False,
) -> dict[str, Any]:
    """The statement of this server; ``profiles`` are those its Observations claim."""
    statement: dict[str, Any] = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _PUBLISHED,
        "kind": "instance",
        "software": {"name": "Wardlight", "version": __version__},
        "implementation": {"description": "Wardlight vital signs and images", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "extension": [_oauth_uris(base)],
                    "cors": takes_other_origins,
                    "service": [{"coding": [_SMART]}],
                    "description": "Bearer token in the Authorization header; metadata is open. "
                    ".well-known/smart-configuration says where tokens are.",
                },
                "resource": [
                    _resource(kind, parameters, profiles if kind == "Observation" else ())
                    for kind, parameters in search_parameters().items()
                ],
                "interaction": [
                    {"code": "transaction"},
                    {"code": "batch"},
                    {"code": "history-system"},
                ],
            }
        ],
    }
    if has_exports:
        _exports(statement)
    return statement
