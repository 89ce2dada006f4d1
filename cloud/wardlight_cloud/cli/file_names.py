"""Names of files that others gave, as text for a terminal or a list."""

import os
import sys
from pathlib import Path


def named(path: Path, encoding: str | None = None) -> str:
    """The path on one line; what cannot be shown is written as ``\\xfc`` or ``\\u0301``.

    A name is octets, of which some are no UTF-8, end the line or steer the terminal. ``encoding``:
    of where it is written, default: standard output's.
    """
    return plain(os.fsencode(path).decode("utf-8", "backslashreplace"), encoding)


def plain(text: str, encoding: str | None = None) -> str:
    """A text of somebody else's on one line, as ``named`` has it."""
    shown = "".join(each if each.isprintable() else _escaped(each) for each in text)
    into = encoding or sys.stdout.encoding or "ascii"
    return shown.encode(into, "backslashreplace").decode(into)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
