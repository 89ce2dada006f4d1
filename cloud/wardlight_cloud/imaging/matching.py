"""Whose image it is: (issuer, patient id) of the header against the identifiers of the register.

A patient id alone is no identity, since sites use numbers again. Its issuer is that of the header,
else the one of the gateway's site, else the one that the settings give to all; of an import neither
counts, only what it was told. Without any nobody is found. It has to be the system of the
identifier, as the register has it, as the settings
translate it, or as an OID (``urn:oid:``). A birth date that both sides know has to be the same.
Where a side does not know it, a name that is another than the register's makes the number
nobody's, since every hospital gives out numbers; so do another name and another sex together. A
name alone changes, by marriage or by a better spelling, and an order of the same patient tells too.

An order with the accession number of the image has to be of the same patient. It also says whose
the image is where the register's identifiers do not: when it was ordered under the same patient id
of the same issuer, or was on the list of the gateway that brings the image. The birth date counts
there too, and so does the one that the order itself says: a number that was given out twice shows
in it, or in its name, where nobody has said whose the order is. Nobody's id is no id: an image
without one is not the order's by its number alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from wardlight_cloud.config import ImagesSettings
from wardlight_cloud.imaging.entry_person import birth_date_in, name_in
from wardlight_cloud.imaging.owner import is_other_name, is_other_sex
from wardlight_cloud.store.image_arrivals import InstanceHeader, UnmatchedReason
from wardlight_cloud.store.imaging import Identified
from wardlight_cloud.store.orders import Order


@dataclass(frozen=True, slots=True)
class Issuers:
    """What is known of issuers. ``default``: of ids that come without one; ``gateways``: of those
    that come without one from the site of a gateway; ``systems``: as devices send it = as the
    register writes it.
    """  # fmt: skip

    default: str | None = None
    systems: Mapping[str, str] = field(default_factory=dict)
    gateways: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: ImagesSettings) -> "Issuers":
        """As the settings say."""
        return cls(settings.issuer, settings.issuers, settings.gateway_issuers)

    def issuer(self, said: str, gateway: str | None = None, assumed: str | None = None) -> str:
        """Who gave out a patient id, as the register writes it; "" = nobody knows.

        ``assumed``: of one that comes without one, as Source has it.
        """
        if assumed is None:
            assumed = self.gateways.get(gateway or "") or self.default or ""
        found = said.strip() or assumed.strip()
        return self.systems.get(found, found)


Match = tuple[UUID | None, UnmatchedReason]
"""The patient; None and why: nobody, several, another birth date or name, another's order."""


def match(
    header: InstanceHeader,
    issuer: str,
    candidates: Iterable[Identified],
    issuers: Issuers,
    order: Order | None = None,
    gateway: str | None = None,
) -> Match:
    """Whose image it is; ``issuer`` as Issuers.issuer gives it, ``gateway`` that brought it."""
    candidates = tuple(candidates)
    patient, reason = _match(header, issuer, candidates, issuers, order, gateway)
    if patient is None:
        return patient, reason
    owners = [each for each in candidates if each.patient == patient]
    is_ordered = order is not None and order.patient == patient
    if not is_ordered and any(_is_somebody_else(header, each) for each in owners):
        return None, "name-differs"
    if order is None:
        return patient, reason
    born = {each.birth_date for each in owners}
    if order.patient == patient:
        born.add(order.birth_date)
    registered = {f"{each:%Y%m%d}" for each in born if each is not None}
    said = registered | {header.columns.get("PatientBirthDate", "")} - {""}
    ordered = {birth_date_in(each) for each in order.data_sets} - {""}
    if len(ordered) > 1 or (said and ordered and said != ordered):
        return None, "birth-date-differs"
    if order.patient is None and not ordered & registered and _is_named_otherwise(order, owners):
        return None, "order-differs"
    return patient, reason


def _is_somebody_else(header: InstanceHeader, owner: Identified) -> bool:
    """Whether the image has another name, and no birth date or sex speaks for the owner."""
    told = header.columns
    if not is_other_name(told.get("PatientName", ""), owner.family, owner.given):
        return False
    if owner.birth_date is None or not told.get("PatientBirthDate"):
        return True
    return is_other_sex(told.get("PatientSex", ""), owner.gender)


def _is_named_otherwise(order: Order, owners: Iterable[Identified]) -> bool:
    """Whether an order, of whom nobody has said who it is, is of somebody of another name."""
    return any(
        is_other_name(name_in(data_set), each.family, each.given)
        for data_set in order.data_sets
        for each in owners
    )


def registered_birth_date(
    patient: UUID | None, candidates: Iterable[Identified], order: Order | None
) -> str:
    """Of whom ``match`` found: YYYYMMDD as the register has it; "" = nobody, or it has none."""
    born = {each.birth_date for each in candidates if each.patient == patient}
    if order is not None and order.patient == patient:
        born.add(order.birth_date)
    found = born - {None} if patient is not None else set()
    return f"{found.pop():%Y%m%d}" if found else ""


def _match(
    header: InstanceHeader,
    issuer: str,
    candidates: Iterable[Identified],
    issuers: Issuers,
    order: Order | None,
    gateway: str | None,
) -> Match:
    patient, reason = _by_identifier(header, issuer, candidates)
    if order is None:
        return patient, reason
    ordered_by = issuers.issuer(order.issuer, gateway)
    if order.patient_id and header.patient_id and order.patient_id != header.patient_id:
        return None, "order-differs"
    if "" not in (issuer, ordered_by) and not is_same_issuer(issuer, ordered_by):
        return None, "order-differs"
    if patient is None and reason == "unknown":
        return _by_order(header, issuer, order, ordered_by, gateway)
    if None not in (patient, order.patient) and patient != order.patient:
        return None, "order-differs"
    return patient, reason


def _by_order(
    header: InstanceHeader, issuer: str, order: Order, ordered_by: str, gateway: str | None
) -> Match:
    if not header.patient_id or header.patient_id != order.patient_id:
        return None, "unknown"
    is_theirs = gateway in order.gateways or (issuer != "" and is_same_issuer(issuer, ordered_by))
    if is_theirs and _is_born_otherwise(header, order.birth_date):
        return None, "birth-date-differs"
    return (order.patient if is_theirs else None), "unknown"


def _by_identifier(header: InstanceHeader, issuer: str, candidates: Iterable[Identified]) -> Match:
    if not header.patient_id or not issuer:
        return None, "unknown"
    found = [
        each
        for each in candidates
        if each.value == header.patient_id and is_same_issuer(issuer, each.system)
    ]
    if not found:
        return None, "unknown"
    if len({each.patient for each in found}) > 1:
        return None, "ambiguous"
    if _is_born_otherwise(header, found[0].birth_date):
        return None, "birth-date-differs"
    return found[0].patient, "unknown"


def _is_born_otherwise(header: InstanceHeader, born: date | None) -> bool:
    told = header.columns.get("PatientBirthDate", "")
    return born is not None and told != "" and told != f"{born:%Y%m%d}"


def is_same_issuer(issuer: str, system: str) -> bool:
    """Whether an issuer, as Issuers.issuer gives it, is the system of an identifier."""
    return system.casefold() in (issuer.casefold(), f"urn:oid:{issuer}".casefold())
