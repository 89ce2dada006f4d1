"""Whose fault it is decides the type; the tree in the docstring is the tree in the code."""

import inspect
import re

from wardlight_shared import errors
from wardlight_shared.errors import EnvelopeError, VersionError, WardlightError


def test_the_tree_of_the_docstring_is_true() -> None:
    docstring = inspect.getdoc(errors) or ""
    drawn = re.findall(r"^([│ ├└─]*)(\w+(?:Error|Full|Corrupt))\b", docstring, re.MULTILINE)
    parents: dict[int, str] = {}
    for branch, name in drawn:
        depth = len(branch) // 4
        parents[depth] = name
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        assert bases == [parents[depth - 1] if depth else "Exception"], name
    found = {
        name
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, WardlightError)
    }
    assert {name for _, name in drawn} == found


def test_an_envelope_error_says_where() -> None:
    error = EnvelopeError("wrong", where="$[3]")
    assert (str(error), error.where) == ("$[3]: wrong", "$[3]")
    assert EnvelopeError("wrong").where == "$"


def test_a_version_error_says_which() -> None:
    error = VersionError(9, 1)
    assert (error.version, error.where) == (9, "$[0]")
    assert "knows up to 1" in str(error)
