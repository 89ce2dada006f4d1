"""Whom a resource is about, said so that it is found by that patient and by nobody else.

A vital sign whose subject leads to no Patient of ours belongs to nobody: no search for a patient
finds it. A reference that says one patient and has the identifier of another one is found by both.
What is withdrawn is not looked at: a wrong resource must be able to go.

Source  R4 4.0.1 2.3.0 (references: form, type, identifier), vitalsigns (subject)
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.stored.measurements import (
    is_vital_sign,
    is_withdrawn,
    names_what_is_measured,
)

Token = tuple[str, str]
"""System and value of an identifier; the system "" where none is said."""

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")
_TYPES: Final = "http://hl7.org/fhir/StructureDefinition/"
_BY_IDENTIFIER: Final = "Patient?identifier=SYSTEM|VALUE"

FORM: Final = (
    "This is no reference of FHIR. Write it as Type/ID, as the whole address of a resource, or as "
    "#ID of one that is contained."
)
URN: Final = (
    "The reference names no entry of the same transaction. Write it as Type/ID, or send the "
    "resource that it names in the same transaction."
)
NOT_A_PATIENT: Final = (
    "A vital sign is found by its patient: write reference as Patient/ID, the id of a Patient that "
    f"is kept here, or as {_BY_IDENTIFIER}, which this server looks up."
)
NOT_HERE: Final = (
    "What is measured is found by its subject: write reference as Type/ID of a resource on this "
    f"server, or as {_BY_IDENTIFIER}, which it looks up; or leave subject out."
)
OTHER_TYPE: Final = (
    "The type is another one than that of the reference. Write the same, or leave type out."
)
OTHER_IDENTIFIER: Final = (
    "The identifier is not one of the Patient that the reference leads to. Write one of that "
    "Patient's, or leave identifier out."
)
UNREADABLE: Final = (
    "A reference to a Patient has no identifier beside it where the token may not read Patients: "
    "nobody can tell whether both are the same patient's. Leave identifier out."
)


def is_looked_at(resource: dict[str, Any]) -> bool:
    """Whether a resource is more than a note that it was withdrawn."""
    return resource["resourceType"] != "Observation" or not is_withdrawn(resource)


def unfounded_subject(resource: dict[str, Any], base: str) -> str | None:
    """What is wrong with the subject of an Observation by which it should be found."""
    subject = resource.get("subject")
    if resource["resourceType"] != "Observation" or not isinstance(subject, dict):
        return None
    reference = subject.get("reference")
    local = local_reference(reference, base) if isinstance(reference, str) else None
    if is_vital_sign(resource):
        is_patient = local is not None and local.startswith("Patient/")
        return None if is_patient else NOT_A_PATIENT
    return NOT_HERE if local is None and names_what_is_measured(resource) else None


def wrong_form(text: str, base: str) -> str | None:
    """What is wrong with a reference as a text."""
    if text.startswith("#") or local_reference(text, base) is not None:
        return None
    if text.startswith("urn:uuid:"):
        return URN
    if _ABSOLUTE.match(text) is None or text.startswith(f"{base}/"):
        return FORM
    return None


def says_another_type(reference: Mapping[str, Any], local: str) -> bool:
    """Whether the type beside a reference is not that of what it leads to."""
    said = reference.get("type")
    return isinstance(said, str) and said.removeprefix(_TYPES) != local.partition("/")[0]


def token_of(reference: Mapping[str, Any]) -> Token | None:
    """The identifier beside a reference, if there is one."""
    identifier = reference.get("identifier")
    value = identifier.get("value") if isinstance(identifier, dict) else None
    if not isinstance(identifier, dict) or not isinstance(value, str):
        return None
    return str(identifier.get("system", "")), value


def tokens_of(patient: dict[str, Any]) -> Iterator[Token]:
    """The identifiers of a Patient."""
    for each in patient.get("identifier", []):
        if isinstance(each.get("value"), str):
            yield each.get("system", ""), each["value"]
