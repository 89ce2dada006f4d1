"""Overlay planes of an image, drawn in white: groups 6000 to 601E.

A plane lies in Overlay Data, or in a bit of the stored values that no sample uses (as old files
have it). Graphics are drawn as they are; a region of interest (type R) only as its outline, so that
it hides nothing of the image. A plane that cannot be read is left out.
Source  PS3.3, C.9.2 and C.9.3; PS3.5, 8.1.2 (bits of a word: the first is the lowest)
"""

from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset

from wardlight_cloud.dicomweb.making.pixels import transfer_syntax
from wardlight_cloud.imaging.decoding import Samples, frame_count

_GROUPS: Final = range(0x6000, 0x6020, 2)
_ROWS, _COLUMNS, _FRAMES, _TYPE = 0x0010, 0x0011, 0x0015, 0x0040
_ORIGIN, _FIRST_FRAME, _BIT, _DATA = 0x0050, 0x0051, 0x0102, 0x3000
_WHITE: Final = 255


def with_overlays(dataset: Dataset, frame: int, shown: Samples) -> Samples:
    """A frame (from 1) as octets, with what lies over it."""
    for group in _GROUPS:
        try:
            plane = _plane(dataset, group, frame)
        except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError):
            continue
        if plane is not None:
            shown = _laid_over(shown, plane, _origin(dataset, group))
    return shown


def _plane(dataset: Dataset, group: int, frame: int) -> Any:
    """A mask of what is drawn over this frame; None = nothing."""
    rows, columns = (int(_value(dataset, group, each) or 0) for each in (_ROWS, _COLUMNS))
    if rows < 1 or columns < 1:
        return None
    octets = _value(dataset, group, _DATA)
    if octets:
        place = _frame_of_plane(dataset, group, frame)
        if place is None:
            return None
        first, last = place * rows * columns, (place + 1) * rows * columns
        part = np.frombuffer(octets, np.uint8)[first // 8 : (last + 7) // 8]
        bits = np.unpackbits(part, bitorder="little")[first % 8 :][: rows * columns]
    else:
        bits = _bits_beside(dataset, group, frame)
    mask = bits.reshape(rows, columns).astype(bool)
    return _outline(mask) if _value(dataset, group, _TYPE) == "R" else mask


def _frame_of_plane(dataset: Dataset, group: int, frame: int) -> int | None:
    """Which of the plane's frames lies over this one, from 0; one without a number over all."""
    count, first = (_value(dataset, group, each) for each in (_FRAMES, _FIRST_FRAME))
    if count is None and first is None:
        return 0
    place = frame - int(first or 1)
    return place if 0 <= place < int(count or 1) else None


def _bits_beside(dataset: Dataset, group: int, frame: int) -> Any:
    """One bit of each stored value; ValueError where it is none of its own."""
    bit = int(_value(dataset, group, _BIT) or 0)
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.HighBit)
    is_sample = high - stored < bit <= high
    if transfer_syntax(dataset).is_encapsulated or is_sample or allocated not in (8, 16):
        raise ValueError("no bit that an overlay may lie in")
    size = len(dataset.PixelData) // frame_count(dataset)
    octets = dataset.PixelData[(frame - 1) * size : frame * size]
    words = np.frombuffer(octets, "<u2" if allocated == 16 else "u1")
    return words[: int(dataset.Rows) * int(dataset.Columns)] >> bit & 1


def _outline(mask: Any) -> Any:
    inner = np.pad(mask, 1)
    inside = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~inside


def _origin(dataset: Dataset, group: int) -> tuple[int, int]:
    """Row and column of the image under the plane's first bit, from 0."""
    found = _value(dataset, group, _ORIGIN) or (1, 1)
    try:
        row, column = (int(each) for each in found)
    except (TypeError, ValueError):
        return 0, 0
    return row - 1, column - 1


def _laid_over(shown: Samples, plane: Any, origin: tuple[int, int]) -> Samples:
    places = np.argwhere(plane) + origin
    rows, columns = shown.shape[:2]
    is_inside = (places >= 0).all(axis=1) & (places < (rows, columns)).all(axis=1)
    places = places[is_inside]
    shown = shown.copy()
    shown[places[:, 0], places[:, 1]] = _WHITE
    return shown


def _value(dataset: Dataset, group: int, element: int) -> Any:
    found = dataset.get((group, element))
    return None if found is None else found.value
