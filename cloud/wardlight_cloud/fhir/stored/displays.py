"""Whether a reference's text names somebody else than the Patient that it leads to.

``{"reference": "Patient/1", "display": "Brandt, Bert"}``, where Patient/1 is Anna Almeida, is a
measurement of one of the two; which, nobody can tell. Texts without a name (a number, "Patient",
another script than the register's) say nothing, and contradict nothing.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_WRITTEN_OUT: Final = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("ß", "ss"), ("ø", "o"), ("æ", "a"))
_NO_NAMES: Final = frozenset(
    {"anonymous", "client", "mr", "mrs", "ms", "patient", "person", "self", "subject", "test",
     "the", "unknown", "user"}
)  # fmt: skip


def names_another(display: str, patient: dict[str, Any]) -> bool:
    """Whether no word of a text is one of the Patient's names, though both have names."""
    said, known = _words(display) - _NO_NAMES, _words(" ".join(_names(patient)))
    if not said or not known or any(each.isdigit() for each in display):
        return False
    if all(map(str.isascii, said)) is not all(map(str.isascii, known)):
        return False
    return said.isdisjoint(known)


def _names(patient: dict[str, Any]) -> Iterator[str]:
    for name in patient.get("name", []):
        yield from (each for each in name.get("given", []) if isinstance(each, str))
        yield from (name[key] for key in ("family", "text") if key in name)


def _words(text: str) -> set[str]:
    """As names compare: without marks and case, and however umlauts are written."""
    plain = "".join(
        each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each)
    ).lower()
    for written, letter in _WRITTEN_OUT:
        plain = plain.replace(written, letter)
    return set(_WORD.findall(plain))
