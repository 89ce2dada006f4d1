"""A file anew in Explicit VR Little Endian: samples decoded, all else as it is.

Errors  Refusal
"""

import io
from typing import Final

from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from wardlight_cloud.dicomweb.making.pixels import check_size, transfer_syntax
from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import Refusal
from wardlight_cloud.imaging.decoding import DecodingError, decompress, has_pixels
from wardlight_cloud.imaging.recoding import recode

_LARGEST: Final = 1 << 30


def explicit_little(file: str) -> bytes:
    """The file with its data set in Explicit VR Little Endian."""
    dataset = read(file)
    syntax = transfer_syntax(dataset)
    if syntax.is_compressed and syntax.is_encapsulated and has_pixels(dataset):
        check_size(dataset)
        try:
            decompress(dataset, largest=_LARGEST)
        except DecodingError as error:
            raise Refusal(str(error)) from error
    recode(dataset, is_implicit=False)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    octets = io.BytesIO()
    try:
        dcmwrite(
            octets, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False,
            force_encoding=True,
        )  # fmt: skip
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as error:
        raise Refusal("This object cannot be written in Explicit VR Little Endian.") from error
    return octets.getvalue()
