"""Frames of an image, decoded.

Decoders: pydicom's own (native, RLE, deflated), pylibjpeg-openjpeg (JPEG 2000, HTJ2K), pyjpegls
(JPEG-LS), Pillow (JPEG baseline, and extended with 8 bits), jpeg.py (JPEG lossless, and extended
with 12 bits).
Errors  Refusal: no decoder for the transfer syntax, no such frame, or damaged data
"""

from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from wardlight_cloud.dicomweb.making import jpeg
from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import AbsentError, Refusal

jpeg.add()

Samples = np.ndarray[Any, np.dtype[Any]]
LARGEST_FRAME: Final = 1 << 30  # octets
_FLOAT: Final = ("FloatPixelData", "DoubleFloatPixelData")
_BITS: Final = 8


def has_pixels(dataset: Dataset) -> bool:
    """Whether there is something to be seen."""
    return any(keyword in dataset for keyword in ("PixelData", *_FLOAT))


def frame_count(dataset: Dataset) -> int:
    """Frames of an image; one where it says nothing that can be understood."""
    try:
        return max(1, int(dataset.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def samples(dataset: Dataset, frame: int, *, as_rgb: bool) -> tuple[Samples, str]:
    """A frame (from 1) as rows, columns and, with several of them, samples; and what they mean.

    The second is the photometric interpretation of what is returned.
    """
    syntax = transfer_syntax(dataset)
    _check_size(dataset)
    if not 1 <= frame <= frame_count(dataset):
        raise AbsentError(f"The instance has no frame {frame}.")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise Refusal(f"No decoder for transfer syntax {syntax}.") from error
    if not decoder.is_available:
        raise Refusal(f"No decoder for transfer syntax {syntax}.")
    try:
        array, meta = decoder.as_array(dataset, index=frame - 1, raw=not as_rgb)
    except (ValueError, AttributeError, RuntimeError, IndexError, EOFError) as error:
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
    array = _widened(dataset, array)
    if array.ndim > 2:
        if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
            array = _halved(array)
        elif dataset.get("PlanarConfiguration") == 1:
            array = np.moveaxis(array, -1, 0)
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _widened(dataset: Dataset, array: Samples) -> Samples:
    """Samples of as many bits as the metadata allocates, where a codec gives fewer."""
    size = int(dataset.get("BitsAllocated") or _BITS) // _BITS
    if array.dtype.kind not in "iu" or array.dtype.itemsize >= size or size not in (2, 4, 8):
        return array
    return array.astype(f"{array.dtype.kind}{size}")


def _halved(array: Samples) -> Samples:
    """Y1 Y2 Cb Cr of each two pixels of a row (PS3.3, C.7.6.3.1.2)."""
    rows, columns, _ = array.shape
    if columns % 2:
        raise Refusal("YBR_FULL_422 with an odd number of columns has no form without compression.")
    pairs = array.reshape(rows, columns // 2, 2, 3).astype(np.uint16)
    chroma = (pairs[:, :, 0, 1:] + pairs[:, :, 1, 1:] + 1) // 2
    return np.concatenate((pairs[..., 0], chroma), axis=-1).astype(array.dtype)


def _check_size(dataset: Dataset) -> None:
    try:
        shape = [int(dataset.get(key) or 1) for key in ("Rows", "Columns", "SamplesPerPixel")]
        bits = int(dataset.get("BitsAllocated") or _BITS)
    except (TypeError, ValueError) as error:
        raise Refusal("The size of the image cannot be understood.") from error
    if int(np.prod(shape, dtype=object)) * max(bits, _BITS) // _BITS > LARGEST_FRAME:
        raise Refusal("A frame of this image is larger than this server decodes.")
