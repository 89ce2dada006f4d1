"""Elements of a data set as DICOM JSON (PS3.18, annex F), straight from their octets.

pydicom finds the elements; their values are converted here, four times as fast as by its
``to_json_dict``, to which a test holds the result equal. Differences on purpose:
SpecificCharacterSet says what the JSON is in; large values are left out by path; IEEE specials are
the strings the standard asks for; what cannot be read as its VR says is kept as octets of VR UN.
"""

import base64
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Literal, NoReturn

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS
from pydicom.values import convert_SQ

OCTETS_INLINE: Final = 1024
TEXT_INLINE: Final = 64 * 1024
WAVEFORM_INLINE: Final = 4 * 1024 * 1024
PIXEL_DATA: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_WAVEFORM_DATA: Final = 0x54001010
_DOCUMENT: Final = 0x00420011
_CHARACTER_SET: Final = 0x00080005
_ITEMS_DEEP: Final = 32
_UNDEFINED: Final = 0xFFFFFFFF

Json = dict[str, Any]

_BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_WORDS: Final[Mapping[str, int]] = {"OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2}
_ONE_TEXT: Final = frozenset(("LT", "ST", "UT", "UR"))
_IN_CHARACTER_SET: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_NUMBERS: Final[Mapping[str, tuple[str, int]]] = {
    "FD": ("d", 8),
    "FL": ("f", 4),
    "SL": ("i", 4),
    "SS": ("h", 2),
    "SV": ("q", 8),
    "UL": ("I", 4),
    "US": ("H", 2),
    "UV": ("Q", 8),
}
_AMBIGUOUS: Final = frozenset(("US or SS", "US or OW", "US or SS or OW", "OB or OW"))
_LUT_DATA: Final = 0x00283006
_PIXEL_REPRESENTATION: Final = 0x00280103
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,12}")
_DECIMAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(slots=True)
class Walk:
    """What is known along the way through a data set."""

    file: BinaryIO | None = None  # where values are that were left out of memory
    can_place: bool = True  # whether places in the data set are places in the file
    bulk: dict[str, tuple[int, int]] = field(default_factory=dict)
    is_signed: bool = False


def json_of(dataset: Dataset, walk: Walk) -> Json:
    """The data set without its pixel data; fills ``walk.bulk`` for values of the first level."""
    return _object(dataset, walk, [], "", 0)


def _object(dataset: Dataset, walk: Walk, encodings: list[str], path: str, depth: int) -> Json:
    if depth > _ITEMS_DEEP:
        raise RecursionError("sequences are nested too deeply")
    elements: dict[int, Any] = dataset._dict  # type: ignore[assignment]
    encodings = _encodings(elements, encodings)
    walk.is_signed = _is_signed(elements, walk.is_signed)
    made: Json = {}
    for tag in sorted(elements):
        if tag & 0xFFFF == 0 or (path and tag in (0xFFFEE00D, 0xFFFCFFFC)):
            continue
        key = f"{tag:08X}"
        if tag == _CHARACTER_SET:
            made[key] = {"vr": "CS", "Value": ["ISO_IR 192"]}
            continue
        made[key] = _element(elements[tag], dataset, walk, encodings, path + key, depth)
    return made


def _element(
    element: Any, dataset: Dataset, walk: Walk, encodings: list[str], path: str, depth: int
) -> Json:
    if isinstance(element, DataElement):  # a sequence of undefined length
        return _sequence(element.value, walk, encodings, path, depth)
    vr = _vr(element, dataset, walk.is_signed)
    if vr == "SQ":
        return _sequence(_items(element, walk, encodings), walk, encodings, path, depth)
    if element.length and _is_bulk(element, vr, depth):
        if depth == 0 and walk.can_place and element.length != _UNDEFINED:
            walk.bulk[path] = element.value_tell, element.length
        return {"vr": vr, "BulkDataURI": f"@/{path}"}
    octets: bytes = element.value or b""
    if not octets:
        return {"vr": vr}
    little = element.is_little_endian
    try:
        return _value(octets, vr, encodings, is_little_endian=little)
    except (ValueError, struct.error, LookupError):
        return {"vr": "UN", "InlineBinary": base64.b64encode(octets).decode("ascii")}


def _is_bulk(element: RawDataElement, vr: str, depth: int) -> bool:
    if element.value is None or element.length == _UNDEFINED:
        return True
    if element.tag == _WAVEFORM_DATA:
        return element.length > WAVEFORM_INLINE
    if element.tag in PIXEL_DATA or (element.tag == _DOCUMENT and depth == 0):
        return True
    return element.length > (OCTETS_INLINE if vr in _BINARY else TEXT_INLINE)


def _sequence(items: Any, walk: Walk, encodings: list[str], path: str, depth: int) -> Json:
    objects = [
        _object(item, walk, encodings, f"{path}/{place}/", depth + 1)
        for place, item in enumerate(items)
    ]
    return {"vr": "SQ", "Value": objects} if objects else {"vr": "SQ"}


def _items(element: RawDataElement, walk: Walk, encodings: list[str]) -> Any:
    octets = element.value
    if octets is None and element.length:
        assert walk.file is not None  # noqa: S101 - values are only left out where there is a file
        walk.file.seek(element.value_tell)
        octets = walk.file.read(element.length)
    # An element of VR UN is encoded as implicit VR little endian (PS3.5, 6.2.2).
    is_unknown = element.VR == "UN"
    return convert_SQ(
        octets or b"",
        element.is_implicit_VR or is_unknown,
        element.is_little_endian or is_unknown,
        encodings,
        element.value_tell,
    )


def _vr(element: RawDataElement, dataset: Dataset, is_signed: bool) -> str:
    vr = element.VR
    tag = int(element.tag)
    is_private = bool(tag >> 16 & 1)
    if vr is None or (vr == "UN" and not is_private):
        vr = _known_vr(tag, dataset, is_private) or "UN"
    if vr in _AMBIGUOUS:
        return _settled(vr, tag, is_signed)
    return str(vr)


def _known_vr(tag: int, dataset: Dataset, is_private: bool) -> str | None:
    try:
        if not is_private:
            return dictionary_VR(tag)
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "LO"
        creator = dataset._dict.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF)  # type: ignore[call-overload]
        if creator is None or not creator.value:
            return None
        name = creator.value
        text = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
        return private_dictionary_VR(tag, text.strip("\0 "))
    except KeyError:
        return None


def _settled(vr: str, tag: int, is_signed: bool) -> str:
    if vr == "OB or OW":
        return "OW"
    if tag == _LUT_DATA:
        return "OW"
    return "SS" if is_signed and "SS" in vr else "US"


def _value(octets: bytes, vr: str, encodings: list[str], *, is_little_endian: bool) -> Json:
    if vr in _BINARY:
        if not is_little_endian:
            octets = _swapped(octets, _WORDS.get(vr, 1))
        return {"vr": vr, "InlineBinary": base64.b64encode(octets).decode("ascii")}
    if vr in _NUMBERS:
        return {"vr": vr, "Value": _numbers(octets, vr, is_little_endian=is_little_endian)}
    if vr == "AT":
        order: Literal["<", ">"] = "<" if is_little_endian else ">"
        pairs = struct.iter_unpack(f"{order}HH", octets)
        return {"vr": vr, "Value": [f"{group:04X}{number:04X}" for group, number in pairs]}
    text = _text(octets, encodings if vr in _IN_CHARACTER_SET else [])
    if vr in _ONE_TEXT:
        text = text.rstrip("\0 ")
        return {"vr": vr, "Value": [text]} if text else {"vr": vr}
    convert = _CONVERSIONS.get(vr, _plain)
    values = [convert(each) for each in text.split("\\")]
    if len(values) == 1 and values[0] is None:
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def _swapped(octets: bytes, size: int) -> bytes:
    """Words the other way round: JSON has them as Little Endian syntaxes do (PS3.18, F.2.7)."""
    if size == 1 or len(octets) % size:
        return octets
    swapped = bytearray(len(octets))
    for place in range(size):
        swapped[place::size] = octets[size - 1 - place :: size]
    return bytes(swapped)


def _text(octets: bytes, encodings: list[str]) -> str:
    if octets.isascii() and b"\x1b" not in octets:
        return octets.decode("ascii")
    return decode_bytes(octets, encodings or ["iso8859"], TEXT_VR_DELIMS)


def _plain(text: str) -> str | None:
    return text.strip("\0 ") or None


def _ended(text: str) -> str | None:
    return text.rstrip("\0 ") or None


def _name(text: str) -> dict[str, str] | None:
    groups = text.rstrip("\0 ").split("=")
    kinds = zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False)
    return {kind: group.rstrip() for kind, group in kinds if group.strip()} or None


_LARGEST_INTEGER: Final = 2**53  # that every reader of JSON has exactly (RFC 8259, 6)


def _integer(text: str) -> int | None:
    bare = text.strip("\0 ")
    if not bare:
        return None
    if _INTEGER.fullmatch(bare):
        number = int(bare)
    elif _DECIMAL.fullmatch(bare) and float(bare).is_integer():
        number = int(float(bare))
    else:
        _no()
    return number if abs(number) <= _LARGEST_INTEGER else _no()


def _decimal(text: str) -> float | int | None:
    bare = text.strip("\0 ")
    if not bare:
        return None
    if _INTEGER.fullmatch(bare) and abs(int(bare)) <= _LARGEST_INTEGER:
        return int(bare)
    if not _DECIMAL.fullmatch(bare):
        _no()
    number = float(bare)
    return number if math.isfinite(number) else _no()


def _no() -> NoReturn:
    raise ValueError("not what its VR says")


_CONVERSIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "DS": _decimal,
    "IS": _integer,
    "LO": _ended,
    "PN": _name,
    "SH": _ended,
    "UC": _ended,
}


def _numbers(octets: bytes, vr: str, *, is_little_endian: bool) -> list[Any]:
    code, size = _NUMBERS[vr]
    count, rest = divmod(len(octets), size)
    if rest:
        raise ValueError("not a whole number of values")
    values = struct.unpack(f"{'<' if is_little_endian else '>'}{count}{code}", octets)
    if vr not in ("FD", "FL"):
        return list(values)
    return [value if math.isfinite(value) else _special(value) for value in values]


def _special(value: float) -> str:
    """As PS3.18, F.2.3 asks for what JSON has no number for."""
    return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def _encodings(elements: Mapping[int, Any], above: list[str]) -> list[str]:
    element = elements.get(_CHARACTER_SET)
    octets = getattr(element, "value", None)
    if not octets:
        return above
    text = octets.decode("ascii", "replace") if isinstance(octets, bytes) else str(octets)
    try:
        return convert_encodings([each.strip("\0 ") for each in text.split("\\")])
    except LookupError:
        return above


def _is_signed(elements: Mapping[int, Any], above: bool) -> bool:
    element = elements.get(_PIXEL_REPRESENTATION)
    octets = getattr(element, "value", None)
    return above if not isinstance(octets, bytes) else any(octets)
