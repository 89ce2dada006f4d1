"""Grey values of a frame: from stored values to the 256 steps of a screen.

Where an image has both a window and a VOI LUT, the window is taken: the standard leaves the choice
to the application, and the built-in viewer chooses so. Rescale and window of an enhanced
multi-frame image are those of the frame's functional groups.
Source  PS3.3, C.7.6.16.2.9 and 2.10, C.11.1, C.11.2.1.1 to C.11.2.1.3; PS3.4, N.2
"""

from typing import Any, Final, NamedTuple, Self

import numpy as np
from pydicom.dataset import Dataset

from wardlight_cloud.dicomweb.jobs import Window
from wardlight_cloud.dicomweb.making.lookup import Lookup
from wardlight_cloud.dicomweb.making.refusal import Refusal
from wardlight_cloud.imaging.decoding import Samples

_SHAPES: Final = {"LINEAR": "linear", "LINEAR_EXACT": "linear-exact", "SIGMOID": "sigmoid"}
_WHITE: Final = 255.0
_ONE_BIT: Final = 1


def grey(
    dataset: Dataset, frame: int, array: Samples, meaning: str, window: Window | None
) -> Samples:
    """A frame of one sample a pixel, as octets."""
    rescale = _Rescale.of(dataset, frame)
    values = rescale.applied(array)
    padding = _padding(dataset, array)
    voi = _of_frame(dataset, frame, "FrameVOILUTSequence") or dataset
    chosen = window or _own_window(voi)
    if chosen is not None:
        steps = windowed(values, chosen)
    elif (table := _own_table(voi, is_signed=rescale.least < 0)) is not None:
        steps = table.applied(values) * (_WHITE / table.most)
    elif dataset.get("BitsStored") == _ONE_BIT:
        steps = _stretched(values, 0.0, 1.0)
    else:
        steps = _between_its_ends(values, padding)
    shown = np.floor(steps + 0.5).astype(np.uint8)  # as the browser rounds
    # Both say the same: a shape of INVERSE goes with MONOCHROME1 (PS3.3, C.8.11.3.1.2).
    if meaning == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        shown = 255 - shown
    if padding is not None:
        shown[padding] = 0  # background, whichever way grey runs (PS3.3, C.7.5.1.1.2)
    return shown


def windowed(values: Samples, window: Window) -> Samples:
    """Values through a window, from 0 to 255."""
    values = values.astype(np.float32)
    center, width = window.center, window.width
    if window.shape == "sigmoid":
        with np.errstate(over="ignore"):
            return np.asarray(_WHITE / (1 + np.exp(-4 * (values - center) / width)))
    if window.shape == "linear-exact":
        steps = (values - center) / width + 0.5
    elif width <= 1:  # a threshold (C.11.2.1.2.1: a width of 1 or more)
        steps = (values > center - 0.5).astype(np.float32)
    else:
        steps = (values - (center - 0.5)) / (width - 1) + 0.5
    return np.asarray(np.clip(steps, 0.0, 1.0) * _WHITE)


class _Rescale(NamedTuple):
    """Stored values to modality values: by a table, or by a line.

    least  the least value that can come out
    """

    table: Lookup | None
    slope: float
    intercept: float
    least: float

    @classmethod
    def of(cls, dataset: Dataset, frame: int) -> Self:
        is_signed = dataset.get("PixelRepresentation") == 1
        if tables := dataset.get("ModalityLUTSequence"):
            return cls(Lookup.of(tables[0], is_signed=is_signed), 1.0, 0.0, 0.0)
        source = _of_frame(dataset, frame, "PixelValueTransformationSequence") or dataset
        slope, intercept = _number(source, "RescaleSlope"), _number(source, "RescaleIntercept")
        # A slope of 0 would make all values one: it is none.
        slope, intercept = slope or 1.0, intercept or 0.0
        bits = int(_number(dataset, "BitsStored") or 16)
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
        return cls(None, slope, intercept, min(slope * end + intercept for end in ends))

    def applied(self, array: Samples) -> Samples:
        if self.table is not None:
            return self.table.applied(array)
        if self.slope == 1 and self.intercept == 0:
            return array
        return np.asarray(
            array.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)
        )


def _own_window(source: Dataset) -> Window | None:
    """The first window of the image that is one."""
    shape = _SHAPES.get(str(source.get("VOILUTFunction") or "LINEAR"), "linear")
    pairs = zip(_numbers(source, "WindowCenter"), _numbers(source, "WindowWidth"), strict=False)
    for center, width in pairs:
        if center is not None and width is not None and width > 0:
            return Window(center, width, shape)  # type: ignore[arg-type]
    return None


def _own_table(source: Dataset, *, is_signed: bool) -> Lookup | None:
    """The first VOI LUT; one that cannot be read is no reason to show nothing."""
    tables = source.get("VOILUTSequence")
    try:
        return Lookup.of(tables[0], is_signed=is_signed) if tables else None
    except Refusal:
        return None


def _of_frame(dataset: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The item of a functional group: the frame's own, or the one that all frames share."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    groups = [own[frame - 1]] if 0 < frame <= len(own) else []
    for group in (*groups, *(dataset.get("SharedFunctionalGroupsSequence") or ())[:1]):
        items = group.get(keyword)
        if items:
            item: Dataset = items[0]
            return item
    return None


def _number(source: Dataset, keyword: str) -> float | None:
    return next(iter(_numbers(source, keyword)), None)


def _numbers(source: Dataset, keyword: str) -> list[float | None]:
    value = source.get(keyword)
    several = hasattr(value, "__iter__") and not isinstance(value, str)
    return [_finite(each) for each in (value if several else [value])]


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _padding(dataset: Dataset, array: Samples) -> Any:
    """A mask of pixels that are no image, or None."""
    padding = _stored_value(dataset, "PixelPaddingValue")
    if padding is None:
        return None
    limit = _stored_value(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    return (array >= low) & (array <= high)


def _stored_value(dataset: Dataset, keyword: str) -> float | None:
    """A value as pixels have it: signed with them, also where it was written as VR US.

    Bits Stored bits count; some write -2000 of 16 bits as 63536.
    """
    value = _number(dataset, keyword)
    bits = int(_number(dataset, "BitsAllocated") or 16)
    if value is None or dataset.get("PixelRepresentation") != 1:
        return value + 2**bits if value is not None and value < 0 else value
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def _between_its_ends(values: Samples, padding: Any) -> Samples:
    """All values between black and white; what is no image counts for nothing."""
    shown = values if padding is None or padding.all() else values[~padding]
    return _stretched(values, float(shown.min()), float(shown.max()))


def _stretched(values: Samples, low: float, high: float) -> Samples:
    if high <= low:
        return np.zeros(values.shape, np.float32)
    steps = (values.astype(np.float32) - low) * (_WHITE / (high - low))
    return np.asarray(np.clip(steps, 0.0, _WHITE))
