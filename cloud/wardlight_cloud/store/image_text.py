"""Names as the image index compares them: upper case, without accents, in pieces of three.

A person's name is kept as ``=GROUP=GROUP=``: its component groups (PS3.5, 6.2.1.2) each between
equals signs, so that a query for any of them is one pattern. What stands in front of a query is
the array of ``name_grams``: all runs of three characters of the name, and the beginnings of its
groups and words. A pattern with a literal run can only match a name that has the run's pieces.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_SEPARATORS: Final = re.compile(r"[\s^=,.-]+")
_ACCENTS: Final = range(0x0300, 0x0370)  # of Latin, Greek and Cyrillic; kana keep their marks
_GRAM: Final = 3


def folded(text: str) -> str:
    """Upper case, no accents, single spaces, no spaces around ``^`` and no empty end."""
    apart = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in apart if ord(letter) not in _ACCENTS)
    whole = unicodedata.normalize("NFC", bare).upper().replace("\0", "")
    groups = ("^".join(_trimmed(group)) for group in whole.split("="))
    return "=".join(groups).rstrip("=")


def _trimmed(group: str) -> list[str]:
    components = [" ".join(component.split()) for component in group.split("^")]
    while components and not components[-1]:
        components.pop()
    return components


def stored_name(text: str) -> str:
    """The form in which the index keeps a name; '' for none."""
    name = folded(text)
    return f"={name}=" if name else ""


def words(text: str) -> tuple[str, ...]:
    """The words of a name, as a fuzzy query matches them."""
    return tuple(word for word in _SEPARATORS.split(folded(text)) if word)


def name_grams(stored: str) -> list[str]:
    """All pieces of a stored name, each once, in order."""
    found = set(_runs(stored))
    for group in stored.split("="):
        if group:
            found.add(f"={group[0]}")
    for word in _SEPARATORS.split(stored):
        if word:
            found.update((f" {word[0]}", f" {word[:2]}"))
    return sorted(found)


def grams_of_pattern(pattern: str) -> list[str]:
    """Pieces that a stored name must have to match a wildcard pattern of a whole group."""
    found: set[str] = set()
    for run in re.split(r"[*?]", f"={pattern}="):
        found.update(_runs(run))
        if len(run) == _GRAM - 1 and run[0] == "=":
            found.add(run)
    return sorted(found)


def grams_of_words(asked: Iterable[str]) -> list[str]:
    """Pieces that a stored name must have to hold a word that begins with each of these."""
    found: set[str] = set()
    for word in asked:
        found.add(f" {word[:2]}")
        found.update(_runs(word))
    return sorted(found)


def like_pattern(wildcard: str) -> str:
    """A DICOM wildcard pattern (PS3.4, C.2.2.2.4) as the operand of LIKE."""
    escaped = re.sub(r"([%_\\])", r"\\\1", wildcard)
    return escaped.replace("*", "%").replace("?", "_")


def _runs(text: str) -> set[str]:
    return {text[start : start + _GRAM] for start in range(len(text) - _GRAM + 1)}
