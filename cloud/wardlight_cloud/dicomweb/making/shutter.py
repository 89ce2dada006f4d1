"""Display shutter: what lies outside of a rectangle, circle or polygon is hidden.

With several shapes, what lies outside of any. Rows and columns count from 1; edges and vertices
belong to what is seen. A shutter that would hide all of the image is none.
Source  PS3.3, C.7.6.11
"""

from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset

from wardlight_cloud.imaging.decoding import Samples

_WORD: Final = 8  # bits of a P-Value beside those of the screen


def shuttered(dataset: Dataset, shown: Samples) -> Samples:
    """A frame as octets, hidden where its shutter says so."""
    seen = np.ones(shown.shape[:2], bool)
    for shape in _list(dataset.get("ShutterShape")):
        try:
            seen &= _SHAPES[str(shape)](dataset, *shown.shape[:2])
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            continue  # a shape that cannot be understood hides nothing
    if seen.all() or not seen.any():
        return shown
    shown = shown.copy()
    shown[~seen] = _hidden(dataset)
    return shown


def _hidden(dataset: Dataset) -> int:
    try:
        return min(int(dataset.get("ShutterPresentationValue") or 0) >> _WORD, 255)
    except (TypeError, ValueError):
        return 0


def _rectangle(dataset: Dataset, rows: int, columns: int) -> Any:
    left, right = int(dataset.ShutterLeftVerticalEdge), int(dataset.ShutterRightVerticalEdge)
    upper = int(dataset.ShutterUpperHorizontalEdge)
    lower = int(dataset.ShutterLowerHorizontalEdge)
    row, column = np.ogrid[1 : rows + 1, 1 : columns + 1]
    return (row >= upper) & (row <= lower) & (column >= left) & (column <= right)


def _circle(dataset: Dataset, rows: int, columns: int) -> Any:
    center_row, center_column = (int(each) for each in dataset.CenterOfCircularShutter)
    radius = int(dataset.RadiusOfCircularShutter)
    row, column = np.ogrid[1 : rows + 1, 1 : columns + 1]
    return (row - center_row) ** 2 + (column - center_column) ** 2 <= radius**2


def _polygon(dataset: Dataset, rows: int, columns: int) -> Any:
    """Even-odd: each edge that a row crosses turns what lies to the right of it."""
    numbers = [int(each) for each in dataset.VerticesOfThePolygonalShutter]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    if len(corners) < 3:
        raise ValueError("no polygon")
    turns = np.zeros((rows, columns + 1), np.int64)
    border = np.zeros((rows, columns), bool)
    for one, other in zip(corners, corners[1:] + corners[:1], strict=True):
        (top, left), (low, right) = sorted((one, other))
        for row in range(max(top, 1), min(low, rows) + 1):
            if top == low:
                _mark(border, row, min(left, right), max(left, right))
                continue
            column = left + (row - top) * (right - left) / (low - top)
            _mark(border, row, column, column)
            if row < low:
                turns[row - 1, int(np.clip(np.ceil(column) - 1, 0, columns))] += 1
    return (np.cumsum(turns, axis=1)[:, :columns] % 2 == 1) | border


def _mark(border: Any, row: int, first: float, last: float) -> None:
    low, high = max(int(np.ceil(first)), 1), min(int(np.floor(last)), border.shape[1])
    border[row - 1, low - 1 : max(high, low - 1)] = True


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


_SHAPES: Final = {"RECTANGULAR": _rectangle, "CIRCULAR": _circle, "POLYGONAL": _polygon}
