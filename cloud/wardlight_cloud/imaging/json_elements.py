"""Attributes of the index (DICOM JSON) as pydicom has them, one by one: none stops the others.

Objects hold values that are none of their VR: an Integer String of "2a", which the index keeps as
octets of VR UN. ``element_of`` lets them through as they stand, ``readable`` leaves them out;
neither raises.
Source  PS3.18, annex F
"""

import base64
import re
import struct
from typing import Any, Final

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.valuerep import PersonName

# What is odd in a value is no news here, and what pydicom says of it quotes the value.
config.settings.reading_validation_mode = config.IGNORE

_NUMBERS_AS_TEXT: Final = frozenset({"DS", "IS"})
_PLAIN: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"})
"""Of the default character repertoire, whatever the data set says (PS3.5, 6.1.2.2)."""
_TEXT: Final = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_ERRORS: Final = (
    ValueError, TypeError, AttributeError, LookupError, OverflowError, NotImplementedError, OSError,
    struct.error,
)  # fmt: skip
"""What pydicom raises for values that it cannot read or write."""
_MOMENTS: Final = {
    "DA": re.compile(r"\d{4}(\.?)(0[1-9]|1[0-2])\1(0[1-9]|[12]\d|3[01])", re.ASCII),
    "TM": re.compile(r"([01]\d|2[0-3])((:?)[0-5]\d(\3([0-5]\d|60)(\.\d{1,6})?)?)?", re.ASCII),
}
"""Dates and times, those of ACR-NEMA too (PS3.5, 6.2)."""
Json = dict[str, Any]


def element_of(tag: int, attribute: Json) -> DataElement | None:
    """An attribute that can be written; None where it cannot be in any way.

    Bulk data is no part of it: the element is empty then.
    """
    vr = str(attribute.get("vr"))
    try:
        found = _made(tag, vr, attribute)
        if vr not in _TEXT and vr not in _PLAIN:
            _check_writable(found)
    except _ERRORS:
        return None
    return found


def readable(attributes: dict[str, Json]) -> Dataset:
    """Those attributes that can be written and read again as what their VR says."""
    made = Dataset()
    for tag, attribute in attributes.items():
        found = element_of(int(tag, 16), attribute)
        if found is not None and not _is_odd(found):
            made.add(found)
    return made


def _made(tag: int, vr: str, attribute: Json) -> DataElement:
    if "InlineBinary" in attribute and vr == "UN":
        return _unread(tag, base64.b64decode(attribute["InlineBinary"]))
    if "InlineBinary" in attribute:
        return DataElement.from_json(
            Dataset, f"{tag:08X}", vr, attribute["InlineBinary"], "InlineBinary"
        )
    values = attribute.get("Value") or []
    if not isinstance(values, list):
        raise TypeError("values are a list")
    if vr == "SQ":
        return DataElement(tag, vr, [_item(item) for item in values])
    if not values:
        return DataElement(tag, vr, None)
    if vr == "PN":
        return DataElement(tag, vr, [_name(value) for value in values])
    if vr in _TEXT:
        return DataElement(tag, vr, _one_or_all(_texts(values)))
    if vr in _PLAIN:
        return DataElement(tag, vr, _one_or_all(_ascii(values)))
    if vr in _NUMBERS_AS_TEXT:
        return _number(tag, vr, _ascii(values))
    return DataElement.from_json(Dataset, f"{tag:08X}", vr, values, "Value")


def _unread(tag: int, octets: bytes) -> DataElement:
    """What could not be read as its VR; text is still told as text of this VR."""
    vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
    if vr in _PLAIN or vr in _NUMBERS_AS_TEXT:
        texts = octets.decode("ascii").rstrip("\0 ").split("\\")
        return DataElement(tag, vr, _one_or_all(texts), already_converted=True)
    return DataElement(tag, "UN", octets, already_converted=True)


def _texts(values: list[Any]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _ascii(values: list[Any]) -> list[str]:
    found = _texts(values)
    if not all(text.isascii() for text in found):
        raise ValueError("not of the default character repertoire")
    return found


def _item(attributes: Json | None) -> Dataset:
    made = Dataset()
    for tag, attribute in (attributes or {}).items():
        found = element_of(int(tag, 16), attribute)
        if found is not None:
            made.add(found)
    return made


def _name(value: Any) -> PersonName:
    groups = [value.get(group) or "" for group in _GROUPS] if isinstance(value, dict) else [value]
    return PersonName("=".join(str(group or "") for group in groups).rstrip("="))


def _number(tag: int, vr: str, texts: list[str]) -> DataElement:
    """As pydicom reads it; as it stands where pydicom cannot."""
    try:
        return DataElement(tag, vr, _one_or_all(texts))
    except _ERRORS:
        return DataElement(tag, vr, _one_or_all(texts), already_converted=True)


def _one_or_all(texts: list[str]) -> Any:
    return texts[0] if len(texts) == 1 else texts


def _check_writable(element: DataElement) -> None:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    write_data_element(file, element, ["utf-8"])


def _is_odd(element: DataElement) -> bool:
    """Whether a value is none of its VR."""
    values = element.value if element.VM > 1 else [element.value]
    if (moment := _MOMENTS.get(element.VR)) is not None:
        return any(value and not moment.fullmatch(str(value).rstrip()) for value in values)
    if element.VR in _NUMBERS_AS_TEXT:
        return any(isinstance(value, str) and value for value in values)
    return element.VR == "UN"
