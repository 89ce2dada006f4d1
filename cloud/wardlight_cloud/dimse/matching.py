"""A key of an identifier as a matching key of the index, by its value representation.

What the dictionary says of an attribute counts, not the representation that a peer has sent it in:
a date is one as LO, too.

Errors  IdentifierError naming the attribute, never the value
Source  PS3.4 C.2.2.2; PS3.5 6.2
"""

import re
from collections.abc import Iterable
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from wardlight_cloud.imaging import search_values
from wardlight_cloud.imaging.search_values import UnfitValueError
from wardlight_cloud.store.imaging import Match
from wardlight_shared.errors import WardlightError

MAX_UIDS: Final = 4096
"""Values of a list of UIDs at most."""
_UID: Final = re.compile(r"[0-9.]{1,64}")


class IdentifierError(WardlightError):
    """An identifier that does not fit its SOP class; the text is the error comment."""


def text_of(element: DataElement) -> str:
    """The value as text, several joined by backslash, without padding."""
    value = element.value
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    joined = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    return joined.strip(" \0")


def match_of(element: DataElement) -> Match | None:
    """How the values are matched, of an attribute of the dictionary; None = universal matching."""
    keyword, values = element.keyword, text_of(element).split("\\")
    vr = dictionary_VR(element.tag)
    if vr == "UI":
        values = list(uids(keyword, values))
    try:
        return search_values.match_of(keyword, vr, values)
    except UnfitValueError as error:
        raise IdentifierError(str(error)) from error


def uids(keyword: str, values: Iterable[str]) -> tuple[str, ...]:
    """UIDs of a list, each once."""
    found = tuple(dict.fromkeys(each for value in values if (each := value.strip(" \0"))))
    if len(found) > MAX_UIDS:
        raise IdentifierError(f"{keyword}: more than {MAX_UIDS} UIDs")
    if not all(_UID.fullmatch(each) for each in found):
        raise IdentifierError(f"{keyword}: not a UID")
    return found
