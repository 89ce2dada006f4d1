"""Whose a study is by the register, and what of that the study itself says otherwise.

An image under a wrong name is worse than a missing one: where number, name or date of birth of the
image are not those of the register, whoever reads it is told so. Names are compared as people write
them: without regard to case, accents and their transcriptions (ue for ü), second names, titles,
initials and the order of family and given name. A name in another writing than the register's is
not compared, and what either side does not say is no difference.

Source  PS3.3, C.7.1.1 (Patient Module); PS3.5, 6.2.1 (person names)
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.image_text import words

_LETTERS: Final = str.maketrans(
    {"Ø": "O", "Æ": "A", "Œ": "O", "Ł": "L", "Đ": "D", "Ð": "D", "ẞ": "SS", "'": "", "’": ""}
)
_TRANSCRIBED: Final = (("AE", "A"), ("OE", "O"), ("UE", "U"), ("AA", "A"))
_LEAST_WORD: Final = 2


_SEXES: Final = {"M": "male", "F": "female", "O": "other"}
_SEX_COMPARED: Final = ("male", "female")
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_NAME, _NUMBER, _BIRTH_DATE, _SEX = "00100010", "00100020", "00100030", "00100040"
_CHECK: Final = "Check whose it is before you read it."


@dataclass(frozen=True, slots=True)
class Said:
    """Whom an object or a study names as its patient; '' = it does not say.

    ``name``: PN with its groups. ``born``: ``YYYY-MM-DD``. ``sex``: male, female or other.
    """

    number: str = ""
    name: str = ""
    born: str = ""
    sex: str = ""


def said_of(attributes: Mapping[str, Any]) -> Said:
    """What DICOM JSON says."""
    return Said(
        number=_text(attributes, _NUMBER),
        name=_name_groups(attributes),
        born=iso_date(_text(attributes, _BIRTH_DATE)),
        sex=_SEXES.get(_text(attributes, _SEX).upper(), ""),
    )


def relation(said: Said, patient: UUID | None, owner: Patient | None, what: str = "study") -> str:
    """How what a study says of its patient fits the register; '' = they agree.

    ``what``: the word for what says it, where it is not a study.
    """
    if patient is None:
        return (
            "Unmatched: the register knows no patient for this study. Whose it is stands in the "
            "image only, until an operator assigns it."
        )
    if owner is None:
        return "It belongs to a patient whom the register no longer shows."
    found = differences(said, owner)
    sentences = []
    if "number" in found:
        number = f"says patient number {said.number}" if said.number else "names no patient number"
        sentences.append(
            f"Assigned by an order or an operator: the {what} itself {number}, which is not one of "
            "this patient's numbers in the register."
        )
    if "name" in found:
        own = ", ".join(part for part in (owner.family, owner.given) if part)
        sentences.append(
            f"Another name: the register has {own} as this patient, the {what} says another name. "
            f"{_CHECK}"
        )
    if "date of birth" in found:
        sentences.append(
            f"Another date of birth: the register has {owner.birth_date}, the {what} says "
            f"{said.born}. {_CHECK}"
        )
    if "sex" in found:
        sentences.append(
            f"Another sex: the register has {owner.gender}, the {what} says {said.sex}. {_CHECK}"
        )
    return " ".join(sentences)


def differences(said: Said, owner: Patient) -> tuple[str, ...]:
    """What a study says otherwise than the register, in words."""
    born = "" if owner.birth_date is None else owner.birth_date.isoformat()
    found = (
        (said.number in {value for _, value in owner.identifiers}, "number"),
        (_is_same_name(_parts(said.name), [(owner.family, owner.given)]), "name"),
        ("" in (said.born, born) or said.born == born, "date of birth"),
        (_is_same_sex(said.sex, owner.gender), "sex"),
    )
    return tuple(what for is_same, what in found if not is_same)


def is_other_name(name: str, family: str, given: str) -> bool:
    """Whether a name as DICOM writes it is not this one; '' is no other."""
    return not _is_same_name(_parts(name), [(family, given)])


def is_other_sex(code: str, gender: str) -> bool:
    """Whether a sex as DICOM writes it (M, F, O) contradicts the register's; '' does not."""
    return not _is_same_sex(_SEXES.get(code.strip().upper(), ""), gender)


def is_another(one: Said, other: Said) -> bool:
    """Whether two objects cannot be of one person by what they say."""
    return not (
        ("" in (one.number, other.number) or one.number == other.number)
        and _is_same_name(_parts(one.name), _parts(other.name))
        and ("" in (one.born, other.born) or one.born == other.born)
        and _is_same_sex(one.sex, other.sex)
    )


def iso_date(text: str) -> str:
    """A DA as ``YYYY-MM-DD``; what is none as it is."""
    digits = text.replace(".", "")
    if len(digits) != 8 or not digits.isdigit():
        return text
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def _text(attributes: Mapping[str, Any], tag: str) -> str:
    values = attributes.get(tag, {}).get("Value") or [None]
    return "" if values[0] is None else str(values[0]).strip()


def _name_groups(attributes: Mapping[str, Any]) -> str:
    """The name with its groups, as DICOM writes it."""
    values = attributes.get(_NAME, {}).get("Value") or [None]
    if not isinstance(values[0], dict):
        return ""
    return "=".join(str(values[0].get(group, "")) for group in _GROUPS).strip("= ")


def _parts(name: str) -> list[tuple[str, str]]:
    """Family and given name of each group."""
    found = [[*group.split("^"), "", ""] for group in name.split("=")]
    return [(group[0], group[1]) for group in found]


def _is_same_sex(one: str, other: str) -> bool:
    return one == other or not (one in _SEX_COMPARED and other in _SEX_COMPARED)


def _is_same_name(one: Iterable[tuple[str, str]], other: Iterable[tuple[str, str]]) -> bool:
    others = [each for each in map(_words, other) if any(each)]
    compared = [
        (a, b)
        for a in map(_words, one)
        for b in others
        if any(a) and _is_latin(*a) == _is_latin(*b)
    ]
    return not compared or any(_agree(*a, *b) for a, b in compared)


def _words(name: tuple[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _plain(name[0]), _plain(name[1])


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
