"""The value of one attribute, wherever in the data set it stands.

Errors  Refusal: no such attribute, or it has no octets of its own
"""

from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import AbsentError, Refusal

_SHORT_HEAD: Final = 8


def value(file: str, path: tuple[str, ...]) -> bytes:
    """Octets of the value, little-endian."""
    dataset = read(file)
    element = _element(dataset, path)
    octets = element.value
    return octets if isinstance(octets, bytes) else _encoded(element)


def _element(dataset: Dataset, path: tuple[str, ...]) -> DataElement:
    here: Dataset = dataset
    for place, step in enumerate(path[:-1:2]):
        element = _found(here, step)
        number = int(path[2 * place + 1])
        items = element.value if element.VR == "SQ" else ()
        if number >= len(items):
            raise AbsentError("The instance has no such item.")
        here = items[number]
    return _found(here, path[-1])


def _found(dataset: Dataset, tag: str) -> DataElement:
    if int(tag, 16) not in dataset:
        raise AbsentError("The instance has no such attribute.")
    element: DataElement = dataset[int(tag, 16)]
    return element


def _encoded(element: DataElement) -> bytes:
    """Text and numbers as they stand in a file, without tag and length."""
    if element.VR == "SQ":
        raise Refusal("A sequence has no value of its own.")
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    write_data_element(buffer, element, ["utf-8"])
    return buffer.getvalue()[_SHORT_HEAD:]
