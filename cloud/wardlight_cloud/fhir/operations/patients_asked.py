"""Whose Observations an operation is about: of a patient at least, within what the token reaches.

Errors  FhirError 400
"""

from typing import Final
from uuid import UUID

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.parameters import reference_id, split_values
from wardlight_cloud.fhir.stored.asker import Asker

_NAMES: Final = ("patient", "subject", "patient:Patient", "subject:Patient")
MOST_PATIENTS: Final = 100


def patients_asked(asker: Asker, given: Parameters) -> tuple[UUID, ...]:
    """Those that are named and in reach; a token for one patient need not name them."""
    found: set[UUID] | None = None
    for name, text in given:
        if name not in _NAMES:
            continue
        values = split_values(text)
        if not values:
            raise invalid(name, "has no value; say whose Observations")
        ids = {reference_id(name, value, "Patient") for value in values}
        named = {each for each in ids if each is not None}
        found = named if found is None else found & named
    among = isolation.patient_ids(asker.request, None if found is None else sorted(found))
    if among is None:
        text = "Say whose Observations: patient=ID, up to 100 of them with commas between."
        raise FhirError(400, "required", text, expression="http.patient")
    if len(among) > MOST_PATIENTS:
        raise invalid("patient", f"names more than {MOST_PATIENTS} patients")
    return tuple(among)
