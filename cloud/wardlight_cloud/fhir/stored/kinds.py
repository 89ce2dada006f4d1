"""The kinds of resources that are stored as they were written, and whose they are.

Source  R4 4.0.1 CompartmentDefinition patient; narrowed: a resource is in the compartment of every
        patient that it refers to anywhere, so that none of them is shown to another one
"""

from collections.abc import Mapping
from typing import Final

from wardlight_cloud.fhir.stored.parameter_table import KINDS
from wardlight_cloud.store.resources import Patients

STORED: Final = KINDS
"""In the order of the table."""

SUBSCRIPTION: Final = "Subscription"
"""Seen by its owner alone (subscriptions/owning.py)."""

NOBODYS: Final = frozenset(
    {"Organization", "Practitioner", "PractitionerRole", "Questionnaire", SUBSCRIPTION}
)
"""Kinds about no patient: whoever may ask for the kind sees all of them, or its owner does."""

SHARED: Final = NOBODYS - {SUBSCRIPTION}
"""Kinds that all patients' resources rely on: a token for one patient reads them only."""

BESIDE_OWN: Final = frozenset(
    {"Device", "DeviceMetric", "DocumentReference", "Observation", "Provenance", "ServiceRequest"}
)
"""Kinds of which this server makes resources of its own, too."""

OWN_REFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "Device": {"patient": "Patient"},
    "DeviceMetric": {"parent": "Device", "source": "Device"},
    "DocumentReference": {"patient": "Patient", "related": "ImagingStudy", "subject": "Patient"},
    "Observation": {"device": "Device", "patient": "Patient", "subject": "Patient"},
    "Provenance": {"agent": "Device", "patient": "Patient", "target": "Observation"},
    "ServiceRequest": {"patient": "Patient", "subject": "Patient"},
}
"""The references by which those of its own are found, and what they lead to.

The index of the store knows none of them.
"""

NOT_DELETED: Final = frozenset({"Patient"})
"""What readings and images belong to is not ended from outside."""


def seen_by(kind: str, patients: Patients) -> Patients:
    """Whose resources of a kind to look for, when these patients are in reach."""
    return None if kind in NOBODYS else patients
