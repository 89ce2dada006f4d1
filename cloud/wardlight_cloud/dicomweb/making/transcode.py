"""A file anew in Explicit VR Little Endian: samples decoded, all else as it is.

Errors  Refusal
"""

import io
from typing import Final

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from wardlight_cloud.dicomweb.making.pixels import (
    frame_count,
    has_pixels,
    samples,
    transfer_syntax,
)
from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import Refusal
from wardlight_cloud.imaging.recoding import recode

_PIXELS: Final = 0x7FE00010
_LARGEST: Final = 1 << 30


def explicit_little(file: str) -> bytes:
    """The file with its data set in Explicit VR Little Endian."""
    dataset = read(file)
    syntax = transfer_syntax(dataset)
    if syntax.is_compressed and syntax.is_encapsulated and has_pixels(dataset):
        _decode(dataset)
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


def _decode(dataset: FileDataset) -> None:
    """Native samples in the place of encapsulated ones, interleaved by pixel."""
    count = frame_count(dataset)
    frames = []
    meaning = str(dataset.get("PhotometricInterpretation"))
    size = 0
    for number in range(1, count + 1):
        array, meaning = samples(dataset, number, as_rgb=True)
        frames.append(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        size += len(frames[-1])
        if size > _LARGEST:
            raise Refusal("The decoded object is larger than this server makes.")
    vr = "OB" if dataset.get("BitsAllocated", 16) <= 8 else "OW"
    dataset.add(DataElement(_PIXELS, vr, b"".join(frames) + b"\0" * (size % 2)))
    dataset.PhotometricInterpretation = meaning
    if dataset.get("SamplesPerPixel", 1) > 1:
        dataset.PlanarConfiguration = 0
