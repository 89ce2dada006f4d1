"""Whether what a modality says again is what it said before, however it writes it now.

A name is the same with or without empty components at its end, with another group than before
(PS3.5, 6.2: delimiters at the end may be left out), a text with or without spaces around it, a time
with or without a fraction of zero. What is said empty says nothing, and private elements are
nobody's business here.
"""

from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

_PADDING: Final = " \0"
_CHARACTER_SET: Final = 0x00080005


def says_the_same(held: Dataset, said: DataElement) -> bool:
    """Whether ``held`` has what is said, or nothing is said."""
    if said.is_empty:
        return True
    if said.tag not in held:
        return False
    known = held[said.tag]
    if said.VR == "SQ" or known.VR == "SQ":
        return known.VR == said.VR and _have_the_same(known, said)
    values, told = _values(known), _values(said)
    return len(values) == len(told) and all(
        _is_same(said.VR, one, other) for one, other in zip(values, told, strict=True)
    )


def _have_the_same(known: DataElement, said: DataElement) -> bool:
    """Item by item, as they come."""
    return len(known.value) == len(said.value) and all(
        says_the_same(item, each)
        for item, told in zip(known.value, said.value, strict=True)
        for each in told
        if each.tag != _CHARACTER_SET and not each.tag.is_private
    )


def _values(element: DataElement) -> list[object]:
    value = element.value
    return list(value) if isinstance(value, MultiValue | list) else [value]


def _is_same(vr: str, one: object, other: object) -> bool:
    if one == other:
        return True
    if isinstance(one, bytes) or isinstance(other, bytes):
        return False
    first, second = str(one).strip(_PADDING), str(other).strip(_PADDING)
    if vr == "PN":
        return _is_same_name(first, second)
    if vr == "TM":
        return _time(first) == _time(second)
    return first == second


def _is_same_name(one: str, other: str) -> bool:
    """By the groups that both have; without a group in common they are two names."""
    both = [
        (first, second)
        for first, second in zip(_groups(one), _groups(other), strict=False)
        if first and second
    ]
    return bool(both) and all(first == second for first, second in both)


def _groups(name: str) -> list[str]:
    """Each component without padding, without empty ones at the end."""
    return [
        "^".join(part.strip(_PADDING) for part in group.split("^")).rstrip("^")
        for group in name.split("=")
    ]


def _time(text: str) -> str:
    whole, _, fraction = text.replace(":", "").partition(".")
    return f"{whole}.{fraction.rstrip('0')}"
