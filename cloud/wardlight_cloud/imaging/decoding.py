"""Which transfer syntaxes are decoded, and native samples in the place of encapsulated ones.

The one place for all that decode, so that no face gives out less than another. Decoders: pydicom's
own (RLE, deflated), pylibjpeg-openjpeg (JPEG 2000, HTJ2K), pyjpegls (JPEG-LS), Pillow (JPEG
baseline, and extended with 8 bits), jpeg_decoding.py (JPEG lossless, and extended with 12 bits).

Errors  DecodingError: this object cannot be decoded, now or ever; no text of the patient
"""

from itertools import islice
from typing import Any, Final

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID

from wardlight_cloud.imaging import jpeg_decoding
from wardlight_shared.errors import WardlightError

jpeg_decoding.add()

Samples = np.ndarray[Any, np.dtype[Any]]
FAILURES: Final = (ValueError, AttributeError, RuntimeError, IndexError, EOFError)
"""What pydicom raises for data that is damaged or does not fit its description."""
_PIXELS: Final = 0x7FE00010
_FLOAT: Final = ("FloatPixelData", "DoubleFloatPixelData")
_BITS: Final = 8
_LONGEST_VALUE: Final = 0xFFFFFFFE  # PS3.5 7.1.2


class DecodingError(WardlightError):
    """An object that cannot be decoded."""


def has_pixels(dataset: Dataset) -> bool:
    """Whether there is something to be seen."""
    return any(keyword in dataset for keyword in ("PixelData", *_FLOAT))


def frame_count(dataset: Dataset) -> int:
    """Frames of an image; one where it says nothing that can be understood."""
    try:
        return max(1, int(dataset.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def decoder_for(syntax: UID) -> Decoder:
    """The decoder of a transfer syntax; DecodingError where there is none."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise DecodingError(f"No decoder for transfer syntax {syntax}.") from error
    if not decoder.is_available:
        raise DecodingError(f"No decoder for transfer syntax {syntax}.")
    return decoder


def decompress(dataset: Dataset, *, largest: int) -> None:
    """Native samples in place of encapsulated ones, of ``largest`` octets at most.

    YBR becomes RGB, samples of a pixel stand together, and each has the bits that Bits Allocated
    says, whatever the codec gave. SOP Instance UID and transfer syntax are the caller's to set.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    decoder, count = decoder_for(syntax), frame_count(dataset)
    frames: list[bytes] = []
    size, meaning = 0, str(dataset.get("PhotometricInterpretation"))
    try:
        for array, meta in islice(decoder.iter_array(dataset, as_rgb=True), count):
            frames.append(_octets(widened(dataset, array)))
            meaning = str(meta["photometric_interpretation"])
            size += len(frames[-1])
            if size > min(largest, _LONGEST_VALUE):
                raise DecodingError("The decoded object is larger than this server makes.")
    except FAILURES as error:
        raise DecodingError(
            f"The pixel data cannot be decoded (transfer syntax {syntax})."
        ) from error
    if len(frames) < count:
        raise DecodingError("The pixel data has fewer frames than the object says.")
    vr = "OB" if dataset.get("BitsAllocated", 16) <= _BITS else "OW"
    dataset.add(DataElement(_PIXELS, vr, b"".join(frames) + b"\0" * (size % 2)))
    dataset.PhotometricInterpretation = meaning
    if dataset.get("SamplesPerPixel", 1) > 1:
        dataset.PlanarConfiguration = 0


def widened(dataset: Dataset, array: Samples) -> Samples:
    """Samples of as many bits as the metadata allocates, where a codec gives fewer."""
    size = int(dataset.get("BitsAllocated") or _BITS) // _BITS
    if array.dtype.kind not in "iu" or array.dtype.itemsize >= size or size not in (2, 4, 8):
        return array
    return array.astype(f"{array.dtype.kind}{size}")


def _octets(array: Samples) -> bytes:
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
