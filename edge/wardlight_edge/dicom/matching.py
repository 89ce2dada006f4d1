"""Attribute matching of C-FIND: does an entry match an identifier, and what of it goes back.

An empty list makes people type names by hand. So what no list can know is no reason for one: keys
of a manufacturer's own, circumstances of which an entry says nothing, a ``*`` where the standard
has no wild card. Whose the entry is, which order, where and when is never left open.

In      identifier (the keys of a request) and entry, decoded
Out     whether it matches; a data set with the keys that were asked for
Source  DICOM PS3.4, C.2.2.2 (single value, list of UID, universal, wild card, range, sequence);
        time ranges without their lower digits span the whole of the unit (PS3.5, 6.2, TM)
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from copy import deepcopy
from decimal import Decimal, InvalidOperation
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_TIMEZONE_OFFSET: Final = 0x00080201
_QUERY_LEVEL: Final = 0x00080052  # of queries for studies; some modalities send it here, too
_NO_KEYS: Final = frozenset({_SPECIFIC_CHARACTER_SET, _TIMEZONE_OFFSET, _QUERY_LEVEL})
_CIRCUMSTANCES: Final = frozenset(
    map(
        tag_for_keyword,
        (
            "ScheduledProcedureStepStatus", "ScheduledProcedureStepLocation",
            "ScheduledStationName", "InstitutionName", "InstitutionalDepartmentName",
            "RequestingService", "RequestedProcedurePriority", "CurrentPatientLocation",
        ),
    )
)  # fmt: skip
_TEXT: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "AS"})
_NUMBERS: Final = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
_ANY_REST: Final = re.compile(r"(\^\**)+\Z")
_HIGHEST_TIME: Final = "235959.999999"


def is_supported(identifier: Dataset, entry: Dataset) -> bool:
    """Whether every key with a value was compared with this entry, which matches.

    The others counted as universal.
    """
    return all(_is_compared(element, entry) for element in _keys(identifier))


def matches(identifier: Dataset, entry: Dataset) -> bool:
    """Whether all keys of the identifier match."""
    return all(_matches(element, entry) for element in _keys(identifier))


def answer(identifier: Dataset, entry: Dataset) -> Dataset:
    """The entry's values of all keys, empty where it has none, in the entry's character set."""
    found = _returned(identifier, entry)
    if _SPECIFIC_CHARACTER_SET in entry:
        found[_SPECIFIC_CHARACTER_SET] = entry[_SPECIFIC_CHARACTER_SET]
    return found


def _keys(identifier: Dataset) -> Iterable[DataElement]:
    return [each for each in identifier if each.tag not in _NO_KEYS and each.tag.element]


def _is_compared(key: DataElement, entry: Dataset) -> bool:
    if key.is_empty or key.tag.is_private_creator:
        return True
    if key.VR == "SQ":
        return len(key.value) <= 1 and all(
            is_supported(wanted, item)
            for wanted in key.value
            for item in _items(entry, key.tag) or [Dataset()]
            if matches(wanted, item)
        )
    return _can_match(key) and not _is_left_open(key, entry)


def _can_match(key: DataElement) -> bool:
    if key.tag.is_private:
        return False
    if key.VR == "SQ":
        return len(key.value) <= 1
    return key.VR in _TEXT | _NUMBERS | {"DA", "TM", "DT", "UI"}


def _is_left_open(key: DataElement, entry: Dataset) -> bool:
    return key.tag in _CIRCUMSTANCES and (key.tag not in entry or entry[key.tag].is_empty)


def _matches(key: DataElement, entry: Dataset) -> bool:
    if key.is_empty or not _can_match(key) or _is_left_open(key, entry):
        return True
    if key.VR == "SQ":
        wanted = key.value[0] if key.value else Dataset()
        if not any(not each.is_empty for each in _keys(wanted)):
            return True
        return any(matches(wanted, item) for item in _items(entry, key.tag))
    queries = _texts(key)
    if all(map(_is_universal, queries)):
        return True
    if key.VR == "PN" and not any(map(_bare, queries)):
        return True  # delimiters and wild cards alone ask for anybody
    held = _texts(entry[key.tag]) if key.tag in entry else []
    test = _TESTS.get(key.VR, _number if key.VR in _NUMBERS else _wildcard)
    return any(test(query, value) for query in queries for value in held)


def _returned(identifier: Dataset, entry: Dataset) -> Dataset:
    found = Dataset()
    for key in _keys(identifier):
        if key.VR == "SQ" and key.value and len(key.value) == 1 and len(key.value[0]):
            wanted = key.value[0]
            items = [item for item in _items(entry, key.tag) if matches(wanted, item)]
            value = Sequence([_returned(wanted, item) for item in items])
            found[key.tag] = DataElement(key.tag, "SQ", value)
        elif key.tag in entry:
            found[key.tag] = deepcopy(entry[key.tag])  # the answer is changed, what is held is not
        elif not key.tag.is_private:
            found[key.tag] = DataElement(key.tag, key.VR, Sequence() if key.VR == "SQ" else None)
    return found


def _items(entry: Dataset, tag: int) -> list[Dataset]:
    return list(entry[tag].value) if tag in entry and entry[tag].VR == "SQ" else []


def _texts(element: DataElement) -> list[str]:
    value = element.value
    values = value if isinstance(value, MultiValue | list) else [value]
    return [str(each).strip(" \0") for each in values if each is not None]


def _equal(query: str, value: str) -> bool:
    return query == value


def _number(query: str, value: str) -> bool:
    try:
        return Decimal(query) == Decimal(value)
    except InvalidOperation:
        return query == value


def _wildcard(query: str, value: str) -> bool:
    """``*`` is any text, ``?`` one character.

    Only the last ``*`` is ever tried again, so the work is at most length times length.
    """
    at, place, star, resumed = 0, 0, -1, 0
    while place < len(value):
        if at < len(query) and query[at] == "*":
            star, resumed, at = at, place, at + 1
        elif at < len(query) and query[at] in ("?", value[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resumed += 1
            at, place = star + 1, resumed
        else:
            return False
    return not query[at:].strip("*")


def _is_universal(query: str) -> bool:
    return set(query) == {"*"}


def _bare(name: str) -> str:
    return name.strip("^=* ")


def _name(query: str, value: str) -> bool:
    """PN without regard to case and accents; a query of one group matches any group."""
    asked, held = query.split("="), value.split("=")
    if len(asked) == 1:
        return any(_group(asked[0], group) for group in held)
    pairs = zip(asked, held + [""] * len(asked), strict=False)
    return all(not _bare(group) or _group(group, other) for group, other in pairs)


def _group(query: str, value: str) -> bool:
    """``^*`` at the end matches components that are not there too."""
    asked, held = _plain(query), _plain(value)
    return _wildcard(asked, held) or _wildcard(_ANY_REST.sub("", asked), held)


def _plain(name: str) -> str:
    """Lower case, accents removed, without the delimiters of components that are not there."""
    parts = unicodedata.normalize("NFKD", name.casefold())
    return "".join(each for each in parts if not unicodedata.combining(each)).rstrip("^ ")


def _date(query: str, value: str) -> bool:
    query, value = query.replace(".", "").replace(" ", ""), value.replace(".", "")
    return _in_range(query, value, "", "99999999", lambda end: end)


def _time(query: str, value: str) -> bool:
    query, value = query.replace(":", "").replace(" ", ""), value.replace(":", "")
    return _in_range(query, _time_from(value), "", _HIGHEST_TIME, _time_to)


def _moment(query: str, value: str) -> bool:
    """DT; a '-' that begins an offset from UTC is no range."""
    bare = re.sub(r"(?<=\d{4})[+-]\d{4}(?=-|$)", "", query)
    return _in_range(
        bare, re.sub(r"[+-]\d{4}$", "", value), "", "9" * 21, lambda end: end + "9" * 7
    )


def _in_range(
    query: str, value: str, lowest: str, highest: str, widened: Callable[[str], str]
) -> bool:
    first, dash, last = query.partition("-")
    if not dash:
        return value.startswith(query)
    return (first or lowest) <= value <= (widened(last) if last else highest)


def _time_from(value: str) -> str:
    whole, _, fraction = value.partition(".")
    return f"{whole:0<6}.{fraction:0<6}"


def _time_to(value: str) -> str:
    whole, _, fraction = value.partition(".")
    return f"{whole}{_HIGHEST_TIME[len(whole) : 6]}.{fraction:9<6}"


_TESTS: Final = {"DA": _date, "DT": _moment, "PN": _name, "TM": _time, "UI": _equal}
