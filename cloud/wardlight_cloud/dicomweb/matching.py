"""A value of a search as a matching key: by the attribute's value representation.

    UID list   1.2.3,1.2.4   1.2.3\\1.2.4          date      20260131   20260101-   -20260131
    code list  CT,MR
    wildcard   Smi*   J?ne                        time      10   1030-   101500-123000.5
    fuzzy      only names, where it is asked for

Errors  DicomWebError 400 naming the attribute, never the value
Source  PS3.4, C.2.2.2; PS3.18, 8.3.4.1
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from wardlight_cloud.dicomweb.errors import DicomWebError, bad_request
from wardlight_cloud.store.imaging import Match

_UIDS: Final = re.compile(r"[0-9.]{1,64}([,\\][0-9.]{1,64})*")
_DAY: Final = r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}"  # the second form is of before 1993
_DAY_RANGE: Final = re.compile(rf"({_DAY})?(-)?((?<=-)(?:{_DAY}))?")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])(:?[0-5][0-9](:?([0-5][0-9]|60)(\.[0-9]{1,6})?)?)?")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12}")
_LIST: Final = re.compile(r"[,\\]")
_LONGEST: Final = 1024
_LONGEST_LIST: Final = 64 * 1024
_SEPARATORS: Final = re.compile(r"[\^,*?= ]+")
_MOST_UIDS: Final = 1000


def match_of(keyword: str, vr: str, text: str, *, fuzzy: bool) -> Match | None:
    """The matching key; None = universal matching, which every value meets."""
    if "\0" in text or len(text) > _LONGEST_LIST:
        raise bad_request(f"{keyword}: not a value that can be matched")
    value = text.strip(" ")
    if not value or (set(value) == {"*"} and vr != "UI"):
        return None
    if vr == "UI":
        return Match(keyword, "equal", _uids(keyword, value))
    if len(value) > _LONGEST:
        raise bad_request(f"{keyword}: longer than {_LONGEST} characters")
    if vr in _OTHER_FORMS:
        return _OTHER_FORMS[vr](keyword, value)
    if vr == "PN" and fuzzy:
        return Match(keyword, "fuzzy", (_SEPARATORS.sub(" ", value).strip(),))
    if set(value) & set("*?"):
        return Match(keyword, "wildcard", (value,))
    if vr == "CS":  # no code has a comma, and viewers ask for several modalities at once
        return Match(keyword, "equal", tuple(dict.fromkeys(_LIST.split(value))))
    return Match(keyword, "equal", (value,))


def _uids(keyword: str, value: str) -> tuple[str, ...]:
    if _UIDS.fullmatch(value) is None:
        raise bad_request(
            f"{keyword}: expected UIDs, several of them joined by a comma or backslash"
        )
    found = tuple(dict.fromkeys(_LIST.split(value)))
    if len(found) > _MOST_UIDS:
        raise bad_request(f"{keyword}: more than {_MOST_UIDS} UIDs")
    return found


def _whole(keyword: str, value: str) -> Match:
    if _NUMBER.fullmatch(value) is None:
        raise bad_request(f"{keyword}: expected a whole number")
    return Match(keyword, "equal", (str(int(value)),))


def _dates(keyword: str, value: str) -> Match:
    found = _DAY_RANGE.fullmatch(value)
    if found is None or not (found[1] or found[3]):
        raise _no_day(keyword)
    low, high = (_day(keyword, text) if text else "" for text in (found[1], found[3] or ""))
    if found[2] is None:
        return Match(keyword, "equal", (low,))
    return Match(keyword, "range", (low, high))


def _day(keyword: str, text: str) -> str:
    digits = text.replace(".", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).strftime("%Y%m%d")
    except ValueError as error:
        raise _no_day(keyword) from error


def _no_day(keyword: str) -> DicomWebError:
    return bad_request(
        f"{keyword}: expected for instance 20260131, 20260101-20260131, 20260101- or -20260131"
    )


def _times(keyword: str, value: str) -> Match:
    """Times match by the precision that is given: ``10`` is the hour from ten."""
    first, dash, last = value.partition("-")
    if not dash:
        last = first
    ends = (_time(keyword, first, "000000.000000"), _time(keyword, last, "005959.999999"))
    if not any(ends):
        raise _no_time(keyword)
    return Match(keyword, "range", ends)


def _time(keyword: str, text: str, rest: str) -> str:
    """A time as HHMMSS.ffffff, what is not given taken from ``rest``."""
    if not text:
        return ""
    if _TIME.fullmatch(text) is None:
        raise _no_time(keyword)
    digits = text.replace(":", "")
    return digits + rest[len(digits) :]


def _no_time(keyword: str) -> DicomWebError:
    return bad_request(f"{keyword}: expected for instance 101500, 10-12, 1030- or -12")


_OTHER_FORMS: Final[Mapping[str, Callable[[str, str], Match]]] = {
    "DA": _dates, "TM": _times, "IS": _whole, "US": _whole,
}  # fmt: skip
