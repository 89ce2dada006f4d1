"""Whose number an order has: a person of the register's is not somebody else's.

Images and steps of an order go by its patient id. Under a registered person's id every image of a
stranger's order would become that person's.

Errors  OrderError: the register has this id as that of somebody with another name or birth date
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from wardlight_cloud.imaging.entry_person import name_in
from wardlight_cloud.imaging.matching import Issuers, is_same_issuer
from wardlight_cloud.imaging.orders import OrderError
from wardlight_cloud.imaging.owner import is_other_name
from wardlight_cloud.store.imaging import Identified
from wardlight_cloud.store.orders import NewEntry


class RegisterStore(Protocol):
    """What this asks of the store."""

    async def identified(self, values: Sequence[str]) -> tuple[Identified, ...]:
        """See ImageStore."""


async def check_owner(store: RegisterStore, entry: NewEntry, issuers: Issuers) -> None:
    """Refuse an entry that names nobody of the register, but has the patient id of one of it.

    A name may change: where both birth dates are known and the same, it is not compared.
    """
    if entry.patient is not None:
        return
    given_by = {issuers.issuer(entry.issuer, gateway) for gateway in entry.gateways} - {""}
    for each in _of(await store.identified([entry.patient_id]), given_by):
        born = "" if each.birth_date is None else f"{each.birth_date:%Y%m%d}"
        if "" not in (born, entry.birth_date):
            is_another = born != entry.birth_date
        else:
            is_another = is_other_name(name_in(entry.data_set), each.family, each.given)
        if is_another:
            raise OrderError(
                "PatientID: the register has it as that of a person of another name or birth date, "
                f"{each.patient}; give that person with --patient, or put right whichever is wrong"
            )


def _of(found: Iterable[Identified], given_by: Iterable[str]) -> list[Identified]:
    issuers = list(given_by)
    return [each for each in found if any(is_same_issuer(one, each.system) for one in issuers)]
