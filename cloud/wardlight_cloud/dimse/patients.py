"""Who a Patient ID stands for: numbers of different issuers are different people.

Two studies are of one patient when the register knows both as the same person's; not when it knows
them as two people's. Of one that it does not know only the study itself speaks: it is of the same
patient when number and issuer are the same and nothing else that it says of the patient (name, date
of birth, sex) is otherwise. Whoever has no number is another one in each study.

Errors  AmbiguousPatientError: a number that stands for several
Source  PS3.3 C.7.1.1 (Issuer of Patient ID); PS3.4 C.6.1.1.2 (Patient ID is the unique key)
"""

from collections.abc import Iterable
from itertools import chain
from typing import Final
from uuid import UUID

import orjson

from wardlight_cloud.dimse.matching import IdentifierError
from wardlight_cloud.imaging.owner import Said, is_another, said_of
from wardlight_cloud.store.imaging import ImageRow, Match

_PATIENT_ID: Final = "00100020"
_ISSUER: Final = "00100021"


class AmbiguousPatientError(IdentifierError):
    """The number alone does not say who is meant."""

    def __init__(self) -> None:
        super().__init__("PatientID of several; say IssuerOfPatientID or use Study Root")


class Person:
    """Studies of one number that are one person's."""

    def __init__(self, row: ImageRow, issuer: str, said: Said) -> None:
        self.rows = [row]
        self._patient: UUID | None = row.patient
        self._issuers = {issuer}
        self._said = [said]

    def is_of(self, row: ImageRow, issuer: str, said: Said) -> bool:
        """Whether a study can be this person's; unknown to the register comes after known."""
        if row.patient is not None:
            return row.patient == self._patient
        return issuer in self._issuers and not any(is_another(said, each) for each in self._said)

    def take(self, row: ImageRow, issuer: str, said: Said) -> None:
        """Another study of the same."""
        self.rows.append(row)
        self._issuers.add(issuer)
        if said not in self._said:
            self._said.append(said)


def people(rows: Iterable[ImageRow]) -> list[Person]:
    """Studies by whose they are; a study that could be of several is of one of its own."""
    found: dict[str, list[Person]] = {}
    told = [(row, *_issuer_and_said(row)) for row in rows]
    # Whom the register knows first, then who says most of himself.
    told.sort(key=lambda each: (each[0].patient is None, -_words(each[2])))
    for row, issuer, said in told:
        of_number = found.setdefault(said.number, [])
        is_told = said.number or row.patient is not None
        theirs = [each for each in of_number if is_told and each.is_of(row, issuer, said)]
        if len(theirs) == 1:
            theirs[0].take(row, issuer, said)
        else:
            of_number.append(Person(row, issuer, said))
    return list(chain.from_iterable(found.values()))


def number_and_issuer(row: ImageRow) -> tuple[str, str]:
    """Patient ID and its issuer, as they stand in a study."""
    study = orjson.loads(row.study)
    return _text(study, _PATIENT_ID), _text(study, _ISSUER)


def check_one(rows: Iterable[ImageRow]) -> None:
    """AmbiguousPatientError when studies of one number are of several people."""
    if len(people(rows)) > 1:
        raise AmbiguousPatientError


def of_patient(number: str, issuer: str) -> tuple[Match, ...]:
    """Keys of the index for a number, and its issuer where that is said."""
    matches = (Match("PatientID", "equal", (number,)),)
    return (*matches, Match("IssuerOfPatientID", "equal", (issuer,))) if issuer else matches


def _issuer_and_said(row: ImageRow) -> tuple[str, Said]:
    study = orjson.loads(row.study)
    return _text(study, _ISSUER), said_of(study)


def _words(said: Said) -> int:
    return sum(map(bool, (said.name, said.born, said.sex)))


def _text(study: dict[str, dict[str, list[object]]], tag: str) -> str:
    values = study.get(tag, {}).get("Value") or [""]
    return str(values[0])
