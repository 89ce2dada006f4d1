"""Pixels that are no image are black, here and in the browser (PS3.3, C.7.5.1.1.2)."""

from typing import Any

import numpy as np
import pytest

from support.dicom_files import image
from support.viewer_modules import in_node
from wardlight_cloud.dicomweb.jobs import Window
from wardlight_cloud.dicomweb.making.grey import grey

_WINDOW = Window(0.0, 8000.0)


def _dataset(values: Any, **more: Any) -> Any:
    signed = values.dtype.kind == "i"
    side = len(values)
    return image(side=side, PixelRepresentation=int(signed), PixelData=values.tobytes(), **more)


@pytest.mark.parametrize("said", [-2000, 63536])
@pytest.mark.parametrize("meaning", ["MONOCHROME1", "MONOCHROME2"])
def test_signed_padding_is_black_however_it_was_written(said: int, meaning: str) -> None:
    """Some write -2000 of 16 bits as 63536 of VR US."""
    values = np.array([[-2000, -1999], [100, 3000]], "<i2")
    dataset = _dataset(values, PhotometricInterpretation=meaning)
    dataset.add_new(0x00280120, "SS" if said < 0 else "US", said)
    shown = grey(dataset, 1, values, meaning, _WINDOW)
    assert shown[0, 0] == 0
    assert (shown[1] > 0).all()
    assert grey(dataset, 1, values, meaning, None)[0, 0] == 0


def test_a_range_of_padding_is_black_at_both_ends() -> None:
    values = np.array([[-2000, -1500], [-1499, 3000]], "<i2")
    dataset = _dataset(values, PixelPaddingValue=-1500, PixelPaddingRangeLimit=-2000)
    shown = grey(dataset, 1, values, "MONOCHROME2", _WINDOW)
    assert (shown[0] == 0).all()
    assert (shown[1] > 0).all()


def test_unsigned_padding_that_was_written_with_a_sign() -> None:
    values = np.array([[65535, 1], [2, 40000]], "<u2")
    dataset = _dataset(values)
    dataset.add_new(0x00280120, "SS", -1)
    assert grey(dataset, 1, values, "MONOCHROME2", Window(0.0, 100.0)).tolist()[0][0] == 0


def test_the_browser_reads_padding_alike() -> None:
    def header(padding: int, signed: int) -> dict[str, Any]:
        found = {"00280100": 16, "00280103": signed, "00280120": padding, "00280121": padding}
        return {tag: {"vr": "US", "Value": [value]} for tag, value in found.items()}

    cases = [header(63536, 1), header(-2000, 1), header(65535, 0), header(-1, 0), {}]
    found = in_node(
        "pixels",
        "return cases.map(describe).map(({ padding, paddingLimit }) => [padding, paddingLimit])",
        cases=cases,
    )
    assert [each[0] for each in found] == [-2000, -2000, 65535, 65535, None]
    assert found[0][1] == -2000
