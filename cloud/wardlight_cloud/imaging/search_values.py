"""Values of a search as a matching key of the index, by value representation: for all who search.

    UI      any of a list
    CS AE LO SH ...   one with * and ?, or any of a list
    PN      one, with * and ?; its words in any order, where that is asked for
    DA TM   one, or a range; a time by the precision that is given: 10 is the hour from ten
    IS US   any of a list of whole numbers

A question that the index cannot ask is refused: no answer to it would look like no such image.

Out     dates YYYYMMDD, times HHMMSS.ffffff; names as they come, for the index compares them in a
        form of its own
Errors  UnfitValueError naming the attribute, never the value
Source  PS3.4 C.2.2.2; PS3.5 6.2
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

from wardlight_cloud.store.imaging import Match
from wardlight_shared.errors import WardlightError

_LONGEST: Final = 1024
_WILDCARDS: Final = frozenset("*?")
_UID: Final = re.compile(r"[0-9.]{1,64}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12}")
_DAY: Final = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})")  # with points before 1993
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])(:?[0-5][0-9](:?([0-5][0-9]|60)(\.[0-9]{1,6})?)?)?")
_FIRST_OF_TIME: Final = "000000.000000"
_LAST_OF_TIME: Final = "005959.999999"
_LAST_DAY: Final = 31
_LAST_MONTH: Final = 12
_SEPARATORS: Final = re.compile(r"[\^,*?= ]+")


class UnfitValueError(WardlightError):
    """A value that is none of its attribute, or that the index cannot be asked for."""


def match_of(keyword: str, vr: str, values: Sequence[str], *, fuzzy: bool = False) -> Match | None:
    """How these values are matched; None = universal matching, which everything meets."""
    given = tuple(dict.fromkeys(each for value in values if (each := value.strip(" \0"))))
    if vr == "UI":
        return Match(keyword, "equal", _uids(keyword, given)) if given else None
    if not given or any(set(each) == {"*"} for each in given):
        return None
    if sum(map(len, given)) > _LONGEST:
        raise UnfitValueError(f"{keyword}: longer than {_LONGEST} characters")
    if vr in _OF_NUMBERS:
        return Match(keyword, "equal", tuple(_whole(keyword, each) for each in given))
    if vr in _OF_ONE and len(given) > 1:
        raise UnfitValueError(f"{keyword}: expected one value, not a list")
    if vr in _OF_ONE and (form := _OF_ONE[vr]) is not None:
        return form(keyword, given[0])
    if vr == "PN" and fuzzy:
        return Match(keyword, "fuzzy", (_SEPARATORS.sub(" ", given[0]).strip(),))
    if not any(_WILDCARDS & set(each) for each in given):
        return Match(keyword, "equal", given)
    if len(given) > 1:
        raise UnfitValueError(f"{keyword}: no wildcards in a list")
    return Match(keyword, "wildcard", given)


def _uids(keyword: str, given: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_UID.fullmatch(each) for each in given):
        raise UnfitValueError(f"{keyword}: not a UID")
    return given


def _whole(keyword: str, text: str) -> str:
    if _NUMBER.fullmatch(text) is None:
        raise UnfitValueError(f"{keyword}: expected a whole number")
    return str(int(text))


def _dates(keyword: str, text: str) -> Match:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash:
        return Match(keyword, "equal", (_day(keyword, first),))
    if not first and not last:
        raise _no_date(keyword)
    low, high = (_end(keyword, part) if part else "" for part in (first, last))
    return Match(keyword, "range", (low, high))


def _day(keyword: str, text: str) -> str:
    digits = _end(keyword, text)
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError as error:
        raise _no_date(keyword) from error
    return digits


def _end(keyword: str, text: str) -> str:
    """An end of a range; it may be a 31st of any month, as many say where a month ends."""
    found = _DAY.fullmatch(text)
    if found is None or not (1 <= int(found[3]) <= _LAST_MONTH and 1 <= int(found[4]) <= _LAST_DAY):
        raise _no_date(keyword)
    return found[1] + found[3] + found[4]


def _no_date(keyword: str) -> UnfitValueError:
    return UnfitValueError(f"{keyword}: expected 20260131, 20260101-20260131, or -20260131")


def _times(keyword: str, text: str) -> Match:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not first and not last:
        raise _no_time(keyword)
    low = _time(keyword, first, _FIRST_OF_TIME)
    high = _time(keyword, last if dash else first, _LAST_OF_TIME)
    return Match(keyword, "range", (low, high))


def _time(keyword: str, text: str, rest: str) -> str:
    """What is not given is taken from ``rest``."""
    if not text:
        return ""
    if _TIME.fullmatch(text) is None:
        raise _no_time(keyword)
    digits = text.replace(":", "")
    return digits + rest[len(digits) :]


def _no_time(keyword: str) -> UnfitValueError:
    return UnfitValueError(f"{keyword}: expected for instance 101500, 10-12, or 1030-")


_OF_NUMBERS: Final = frozenset({"IS", "US"})
_OF_ONE: Final[Mapping[str, Callable[[str, str], Match] | None]] = {
    "DA": _dates, "TM": _times, "PN": None,
}  # fmt: skip
