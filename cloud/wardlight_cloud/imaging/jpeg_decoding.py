"""JPEG as old CR, US and XA write it: lossless (process 14) and extended with 12 bits.

A plugin of pydicom's decoders that hands frames to imagecodecs, and so to libjpeg-turbo. Samples
stay as they are coded: colours are converted, where they are, by pydicom.
Source  PS3.5, A.4.1 and A.4.2; ITU-T T.81, annex H
"""

from typing import Final

import numpy as np
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import UID, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

_LABEL: Final = "wardlight"
_END: Final = b"\xff\xd9"  # marker EOI
DECODER_DEPENDENCIES: Final = dict.fromkeys(
    (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",)
)
"""Asked for by pydicom."""


def is_available(uid: UID) -> bool:
    """Asked by pydicom."""
    return uid in DECODER_DEPENDENCIES


def add() -> None:
    """Let pydicom decode these transfer syntaxes; once is enough."""
    for decoder in map(get_decoder, DECODER_DEPENDENCIES):
        if _LABEL not in decoder.available_plugins:
            decoder.add_plugin(_LABEL, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Samples of a frame, interleaved by pixel; raises ValueError."""
    if _END not in source:  # the library would fill the rest with grey
        raise ValueError("the JPEG stream is cut off")
    # The same space on both sides is no conversion, whatever the stream says of its colours.
    space = None if runner.samples_per_pixel == 1 else "RGB"
    import imagecodecs  # with the first such frame: half a second that most processes never need

    try:
        samples = imagecodecs.jpeg8_decode(source, colorspace=space, outcolorspace=space)
    except imagecodecs.Jpeg8Error as error:
        raise ValueError("the JPEG stream is damaged") from error
    expected = (runner.rows, runner.columns, runner.samples_per_pixel)
    if samples.size != np.prod(expected, dtype=object):
        raise ValueError("the JPEG stream is of another size than the image")
    if runner.pixel_representation == 1:
        samples = _signed(samples, runner.bits_stored)
    runner.set_option("bits_allocated", samples.dtype.itemsize * 8)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    return bytes(samples.tobytes())


def _signed(samples: np.ndarray, bits: int) -> np.ndarray:
    """Two's complement of ``bits`` bits as that of the samples' own width."""
    width = samples.dtype.itemsize * 8
    shift = max(0, width - bits)
    return samples.view(np.dtype(f"i{samples.dtype.itemsize}")) << shift >> shift
