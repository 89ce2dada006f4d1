"""Whose a study is, from what its instances say: never two people's at once.

An instance says an identity: issuer, patient id and birth date, each of which may be empty. The
first two name a person. A study is one patient's while all its instances were found to be that
patient's, or name the person that was found, and nothing says two birth dates. Anything else makes
it nobody's until an operator decides; what was decided holds for the identities that the study had
then, and for a birth date that agrees with them and the register. The order in which instances come
changes nothing of that.

Identities on record from before birth dates were part of them say nothing of one.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.image_arrivals import NewInstance

_IDENTITIES_MOST: Final = 100
"""More are not kept: what an operator decides does not hold for those."""


@dataclass(frozen=True, slots=True)
class Whose:
    """``patient`` None: nobody's, and ``unmatched`` says why."""

    patient: UUID | None
    unmatched: str | None
    identities: tuple[str, ...]


def identity(instance: NewInstance) -> str:
    """Issuer, patient id and birth date; DICOM has no backslash in any."""
    header = instance.header
    told = (instance.issuer, header.patient_id, header.columns.get("PatientBirthDate", ""))
    return "\\".join(each.replace("\0", "").replace("\\", "\x1f") for each in told)


def held(row: Any) -> Whose:
    """As a locked study's row says."""
    return Whose(_uuid(row["patient_id"]), row["unmatched"], tuple(row["identities"]))


def whose(row: Any, instances: Iterable[NewInstance]) -> Whose:
    """Whose a locked study is with these instances."""
    found = held(row)
    registered = {found.patient: row["born"] or ""}
    for each in instances:
        registered.setdefault(each.patient, each.registered)
        found = _with(found, each, registered.get(found.patient or each.patient, ""))
    assigned = _uuid(row["assigned"])
    if assigned is None:
        return found
    if _is_decided(row["decided"], row["assigned_born"] or "", found.identities):
        return Whose(assigned, None, found.identities)
    return Whose(None, "ambiguous", found.identities)


def _is_decided(decided: Collection[str], registered: str, identities: Collection[str]) -> bool:
    """``registered``: birth date of whom it was assigned to, as the register has it."""
    if not _people(identities) <= _people(decided):
        return False
    new = _births(identities) - _births(decided)
    if not new or any(_born(each) is None for each in decided):
        return True
    known = _births(decided) | ({registered} - {""})
    return new <= known if known else len(new) == 1


def _with(found: Whose, instance: NewInstance, registered: str) -> Whose:
    """``registered``: birth date in the register of whoever one of both is found to be."""
    said = identity(instance)
    known = sorted({*found.identities, said})
    identities = tuple(known) if len(known) <= _IDENTITIES_MOST else found.identities
    if not found.identities:
        reason = instance.unmatched if instance.patient is None else None
        return Whose(instance.patient, reason, identities)
    if found.unmatched not in (None, "unknown"):
        return Whose(found.patient, found.unmatched, identities)
    if not _is_one(found, instance, registered):
        return Whose(None, "ambiguous", identities)
    patient = found.patient or instance.patient
    return Whose(patient, "unknown" if patient is None else None, identities)


def _is_one(found: Whose, instance: NewInstance, registered: str) -> bool:
    """Whether nothing says that it is of another person than the study."""
    said = {identity(instance)}
    births = _births(said) | _births(found.identities)
    if len(births) > 1 or (instance.patient is None and instance.unmatched != "unknown"):
        return False
    if instance.patient == found.patient:
        return found.patient is not None or _people(said) <= _people(found.identities)
    if None not in (instance.patient, found.patient):
        return False
    # One of both was found by what the other does not say, so the register is asked here.
    if instance.patient is None:
        is_named = _people(said) <= _people(found.identities)
    else:
        is_named = _people(said) == _people(found.identities)
    return is_named and (not registered or births <= {registered})


def _people(identities: Iterable[str]) -> set[tuple[str, ...]]:
    return {tuple(each.split("\\")[:2]) for each in identities}


def _births(identities: Iterable[str]) -> set[str]:
    return {born for each in identities if (born := _born(each))}


def _born(said: str) -> str | None:
    """The birth date it says; empty where it says none, None where none was kept."""
    parts = said.split("\\")
    return parts[2] if len(parts) > 2 else None


def _uuid(found: Any) -> UUID | None:
    """The driver's own kind of UUID as the standard library's."""
    return None if found is None else UUID(int=found.int)
