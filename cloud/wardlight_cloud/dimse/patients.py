"""Who a Patient ID stands for: numbers of different issuers are different people.

Two studies are of one patient when they have one number and issuer, or when the register knows both
as the same person's; not when it knows them as two people's.
Errors  AmbiguousPatientError: a number that stands for several
Source  PS3.3 C.7.1.1 (Issuer of Patient ID); PS3.4 C.6.1.1.2 (Patient ID is the unique key)
"""

from collections.abc import Iterable
from typing import Final

import orjson

from wardlight_cloud.dimse.matching import IdentifierError
from wardlight_cloud.store.imaging import ImageRow, Match

_PATIENT_ID: Final = "00100020"
_ISSUER: Final = "00100021"
Identity = tuple[str, str]


class AmbiguousPatientError(IdentifierError):
    """The number alone does not say who is meant."""

    def __init__(self) -> None:
        super().__init__("PatientID of several patients; say IssuerOfPatientID")


def number_and_issuer(row: ImageRow) -> tuple[str, str]:
    """Patient ID and its issuer, as they stand in a study."""
    study = orjson.loads(row.study)
    return _text(study, _PATIENT_ID), _text(study, _ISSUER)


def identity(row: ImageRow) -> Identity:
    """What tells patients of one answer apart: the number, and whose it is."""
    number, issuer = number_and_issuer(row)
    return number, issuer if row.patient is None else f"patient {row.patient}"


def check_one(rows: Iterable[ImageRow]) -> None:
    """AmbiguousPatientError when studies of one number are of several people."""
    found = list(rows)
    known = {row.patient for row in found if row.patient is not None}
    issuers = {number_and_issuer(row)[1] for row in found}
    are_all_known = all(row.patient is not None for row in found)
    if len(known) > 1 or (len(issuers) > 1 and not are_all_known):
        raise AmbiguousPatientError


def of_patient(number: str, issuer: str) -> tuple[Match, ...]:
    """Keys of the index for a number, and its issuer where that is said."""
    matches = (Match("PatientID", "equal", (number,)),)
    return (*matches, Match("IssuerOfPatientID", "equal", (issuer,))) if issuer else matches


def _text(study: dict[str, dict[str, list[object]]], tag: str) -> str:
    values = study.get(tag, {}).get("Value") or [""]
    return str(values[0])
