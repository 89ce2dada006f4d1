"""Encoded data sets as pydicom's, read whole.

In      octets and the transfer syntax of the presentation context
Out     Dataset with every value decoded, so that nothing foreign is met later
Errors  DecodeError: octets that are no data set of this syntax; TooMuch: one of too many values

A decoded value takes up to 1 KB however short it is: who sends a megabyte of empty ones would fill
the memory of a small gateway. So values are counted before they are made.
"""

import struct
import warnings
import zlib
from io import BytesIO
from typing import Final

from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from wardlight_shared.errors import DecodeError

_ITEMS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # their tag in both orders
_UNDEFINED: Final = 0xFFFFFFFF
EXPLICIT_LITTLE: Final = str(ExplicitVRLittleEndian)
_MALFORMED: Final = (
    ArithmeticError, AttributeError, BytesLengthException, EOFError, LookupError,
    NotImplementedError, OSError, RecursionError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip

# What a peer sends is matched and kept as it is, also where it does not fit its VR; a warning would
# show its values on stderr.
config.settings.reading_validation_mode = config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom\b")


class TooMuch(DecodeError):
    """A data set of more values than such a data set has."""


def read(octets: bytes, transfer_syntax: str, *, most_values: int) -> Dataset:
    """Decode a data set of an uncompressed, not deflated transfer syntax."""
    budget = _Budget(most_values)
    budget.spend(max(map(octets.count, _ITEMS)) + octets.count(b"\\"))
    syntax = UID(transfer_syntax)
    if syntax == DeflatedExplicitVRLittleEndian or not syntax.is_transfer_syntax:
        raise DecodeError("transfer syntax: not one of a request's data set")
    try:
        found = read_dataset(
            BytesIO(octets), syntax.is_implicit_VR, syntax.is_little_endian,
            stop_when=budget.count, defer_size=None,
        )  # fmt: skip
        _check_end(found, len(octets))
        _decode(found, budget)
        found.decode()
    except _MALFORMED as error:
        raise DecodeError(f"data set of {len(octets)} octets: {type(error).__name__}") from None
    return found


def _check_end(data_set: Dataset, length: int) -> None:
    """Fewer octets than the head of an element has would be passed over in silence."""
    if not len(data_set):
        if length:
            raise ValueError("no element")
        return
    last = data_set.get_item(list(data_set.keys())[-1])
    if not isinstance(last, RawDataElement) or last.length == _UNDEFINED:
        return
    if last.value_tell + last.length != length:
        raise ValueError("octets after the last element")


class _Budget:
    """How many more values may be made."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def count(self, *_element: object) -> bool:
        """Spend for an element that comes next; the reading goes on."""
        self.spend(1)
        return False

    def spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise TooMuch(f"more than {self._most} values")


def _decode(data_set: Dataset, budget: _Budget) -> None:
    """Decode every value, here and in items; ValueError for one that is shorter than it says."""
    for tag in list(data_set.keys()):
        raw = data_set.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.length not in (
            len(raw.value or b""),
            _UNDEFINED,
        ):
            raise ValueError("the data set ends within a value")
        element = data_set[tag]
        for item in element.value if element.VR == "SQ" else ():
            budget.spend(len(item))
            _decode(item, budget)


def written(data_set: Dataset) -> bytes:
    """Encode in Explicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = False
    buffer.is_little_endian = True
    try:
        write_dataset(buffer, data_set)
    except _MALFORMED as error:
        raise DecodeError(f"data set cannot be written: {type(error).__name__}") from None
    return buffer.getvalue()


def text(data_set: Dataset, keyword: str) -> str:
    """Value of an attribute as text without padding; "" where it is absent or empty."""
    value = data_set.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def items(data_set: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; [] where it is absent or no sequence."""
    if keyword not in data_set or data_set[keyword].VR != "SQ":
        return []
    return list(data_set[keyword].value)
