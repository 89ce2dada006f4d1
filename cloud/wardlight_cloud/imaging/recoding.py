"""A data set that was read, made ready to be written in another uncompressed transfer syntax.

Every value stays what it is: numbers change their order of octets, text is not read at all, so that
an Integer String of "2a" goes out as it came in.

Words of OW have 16 bits, whatever Bits Allocated says. That is PS3.5, 7.3 (of 2016b, the last that
has big endian): US, SS and OW are of two octets, OF of four; and samples of 32 bits are packed into
such words, the lower half first (8.1.1, annex D). DCMTK does the same. Some write the four octets
of such a sample the other way round; nothing in a file tells it, and they are read wrong.
"""

from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr

_NUMBERS: Final = {
    "US": 2, "SS": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "SV": 8, "UV": 8,
}  # fmt: skip
_WORDS: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_OCTETS: Final = _NUMBERS | _WORDS


def recode(dataset: Dataset, *, is_implicit: bool) -> None:
    """For Implicit or Explicit VR Little Endian, in place; samples must be uncompressed."""
    was_big = dataset.original_encoding[1] is False
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            _recode_raw(dataset, element)
        elif isinstance(element, DataElement) and was_big and isinstance(element.value, bytes):
            element.value = swapped(element.value, _WORDS.get(element.VR, 1))
        element = dataset.get_item(tag)
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value:
                recode(item, is_implicit=is_implicit)
    if not is_implicit:
        correct_ambiguous_vr(dataset, True)
    dataset.set_original_encoding(is_implicit, True)


def swapped(octets: bytes, size: int) -> bytes:
    """Words of ``size`` octets, each the other way round; as it is where it is not of such."""
    if size == 1 or len(octets) % size:
        return octets
    found = bytearray(len(octets))
    for place in range(size):
        found[place::size] = octets[size - 1 - place :: size]
    return bytes(found)


def _recode_raw(dataset: Dataset, raw: RawDataElement) -> None:
    if raw.VR in (None, "SQ"):
        try:
            dataset[raw.tag]  # reads it: its items, or which VR it has
        except (ValueError, TypeError, KeyError):
            dataset[raw.tag] = raw._replace(VR=dictionary_VR(raw.tag))
    elif not raw.is_little_endian:
        value = swapped(raw.value or b"", _OCTETS.get(raw.VR or "", 1))
        dataset[raw.tag] = raw._replace(value=value, is_little_endian=True)
