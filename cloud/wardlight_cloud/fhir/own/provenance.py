"""Provenances of readings: one for each commit and patient, whose version number they carry.

A commit takes what gateways have uploaded; one that gives a device to a patient makes new versions,
too, and its Provenance says so. Targets are the Observations that have this version now, the first
TARGETS_MOST of them: a backlog may bring more, and an extension says then that there are others.
Every Observation leads to its Provenance (``target``), whether it is listed there or not.

Source  R4 4.0.1 Provenance; US Core Provenance (author, transmitter)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.fhir.observation import gateway_reference
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.resources import COLLECTOR_ID
from wardlight_cloud.store.commits import Commit
from wardlight_cloud.store.observation_rows import ObservationRow

KIND: Final = "Provenance"
COMMIT_SYSTEM: Final = "urn:wardlight:commit"
OTHERS_EXTENSION: Final = "urn:wardlight:fhir:targets-not-listed"
TARGETS_MOST: Final = 1000
_PREFIX: Final = "commit-"
_ACTIVITY: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_US_CORE: Final = "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type"
_HEX: Final = 32

ProvenanceKey = tuple[int, UUID]
"""(commit, patient)."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Observations of one patient that have one version."""

    commit: Commit
    patient: UUID
    rows: Sequence[ObservationRow]  # one more than TARGETS_MOST where there are others

    @property
    def key(self) -> ProvenanceKey:
        """What its Provenance is known by."""
        return self.commit.commit_seq, self.patient


def provenance_id(key: ProvenanceKey) -> str:
    """The id of a Provenance."""
    return f"{_PREFIX}{key[0]}-{key[1].hex}"


def provenance_key(resource_id: str) -> ProvenanceKey | None:
    """What an id says; None for one that can be none of ours."""
    number, _, patient = resource_id.removeprefix(_PREFIX).partition("-")
    if not resource_id.startswith(_PREFIX) or not number.isascii() or not number.isdigit():
        return None
    if len(patient) != _HEX or not patient.isascii() or not patient.isalnum():
        return None
    try:
        key = int(number), UUID(hex=patient)
    except ValueError:
        return None
    return key if provenance_id(key) == resource_id else None


def is_own(resource_id: str) -> bool:
    """Whether an id is, or could only be, one of a Provenance that is made here."""
    return provenance_key(resource_id) is not None


def key_of(row: ObservationRow) -> ProvenanceKey:
    """The key of an Observation's Provenance."""
    return row.commit_seq, row.origin.patient_id


def provenance(upload: Upload) -> dict[str, Any]:
    """One Provenance."""
    listed = upload.rows[:TARGETS_MOST]
    moment = instant(upload.commit.stored_at)
    resource: dict[str, Any] = {
        "resourceType": KIND,
        "id": provenance_id(upload.key),
        "meta": {"versionId": str(upload.commit.commit_seq), "lastUpdated": moment},
        "extension": [{"url": OTHERS_EXTENSION, "valueBoolean": True}]
        if len(upload.rows) > TARGETS_MOST
        else [],
        "target": [{"reference": f"Observation/{row.observation_id}"} for row in listed],
        "recorded": moment,
        "activity": {
            "coding": [
                {"system": _ACTIVITY, "code": "CREATE", "display": "create"}
                if upload.commit.is_upload
                else {"system": _ACTIVITY, "code": "UPDATE", "display": "revise"}
            ]
        },
        "agent": _agents(upload),
        "entity": [
            {
                "role": "source",
                "what": {
                    "identifier": {
                        "system": COMMIT_SYSTEM,
                        "value": str(upload.commit.commit_seq),
                    }
                },
            }
        ],
    }
    return {name: value for name, value in resource.items() if value != []}


def _agents(upload: Upload) -> list[dict[str, Any]]:
    sensors = sorted({str(row.origin.device_id) for row in upload.rows})
    agents = [_agent(_PARTICIPANT, "author", f"Device/{each}") for each in sensors]
    if upload.commit.is_upload:  # else nobody sent anything
        agents += [_agent(_US_CORE, "transmitter", each) for each in gateways(upload)]
    return [*agents, _agent(_PARTICIPANT, "assembler", f"Device/{COLLECTOR_ID}")]


def gateways(upload: Upload) -> list[str]:
    """References to the gateways that its Observations came by."""
    return [
        gateway_reference(name) for name in sorted({r.circumstances.gateway for r in upload.rows})
    ]


def _agent(system: str, code: str, who: str) -> dict[str, Any]:
    return {"type": {"coding": [{"system": system, "code": code}]}, "who": {"reference": who}}
