"""Whose a study is, from what its instances say: never two people's at once.

An instance says an identity: issuer and patient id, either of which may be empty. A study is one
patient's while all its instances were found to be that patient's, or say the identity that was
found. Anything else makes it nobody's until an operator decides; what was decided holds for the
identities that the study had then. The order in which instances come changes nothing of that.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.imaging import NewInstance

_IDENTITIES_MOST: Final = 100
"""More are not kept: what an operator decides does not hold for those."""


@dataclass(frozen=True, slots=True)
class Whose:
    """``patient`` None: nobody's, and ``unmatched`` says why."""

    patient: UUID | None
    unmatched: str | None
    identities: tuple[str, ...]


def identity(instance: NewInstance) -> str:
    """Issuer and patient id; DICOM has no backslash in either."""
    issuer = instance.issuer.replace("\0", "")
    return f"{issuer}\\{instance.header.patient_id.replace(chr(0), '')}"


def held(row: Any) -> Whose:
    """As a locked study's row says."""
    return Whose(_uuid(row["patient_id"]), row["unmatched"], tuple(row["identities"]))


def whose(row: Any, instances: Iterable[NewInstance]) -> Whose:
    """Whose a locked study is with these instances."""
    found = held(row)
    for each in instances:
        found = _with(found, each)
    assigned = _uuid(row["assigned"])
    if assigned is None:
        return found
    return _decided(assigned, row["decided"], found.identities)


def _decided(assigned: UUID, decided: Collection[str], identities: tuple[str, ...]) -> Whose:
    if set(identities) <= set(decided):
        return Whose(assigned, None, identities)
    return Whose(None, "ambiguous", identities)


def _with(found: Whose, instance: NewInstance) -> Whose:
    said = identity(instance)
    known = sorted({*found.identities, said})
    identities = tuple(known) if len(known) <= _IDENTITIES_MOST else found.identities
    if not found.identities:
        reason = instance.unmatched if instance.patient is None else None
        return Whose(instance.patient, reason, identities)
    patient, unmatched = found.patient, found.unmatched
    if unmatched not in (None, "unknown"):
        pass
    elif instance.patient is None:
        if instance.unmatched != "unknown" or said not in found.identities:
            patient, unmatched = None, "ambiguous"
    elif instance.patient != patient:
        if patient is None and found.identities == (said,):
            patient, unmatched = instance.patient, None
        else:
            patient, unmatched = None, "ambiguous"
    return Whose(patient, unmatched, identities)


def _uuid(found: Any) -> UUID | None:
    """The driver's own kind of UUID as the standard library's."""
    return None if found is None else UUID(int=found.int)
