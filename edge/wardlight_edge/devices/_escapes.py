r"""Escape sequences of HL7 v2 and ASTM E1394: one code between two escape characters.

Out     the text that was meant: \F\ \S\ and the like by the delimiters in use, \Xhh..\ as octets;
        \H\ and \N\ only highlight, and are left out
        What is unknown here, and an escape character that stands alone, stays as sent: it tells
        identifiers apart, and two patients must not become one
Source  HL7 v2.6, 2.7; ASTM E1394-97 (CLSI LIS02-A2), 6, escape delimiter
"""

from collections.abc import Mapping
from typing import Final

_HIGHLIGHT: Final[Mapping[str, str]] = {"H": "", "N": ""}


def resolved(text: str, escape: str, meanings: Mapping[str, str], encoding: str) -> str:
    """Return ``text`` without escapes. ``meanings`` by code; ``encoding`` of octets in hex."""
    pieces = text.split(escape)
    if len(pieces) % 2 == 0:  # the last one ends nowhere
        pieces[-2:] = [escape.join(pieces[-2:])]
    for at in range(1, len(pieces), 2):
        code = pieces[at]
        found = meanings.get(code, _HIGHLIGHT.get(code))
        if found is None and code[:1] == "X":
            found = _octets_text(code[1:], encoding)
        pieces[at] = f"{escape}{code}{escape}" if found is None else found
    return "".join(pieces)


def _octets_text(digits: str, encoding: str) -> str | None:
    try:
        return bytes.fromhex(digits).decode(encoding)
    except ValueError:
        return None
