"""Search parameters and their values, as every type of resource has them; pure functions.

Unknown parameters are ignored, or refused under ``Prefer: handling=strict``; a known parameter
with a bad value is always refused.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1 (search)
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.paging import CURSOR, SUMMARY, TOTAL, Parameters

_NO_SUMMARIES: Final = frozenset({"true", "text", "data"})
_IGNORED: Final = frozenset({"_format", "_pretty"})
_OF_THE_ANSWER: Final = frozenset({"_count", "_sort", CURSOR, SUMMARY, TOTAL})
_HAS: Final = "_has"
_SAME: Final = {"patient:Patient": "patient", "subject:Patient": "subject"}


def honoured_parameters(
    parameters: Parameters, known: Iterable[str], *, strict: bool
) -> list[tuple[str, str]]:
    """The parameters this server follows, those about the answer's form without a value left out.

    Unknown ones are ignored, or refused when ``strict``. A modifier or chain on a known one is
    always refused, and so is one that narrows the search and has no value: R4 lets a server ignore
    ``patient=``, but then it would answer with every patient's rows.
    """
    names = frozenset(known)
    plain = [(_SAME.get(name, name), text) for name, text in parameters]
    if any(name == SUMMARY and text in _NO_SUMMARIES for name, text in plain):
        if strict:
            raise invalid(SUMMARY, "this server knows no summary but count")
        plain = [pair for pair in plain if pair[0] != SUMMARY]
    for name in sorted({name for name, _ in plain} - names - _IGNORED):
        refuse_has(name)
        base = name.partition(":")[0].partition(".")[0]
        if base in names and base != name:
            raise invalid(name, "modifiers and chains are not supported")
        if strict:
            raise invalid(name, "this server does not know the parameter")
    honoured = [(name, text) for name, text in plain if name in names]
    for name, text in honoured:
        if name not in _OF_THE_ANSWER and not text.strip(","):
            raise invalid(name, "has no value; leave it out, or say what to look for")
    return [(name, text) for name, text in honoured if text]


def refuse_has(name: str) -> None:
    """``_has`` is refused where it is not understood: without it all would be found."""
    if name.partition(":")[0] == _HAS:
        text = (
            "this type cannot be searched by what refers to it; search that and take its references"
        )
        raise invalid(name[:64], text)


def split_values(text: str) -> list[str]:
    """Split an OR list at commas that are not escaped."""
    if "\\" not in text:
        return [value for value in text.split(",") if value]
    values, current, escaped = [], "", False
    for character in text:
        if escaped or character not in "\\,":
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        else:
            values.append(current)
            current = ""
    return [value for value in (*values, current) if value]


def token(text: str) -> tuple[str | None, str]:
    """``system|code`` or a bare code; an empty system means "no system": none of ours."""
    system, bar, code = text.partition("|")
    return (system, code) if bar else (None, text)


def reference_id(parameter: str, text: str, kind: str) -> UUID | None:
    """Id of ``ID`` or ``Kind/ID``; None when it cannot be one of ours.

    What is absolute still is another server's (addresses.py made our own relative).
    """
    of, slash, resource_id = text.rpartition("/")
    if "/" in of:
        return None
    if slash and of != kind:
        raise invalid(parameter, f"expected a reference to {kind}")
    found = uuid(resource_id)
    return found if str(found) == resource_id else None


def uuid(text: str) -> UUID | None:
    """A UUID, None when the text is none; digits of other scripts make none."""
    try:
        return UUID(text) if text.isascii() else None
    except ValueError:
        return None
