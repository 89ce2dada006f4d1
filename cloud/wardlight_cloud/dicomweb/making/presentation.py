"""A grayscale softcopy presentation state laid on an image: the image as the state wants it.

What the state says stands in place of what the image says: modality transformation, window or VOI
LUT, which way grey runs, display shutter, overlays, rotation. Overlays of the image itself are
drawn where the state calls for them. Annotations are not drawn, and the displayed area is all of
the image.
Errors  Refusal: a state that subtracts frames or has a table of P-Values, which is not done here
Source  PS3.3, A.33.1, C.10.6, C.11.1, C.11.6, C.11.8; PS3.4, N.2
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset

from wardlight_cloud.dicomweb.making.refusal import Refusal
from wardlight_cloud.imaging.decoding import Samples

_MODALITY: Final = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType")
_VOI: Final = (
    "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction",
    "VOILUTSequence",
)  # fmt: skip
_OF_FRAMES: Final = ("FrameVOILUTSequence", "PixelValueTransformationSequence")
_SHUTTER: Final = range(0x00181600, 0x00181630)
_OVERLAYS: Final = range(0x6000, 0x6020, 2)
_LAYER, _DATA = 0x1001, 0x3000
_TURN: Final = 90


def lay_on(image: Dataset, state: Dataset, frame: int) -> None:
    """Change an image to what a state says of this frame of it."""
    if state.get("MaskSubtractionSequence") or state.get("PresentationLUTSequence"):
        raise Refusal("This presentation state subtracts frames or has a table, which is not done.")
    for group in _groups_of_frames(image):
        _drop(group, _OF_FRAMES)
    _take(image, state, _MODALITY)
    window = _window_of(state, str(image.get("SOPInstanceUID")), frame)
    _take(image, window, _VOI)
    if not any(keyword in window for keyword in ("WindowCenter", "VOILUTSequence")):
        image.WindowCenter, image.WindowWidth = _whole(image)
    image.PresentationLUTShape = state.get("PresentationLUTShape") or "IDENTITY"
    if image.get("PhotometricInterpretation") == "MONOCHROME1":
        image.PhotometricInterpretation = "MONOCHROME2"  # the state alone says which way grey runs
    for tag in [each for each in image.keys() if each in _SHUTTER]:  # noqa: SIM118 - it changes
        del image[tag]
    image.update({each.tag: each for each in state if each.tag in _SHUTTER})
    for group in _OVERLAYS:
        _take_overlay(image, state, group)


def turned(state: Dataset, shown: Samples) -> Samples:
    """A picture rotated clockwise, then mirrored, as a state says."""
    try:
        shown = np.rot90(shown, -(int(state.get("ImageRotation") or 0) // _TURN))
    except (TypeError, ValueError):
        raise Refusal("The rotation of this presentation state cannot be understood.") from None
    return np.fliplr(shown) if state.get("ImageHorizontalFlip") == "Y" else shown


def _window_of(state: Dataset, sop_uid: str, frame: int) -> Dataset:
    """The item of the state's VOI that is for this frame; an empty one where there is none."""
    for item in state.get("SoftcopyVOILUTSequence") or ():
        references = item.get("ReferencedImageSequence")
        if not references or any(_names(each, sop_uid, frame) for each in references):
            found: Dataset = item
            return found
    return Dataset()


def _names(reference: Dataset, sop_uid: str, frame: int) -> bool:
    frames = reference.get("ReferencedFrameNumber")
    several = hasattr(frames, "__iter__") and not isinstance(frames, str)
    named = [] if frames is None else list(frames) if several else [frames]
    is_named = not named or frame in (int(each) for each in named)
    return reference.get("ReferencedSOPInstanceUID") == sop_uid and is_named


def _whole(image: Dataset) -> tuple[float, float]:
    """Centre and width of all values that there can be: no VOI changes nothing (C.11.8)."""
    bits = int(image.get("BitsStored") or 16)
    ends: tuple[float, float] = (0, 2**bits - 1)
    if image.get("PixelRepresentation") == 1:
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if tables := image.get("ModalityLUTSequence"):
        ends = (0, 2 ** int(tables[0].LUTDescriptor[2]) - 1)
    elif "RescaleSlope" in image:
        slope, intercept = float(image.RescaleSlope), float(image.get("RescaleIntercept") or 0)
        ends = (ends[0] * slope + intercept, ends[1] * slope + intercept)
    low, high = min(ends), max(ends)
    return (low + high + 1) / 2, high - low + 1


def _take_overlay(image: Dataset, state: Dataset, group: int) -> None:
    own = [each for each in state if each.tag.group == group]
    if (group, _DATA) not in state and (group, _LAYER) in state:
        return  # the image's, which the state calls for
    for tag in [each for each in image.keys() if each.group == group]:  # noqa: SIM118 - as above
        del image[tag]
    image.update({each.tag: each for each in own})


def _take(image: Dataset, source: Dataset, keywords: Iterable[str]) -> None:
    """What the source says of these, and nothing where it says nothing."""
    _drop(image, keywords)
    for keyword in keywords:
        if keyword in source:
            image[keyword] = source[keyword]


def _drop(dataset: Dataset, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        if keyword in dataset:
            delattr(dataset, keyword)


def _groups_of_frames(image: Dataset) -> list[Any]:
    keywords = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    return [group for keyword in keywords for group in image.get(keyword) or ()]
