"""A key of an identifier as a matching key of the index, by its value representation.

Out     a Match as InstanceHeader.columns are written: dates YYYYMMDD, times HHMMSS.ffffff; names
        as they come, for the index compares them in a form of its own
Errors  IdentifierError naming the attribute, never the value
Source  PS3.4 C.2.2.2; PS3.5 6.2 (DA, TM)
"""

import re
from collections.abc import Iterable
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from wardlight_cloud.store.imaging import Match
from wardlight_shared.errors import WardlightError

MAX_UIDS: Final = 4096
"""Values of a list of UIDs at most."""
_LONGEST: Final = 1024
_WILDCARDS: Final = frozenset("*?")
_NO_WILDCARDS: Final = frozenset({"DT", "DS", "IS", "US", "UL", "SS", "SL", "FL", "FD"})
_UID: Final = re.compile(r"[0-9.]{1,64}")
_DAY: Final = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")  # with points before 1993
_TIME: Final = re.compile(r"[0-9]{2}(:?[0-9]{2}(:?[0-9]{2}(\.[0-9]{1,6})?)?)?")
_FIRST_OF_TIME: Final = "000000.000000"
_LAST_OF_TIME: Final = "005959.999999"


class IdentifierError(WardlightError):
    """An identifier that does not fit its SOP class; the text is the error comment."""


def text_of(element: DataElement) -> str:
    """The value as text, several joined by backslash, without padding."""
    value = element.value
    joined = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    return joined.strip(" \0")


def match_of(element: DataElement) -> Match:
    """How a value is matched; it must not be empty (universal matching)."""
    keyword, text = element.keyword, text_of(element)
    if element.VR == "UI":
        return Match(keyword, "equal", uids(keyword, text.split("\\")))
    if len(text) > _LONGEST:
        raise IdentifierError(f"{keyword}: longer than {_LONGEST} characters")
    match element.VR:
        case "DA":
            return _days(keyword, text)
        case "TM":
            return _times(keyword, text)
    if element.VR not in _NO_WILDCARDS and _WILDCARDS & set(text):
        return Match(keyword, "wildcard", (text,))
    return Match(keyword, "equal", (text,))


def uids(keyword: str, values: Iterable[str]) -> tuple[str, ...]:
    """UIDs of a list, each once."""
    found = tuple(dict.fromkeys(each for value in values if (each := value.strip(" \0"))))
    if len(found) > MAX_UIDS:
        raise IdentifierError(f"{keyword}: more than {MAX_UIDS} UIDs")
    if not all(_UID.fullmatch(each) for each in found):
        raise IdentifierError(f"{keyword}: not a UID")
    return found


def _days(keyword: str, text: str) -> Match:
    first, dash, last = text.partition("-")
    low, high = (_day(keyword, part.strip()) for part in (first, last))
    if not dash:
        return Match(keyword, "equal", (low,))
    return Match(keyword, "range", (low, high))


def _day(keyword: str, text: str) -> str:
    if not text:
        return ""
    found = _DAY.fullmatch(text)
    if found is None:
        raise IdentifierError(f"{keyword}: neither a date nor a range of dates")
    return "".join(found.groups())


def _times(keyword: str, text: str) -> Match:
    """A time matches by the precision that is given: 10 is the hour from ten."""
    first, dash, last = text.partition("-")
    low = _time(keyword, first.strip(), _FIRST_OF_TIME)
    high = _time(keyword, (last if dash else first).strip(), _LAST_OF_TIME)
    return Match(keyword, "range", (low, high))


def _time(keyword: str, text: str, rest: str) -> str:
    if not text:
        return ""
    if _TIME.fullmatch(text) is None:
        raise IdentifierError(f"{keyword}: neither a time nor a range of times")
    digits = text.replace(":", "")
    return digits + rest[len(digits) :]
