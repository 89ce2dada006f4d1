"""A value of a search as a matching key: by the attribute's value representation.

    UID list   1.2.3,1.2.4   1.2.3\\1.2.4          date      20260131   20260101-   -20260131
    code list  CT,MR         numbers 1,2           time      10   1030-   101500-123000.5
    wildcard   Smi*   J?ne                        fuzzy     only names, where it is asked for

Errors  DicomWebError 400 naming the attribute, never the value
Source  PS3.4, C.2.2.2; PS3.18, 8.3.4.1
"""

import re
from typing import Final

from wardlight_cloud.dicomweb.errors import bad_request
from wardlight_cloud.imaging import search_values
from wardlight_cloud.imaging.search_values import UnfitValueError
from wardlight_cloud.store.imaging import Match

_UIDS: Final = re.compile(r"[0-9.]{1,64}([,\\][0-9.]{1,64})*")
_LIST: Final = re.compile(r"[,\\]")
_BY_COMMA: Final = frozenset({"UI", "CS", "IS", "US"})  # whose values have none
_LONGEST: Final = 64 * 1024
_MOST_UIDS: Final = 1000


def match_of(keyword: str, vr: str, text: str, *, fuzzy: bool) -> Match | None:
    """The matching key; None = universal matching, which every value meets."""
    if "\0" in text or len(text) > _LONGEST:
        raise bad_request(f"{keyword}: not a value that can be matched")
    value = text.strip(" ")
    if vr == "UI" and value and _UIDS.fullmatch(value) is None:
        raise bad_request(
            f"{keyword}: expected UIDs, several of them joined by a comma or backslash"
        )
    values = _LIST.split(value) if vr in _BY_COMMA else value.split("\\")
    if vr == "UI" and len(values) > _MOST_UIDS:
        raise bad_request(f"{keyword}: more than {_MOST_UIDS} UIDs")
    try:
        return search_values.match_of(keyword, vr, values, fuzzy=fuzzy)
    except UnfitValueError as error:
        raise bad_request(str(error)) from error
