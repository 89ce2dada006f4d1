"""What is valid R4 and refused all the same: changes of who a patient is, prescriptions, and our
own identifiers, by which a reading or a device of ours is known, on somebody else's resource.

A token for one patient, such as that of the patient's own app, cannot change what readings and
images are matched by and what tells the patient from others; the hospital's systems can.

Prescriptions are shown here beside measurements; nothing is prescribed. They come from the EHR, by
the clients that the operator names; a proposal is what others may send, to be decided elsewhere.

Source  R4 4.0.1 Patient, MedicationRequest (intent)
"""

from typing import Any, Final

IDENTITY: Final = ("active", "identifier", "name", "birthDate", "gender", "link")
IDENTITY_STAYS: Final = (
    f"A token for one patient cannot change who the patient is ({', '.join(IDENTITY)}); send these "
    "as they were read, or use a scope of level user or system."
)
PROPOSAL: Final = "proposal"
PRESCRIBES_NOTHING: Final = (
    "Nothing is prescribed through this server: it takes MedicationRequests with intent proposal. "
    "Orders come from the EHR, by clients that the setting fhir.prescribing_clients names."
)


def prescribes(held: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a change of a MedicationRequest makes, changes or ends more than a proposal."""
    return any(each and each.get("intent") != PROPOSAL for each in (held, wanted))


RESERVED: Final = (
    "Identifiers of systems that begin with urn:wardlight: are given by this server; leave it out, "
    "or use a system of your own."
)
_OWN: Final = "urn:wardlight:"
_OF_THE_DEMO: Final = "urn:wardlight:demo:"


def reserved_identifier(held: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """The first identifier of one of our own systems, as an element; those held before may stay."""
    given, before = wanted.get("identifier", []), held.get("identifier", [])
    before = before if isinstance(before, list) else [before]
    for at, each in enumerate(given if isinstance(given, list) else [given]):
        system = each.get("system", "")
        if system.startswith(_OWN) and not system.startswith(_OF_THE_DEMO) and each not in before:
            return f"identifier[{at}].system" if isinstance(given, list) else "identifier.system"
    return None


def changed_identity(held: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """The first element of IDENTITY in which two Patients differ, with what extends it."""
    for element in IDENTITY:
        if any(held.get(each) != wanted.get(each) for each in (element, f"_{element}")):
            return element
    return None
