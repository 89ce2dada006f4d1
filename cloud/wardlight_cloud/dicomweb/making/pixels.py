"""Frames of an image, decoded.

imaging/decoding.py says what is decoded.
Errors  Refusal: no decoder for the transfer syntax, no such frame, or damaged data
"""

from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import AbsentError, Refusal
from wardlight_cloud.imaging.decoding import (
    FAILURES,
    DecodingError,
    Samples,
    decoder_for,
    frame_count,
    has_pixels,
    widened,
)

LARGEST_FRAME: Final = 1 << 30  # octets
_BITS: Final = 8


def samples(dataset: Dataset, frame: int, *, as_rgb: bool) -> tuple[Samples, str]:
    """A frame (from 1) as rows, columns and, with several of them, samples; and what they mean.

    The second is the photometric interpretation of what is returned.
    """
    syntax = transfer_syntax(dataset)
    check_size(dataset)
    if not 1 <= frame <= frame_count(dataset):
        raise AbsentError(f"The instance has no frame {frame}.")
    try:
        decoder = decoder_for(syntax)
    except DecodingError as error:
        raise Refusal(str(error)) from error
    try:
        array, meta = decoder.as_array(dataset, index=frame - 1, raw=not as_rgb)
    except FAILURES as error:
        raise Refusal(f"The pixel data cannot be decoded (transfer syntax {syntax}).") from error
    return array, str(meta["photometric_interpretation"])


def transfer_syntax(dataset: Dataset) -> UID:
    """The transfer syntax; Refusal where the file does not tell it."""
    syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
    if syntax is None:
        raise Refusal("The object does not say its transfer syntax.")
    return UID(syntax)


def raw_frame(file: str, frame: int) -> bytes:
    """Samples of a frame as Explicit VR Little Endian holds them, as the metadata describes them.

    Colours stay what Photometric Interpretation says, but for YBR_RCT and YBR_ICT, which are RGB
    once they are decoded (PS3.5, 8.2.4); width and order of samples are those of Bits Allocated and
    Planar Configuration.
    """
    dataset = read(file)
    if not has_pixels(dataset):
        raise Refusal("The instance has no pixels.")
    array, _ = samples(dataset, frame, as_rgb=False)
    if dataset.get("BitsAllocated") == 1:
        return np.packbits(array.reshape(-1), bitorder="little").tobytes()
    array = widened(dataset, array)
    if array.ndim > 2:
        if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
            array = _halved(array)
        elif dataset.get("PlanarConfiguration") == 1:
            array = np.moveaxis(array, -1, 0)
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _halved(array: Samples) -> Samples:
    """Y1 Y2 Cb Cr of each two pixels of a row (PS3.3, C.7.6.3.1.2)."""
    rows, columns, _ = array.shape
    if columns % 2:
        raise Refusal("YBR_FULL_422 with an odd number of columns has no form without compression.")
    pairs = array.reshape(rows, columns // 2, 2, 3).astype(np.uint16)
    chroma = (pairs[:, :, 0, 1:] + pairs[:, :, 1, 1:] + 1) // 2
    return np.concatenate((pairs[..., 0], chroma), axis=-1).astype(array.dtype)


def check_size(dataset: Dataset) -> None:
    """Refusal of a frame that needs more memory than is spent on one."""
    try:
        shape = [int(dataset.get(key) or 1) for key in ("Rows", "Columns", "SamplesPerPixel")]
        bits = int(dataset.get("BitsAllocated") or _BITS)
    except (TypeError, ValueError) as error:
        raise Refusal("The size of the image cannot be understood.") from error
    if int(np.prod(shape, dtype=object)) * max(bits, _BITS) // _BITS > LARGEST_FRAME:
        raise Refusal("A frame of this image is larger than this server decodes.")
