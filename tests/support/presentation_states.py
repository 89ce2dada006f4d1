"""A grayscale softcopy presentation state (PS3.3, A.33.1) of images, as a data set."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from support.dicom_files import image

STATE_CLASS = "1.2.840.10008.5.1.4.1.1.11.1"
_OF_PIXELS = (
    "PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
    "PhotometricInterpretation", "PixelRepresentation",
)  # fmt: skip


def reference(sop_uid: str, sop_class: str, *frames: int) -> Dataset:
    """A reference to an image, or to frames of it."""
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = sop_class, sop_uid
    if frames:
        made.ReferencedFrameNumber = list(frames)
    return made


def window(center: int, width: int, *of: Dataset) -> Dataset:
    """An item of the Softcopy VOI LUT Sequence; ``of``: references, none = of all."""
    made = Dataset()
    made.WindowCenter, made.WindowWidth = center, width
    if of:
        made.ReferencedImageSequence = list(of)
    return made


def presentation_state(of_series: str, *of: Dataset, **more: Any) -> Dataset:
    """A state of images of a series; ``more``: further attributes, its own study and UIDs too."""
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedImageSequence = of_series, list(of)
    told: dict[str, Any] = {
        "SOPClassUID": UID(STATE_CLASS), "Modality": "PR", "ContentLabel": "STATE",
        "ReferencedSeriesSequence": [series], "PresentationLUTShape": "IDENTITY",
    }  # fmt: skip
    made = image(**told | more)
    for keyword in _OF_PIXELS:
        delattr(made, keyword)
    return made


def add_overlay(made: Dataset, side: int, *pixels: tuple[int, int], group: int = 0x6000) -> None:
    """A plane with these pixels (row and column, from 0), as large as the image."""
    mask = np.zeros((side, side), np.uint8)
    for row, column in pixels:
        mask[row, column] = 1
    for element, kind, value in (
        (0x0010, "US", side), (0x0011, "US", side), (0x0040, "CS", "G"), (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1), (0x0102, "US", 0),
        (0x3000, "OW", np.packbits(mask.ravel(), bitorder="little").tobytes()),
    ):  # fmt: skip
        made.add_new((group, element), kind, value)
