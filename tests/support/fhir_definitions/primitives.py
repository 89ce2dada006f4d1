"""Whether a JSON value is a primitive of a FHIR type.

Source  R4 4.0.1 2.24.0.1 (primitive types; their regexes come from the definitions), 2.6.2 (JSON)
"""

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

Json = Any
_INTEGERS: Final = frozenset({"integer", "positiveInt", "unsignedInt"})
_TIMES: Final = frozenset({"date", "dateTime", "instant"})
_URN: Final = {
    "urn:oid:": re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
    "urn:uuid:": re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}
_LARGEST: Final = 2**31 - 1


def problem(kind: str, value: Json, regex: str | None) -> str | None:
    """What is wrong with a primitive of type ``kind``; None = nothing."""
    if not _has_json_type(kind, value):
        return f"{value!r} is no JSON value of a {kind}"
    if kind in _INTEGERS:
        return None if -_LARGEST <= value <= _LARGEST and _fits(regex, str(value)) else "no number"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not text:
        return "an empty string"
    if not _fits(regex, text):
        return f"{text!r} is no {kind}"
    return _further(kind, text)


def _has_json_type(kind: str, value: Json) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in _INTEGERS:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "decimal":
        return isinstance(value, int | Decimal) and not isinstance(value, bool)
    return isinstance(value, str)


@lru_cache(maxsize=256)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)


def _fits(regex: str | None, text: str) -> bool:
    return regex is None or _compiled(regex).fullmatch(text) is not None


def _further(kind: str, text: str) -> str | None:
    """What regexes leave open: the calendar, and the grammar of the urn a uri names."""
    if kind in _TIMES and len(text) >= len("2026-01-31"):
        try:
            datetime.fromisoformat(text.replace(":60", ":59"))  # a leap second is allowed
        except ValueError:
            return f"{text!r} is not in the calendar"
    if kind == "uri":
        for prefix, pattern in _URN.items():
            if text.startswith(prefix) and pattern.fullmatch(text) is None:
                return f"{text!r} is no {prefix}"
    return None
