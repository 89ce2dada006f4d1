"""Whose a study is by the register, and what of that the study itself says otherwise.

An image under a wrong name is worse than a missing one: where number, name or date of birth of the
image are not those of the register, whoever reads it is told so. Names are compared as people write
them: without regard to case, accents and their transcriptions (ue for ü), second names, titles,
initials and the order of family and given name. A name in another writing than the register's is
not compared.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from wardlight_cloud.dashboard.views import patient_name
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.image_text import words

_LETTERS: Final = str.maketrans(
    {"Ø": "O", "Æ": "A", "Œ": "O", "Ł": "L", "Đ": "D", "Ð": "D", "ẞ": "SS", "'": "", "’": ""}
)
_TRANSCRIBED: Final = (("AE", "A"), ("OE", "O"), ("UE", "U"), ("AA", "A"))
_LEAST_WORD: Final = 2


def relation(
    number: str, patient: UUID | None, owner: Patient | None, name: str = "", born: str = ""
) -> str:
    """How the study's own patient number, name and birth date fit the register; '' = they agree.

    ``name``, ``born``: as the study has them (PN, ``YYYY-MM-DD``), '' = it has none.
    """
    if patient is None:
        return (
            "Unmatched: the register knows no patient for this study. Whose it is stands in the "
            "image only, until an operator assigns it."
        )
    if owner is None:
        return "It belongs to a patient whom the register no longer shows."
    found = differences(number, owner, name, born)
    sentences = []
    if "number" in found:
        said = f"says patient number {number}" if number else "names no patient number"
        sentences.append(
            f"Assigned by an order or an operator: the study itself {said}, which is not one of "
            "this patient's numbers in the register."
        )
    if "name" in found:
        sentences.append(
            f"Another name: the register has {patient_name(owner)} as this patient, the study says "
            "another name. Check whose it is before you read it."
        )
    if "date of birth" in found:
        sentences.append(
            f"Another date of birth: the register has {owner.birth_date}, the study says {born}. "
            "Check whose it is before you read it."
        )
    return " ".join(sentences)


def differences(number: str, owner: Patient, name: str, born: str = "") -> tuple[str, ...]:
    """What the study says otherwise than the register, in words."""
    is_number = number in {value for _, value in owner.identifiers}
    is_born = not born or owner.birth_date is None or born == owner.birth_date.isoformat()
    found = (
        (is_number, "number"), (_is_same_name(name, owner), "name"), (is_born, "date of birth"),
    )  # fmt: skip
    return tuple(what for is_same, what in found if not is_same)


def _is_same_name(name: str, owner: Patient) -> bool:
    family, given = _plain(owner.family), _plain(owner.given)
    groups = [
        tuple(map(_plain, [*group.split("^"), "", ""][:2])) for group in name.split("=")
    ]  # fmt: skip
    compared = [
        each for each in groups
        if any(each) and _is_latin(*each) == _is_latin(family, given)
    ]  # fmt: skip
    if not compared or not (family or given):
        return True
    return any(_agree(each[0], each[1], family, given) for each in compared)


def _agree(
    family: Sequence[str], given: Sequence[str], own_family: Sequence[str], own_given: Sequence[str]
) -> bool:
    if _share(family, own_family) and _begin(given, own_given):
        return True
    said, known = {*family, *given}, {*own_family, *own_given}
    return len(said & known) >= _LEAST_WORD and (said <= known or known <= said)


def _share(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one has a word of the other; who has none says nothing else."""
    return not one or not other or not set(one).isdisjoint(other)


def _begin(one: Sequence[str], other: Sequence[str]) -> bool:
    """As ``_share``, and initials stand for names."""
    if not one or not other:
        return True
    return any(a.startswith(b) or b.startswith(a) for a in one for b in other)


def _plain(text: str) -> tuple[str, ...]:
    found = []
    for word in words(text):
        plain = word.translate(_LETTERS)
        for written, letter in _TRANSCRIBED:
            plain = plain.replace(written, letter)
        found.append(plain)
    return tuple(word for word in found if word)


def _is_latin(*parts: Iterable[str]) -> bool:
    letters = (letter for part in parts for word in part for letter in word)
    return any(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
