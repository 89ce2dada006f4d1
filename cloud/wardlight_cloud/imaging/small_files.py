"""DICOM files without pixel data, read whole: procedure steps and worklist entries.

In      octets of a file (PS3.10), or of a bare data set
Out     Dataset with every value decoded
Errors  HeaderError: "size", or "parse" for octets that are no such file
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Final

from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.file_meta import read_meta
from wardlight_shared.transfer_syntaxes import DEFLATED

MAX_BYTES: Final = 4 << 20
_MALFORMED: Final = (
    ArithmeticError, AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError,
    NotImplementedError, OSError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip


def read_file(octets: bytes) -> FileDataset:
    """Read a file with its meta information."""
    with _reading(octets):
        syntax = read_meta(BytesIO(octets)).transfer_syntax
        if syntax in DEFLATED:  # a few octets may become gigabytes
            raise HeaderError("syntax", "deflated data sets are not taken here")
        found = dcmread(BytesIO(octets), stop_before_pixels=True)
        _decode(found)
    return found


def read_data_set(octets: bytes, *, is_implicit: bool) -> Dataset:
    """Read a bare data set, little endian."""
    with _reading(octets):
        found = read_dataset(BytesIO(octets), is_implicit, True)
        _decode(found)
    return found


@contextmanager
def _reading(octets: bytes) -> Iterator[None]:
    if len(octets) > MAX_BYTES:
        raise HeaderError("size", f"{len(octets)} octets, at most {MAX_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would show values
            yield
    except _MALFORMED as error:
        raise HeaderError("parse", f"no readable DICOM file ({type(error).__name__})") from None


def _decode(data_set: Dataset) -> None:
    data_set.decode()
    for _ in data_set.iterall():  # a value is decoded when it is asked for
        pass


def encoded(data_set: Dataset) -> bytes:
    """Encode in Explicit VR Little Endian, without file meta information."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = False
    buffer.is_little_endian = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_dataset(buffer, data_set)
    except _MALFORMED as error:
        raise HeaderError("parse", f"cannot be written ({type(error).__name__})") from None
    return buffer.getvalue()


def text(data_set: Dataset, keyword: str) -> str:
    """Value of an attribute as text without padding; "" where it is absent or empty."""
    value = data_set.get(keyword)
    return "" if value is None else str(value).replace("\0", "").strip()


def items(data_set: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; [] where it is absent or no sequence."""
    if keyword not in data_set or data_set[keyword].VR != "SQ":
        return []
    return list(data_set[keyword].value)


def moment(data_set: Dataset, date: str, time: str) -> str:
    """``YYYYMMDD HHMMSS`` of a pair of attributes; "" without a date."""
    day = text(data_set, date).replace(".", "")
    clock = text(data_set, time).replace(":", "").partition(".")[0]
    return f"{day} {clock:0<6}" if day else ""


# Values that do not fit their VR are kept as they are: they were accepted where they were made.
config.settings.reading_validation_mode = config.IGNORE
