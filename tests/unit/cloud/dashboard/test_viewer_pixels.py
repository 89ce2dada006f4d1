"""Samples to grey as pydicom does it, which is not our code; for every kind of sample."""

import base64
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from support.dicom_files import bundled, dataset_of, image
from support.viewer_modules import in_node

_RUN = """
    const octets = Uint8Array.from(atob(samples), (letter) => letter.charCodeAt(0));
    const found = describe(dataset);
    const stored = storedValues(found, octets, isBigEndian);
    const pixels = new Uint8ClampedArray(4 * stored.length);
    paintGrey(stored, greyTable(found, shown, isInverted), pixels);
    return { stored: [...stored], grey: [...pixels].filter((_, i) => i % 4 === 0),
             whole: wholeRange(found, stored), drawable: isDrawable(found) };
"""


def _drawn(
    dataset: Dataset, window: dict[str, Any], *, is_inverted: bool = False, big: bool = False
) -> dict[str, Any]:
    plain = Dataset()
    plain.update({element.tag: element for element in dataset if element.tag != 0x7FE00010})
    found: dict[str, Any] = in_node(
        "pixels",
        _RUN,
        dataset=plain.to_json_dict(),
        samples=base64.b64encode(dataset.PixelData).decode(),
        shown=window,
        isInverted=is_inverted,
        isBigEndian=big,
    )
    return found


def _expected(dataset: Dataset, window: dict[str, Any]) -> NDArray[np.float64]:
    """Grey of 0..255 by pydicom, whose output range is that of the stored bits."""
    dataset.WindowCenter, dataset.WindowWidth = window["center"], window["width"]
    dataset.VOILUTFunction = "LINEAR"
    ends = apply_windowing(np.array([-1e9, 1e9]), dataset)
    dataset.VOILUTFunction = window["shape"]
    shown = apply_windowing(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    grey: NDArray[np.float64] = (shown - ends[0]) / (ends[1] - ends[0]) * 255
    return grey.ravel()


@pytest.mark.parametrize(
    ("center", "width", "shape"),
    [(-100.5, 33.3, "LINEAR"), (40, 200, "SIGMOID")],
)
def test_windows_are_those_of_the_standard(center: float, width: float, shape: str) -> None:
    dataset = dataset_of(bundled("CT_small.dcm"))
    del dataset.PixelPaddingValue
    window = {"center": center, "width": width, "shape": shape}
    found = _drawn(dataset, window)
    assert found["drawable"]
    assert found["stored"] == dataset.pixel_array.ravel().tolist()
    assert np.abs(np.array(found["grey"]) - _expected(dataset, window)).max() <= 0.51


@pytest.mark.parametrize(
    ("bits", "is_signed"), [(8, 0), (8, 1), (10, 1), (12, 0), (16, 0), (16, 1)]
)
def test_samples_of_any_depth(bits: int, is_signed: int) -> None:
    """The bits beside those stored hold what they like."""
    allocated = 8 if bits == 8 else 16
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    values = np.linspace(low, high, 256).astype(np.int32)
    noisy = (values & (1 << bits) - 1) | (0x5A5A << bits)
    dataset = image(
        BitsAllocated=allocated, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=is_signed,
        RescaleSlope="2", RescaleIntercept="-10",
        PixelData=noisy.astype(np.uint8 if allocated == 8 else "<u2").tobytes(),
    )  # fmt: skip
    found = _drawn(dataset, {"center": 0, "width": 100, "shape": "LINEAR"})
    assert found["stored"] == values.tolist()
    assert found["whole"]["center"] - found["whole"]["width"] / 2 == low * 2 - 10
    assert found["whole"]["width"] == (high - low) * 2 + 1


def test_big_endian_and_white_for_low() -> None:
    dataset = image(PhotometricInterpretation="MONOCHROME1")
    window = {"center": 128, "width": 256, "shape": "LINEAR_EXACT"}
    plain = _drawn(dataset, window)["grey"]
    assert plain[0] == 255
    assert _drawn(dataset, window, is_inverted=True)["grey"] == [255 - grey for grey in plain]
    dataset.PixelData = np.arange(256, dtype=">u2").tobytes()
    assert _drawn(dataset, window, big=True)["grey"] == plain


def test_padding_is_black_and_widens_no_range() -> None:
    dataset = image(PixelPaddingValue=0, PixelPaddingRangeLimit=9, PixelRepresentation=0)
    found = _drawn(dataset, {"center": 0, "width": 2, "shape": "LINEAR"})
    assert found["grey"][:10] == [0] * 10
    assert set(found["grey"][10:]) == {255}
    assert found["whole"] == {"center": (10 + 255 + 1) / 2, "width": 246, "shape": "LINEAR"}


@pytest.mark.parametrize("form", ["US", "OW", "octets"])
def test_an_image_s_own_table_is_taken(form: str) -> None:
    """Against pydicom's apply_voi; values before and after the table take its ends."""
    bits = 8 if form == "octets" else 12
    entries = (np.sqrt(np.arange(100) / 99) * ((1 << bits) - 1)).astype(np.uint16)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [100, 60, bits])
    if form == "US":
        item.add_new("LUTData", "US", entries.tolist())
    else:
        kind = np.uint8 if form == "octets" else np.uint16
        item.add_new("LUTData", "OW", entries.astype(kind).tobytes())
    dataset = image(VOILUTSequence=[item])
    body = """
        const octetsOf = async (data) =>
          Uint8Array.from(atob(data.InlineBinary), (letter) => letter.charCodeAt(0));
        const window = await ownTable(dataset, octetsOf);
        return Array.from({ length: 256 }, (_, value) => greyOf(value, window));
    """
    found = in_node("pixels", f"return (async () => {{{body}}})()", dataset=dataset.to_json_dict())
    del item.LUTData
    item.add_new("LUTData", "US", entries.tolist())
    expected = apply_voi(np.arange(256, dtype=np.uint16), dataset) / ((1 << bits) - 1) * 255
    assert np.allclose(found, expected)


def test_what_is_not_taken_as_samples() -> None:
    kinds = [
        image(PhotometricInterpretation="RGB", SamplesPerPixel=3),
        image(PhotometricInterpretation="PALETTE COLOR"),
        image(BitsAllocated=32, BitsStored=32),
        image(ModalityLUTSequence=[Dataset()]),
    ]
    found = in_node(
        "pixels",
        "return datasets.map((dataset) => isDrawable(describe(dataset)))",
        datasets=[kind.to_json_dict() for kind in kinds],
    )
    assert found == [False] * 4


def test_hounsfield_units_are_of_ct_images_only() -> None:
    """PS3.3, C.8.2.1 and C.11.1.1.2: a capture, or a projection, has none."""
    rescaled = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}
    ct = rescaled | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}
    cases: list[tuple[dict[str, Any], str]] = [
        (ct, "HU"), (ct | {"RescaleType": "HU"}, "HU"), (ct | {"RescaleType": "Z_EFF"}, "Z_EFF"),
        (ct | {"RescaleType": "US"}, ""),
        (ct | {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, "HU"),
        (ct | {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, ""),
        (ct | {"MultienergyCTAcquisition": "YES"}, ""),
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, ""),
        (rescaled | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, ""),
        (rescaled | {"Modality": "MR"}, ""), (rescaled | {"RescaleType": "HU"}, "HU"),
    ]  # fmt: skip
    datasets = []
    for attributes, _ in cases:
        made = Dataset()
        for keyword, value in attributes.items():
            setattr(made, keyword, value)
        datasets.append(made.to_json_dict())
    found = in_node("pixels", "return cases.map((one) => describe(one).unit)", cases=datasets)
    assert found == [unit for _, unit in cases]
