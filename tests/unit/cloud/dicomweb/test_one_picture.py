"""One image, one picture: server and browser draw the same grey, which is that of the standard.

Expected values come from the formulas of PS3.3, C.11, written down here once more; DCMTK's dcm2pnm
draws the same where it draws such images.
"""

import base64
import io
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from support.dicom_files import image, octets_of
from support.peers import require_peer
from support.viewer_modules import in_node
from wardlight_cloud.dicomweb.jobs import Picture, Window
from wardlight_cloud.dicomweb.making.picture import picture

Values = NDArray[Any]
SIDE = 16
STORED = np.arange(SIDE * SIDE, dtype=np.float64)


def linear(values: Values, center: float, width: float) -> Values:
    """C.11.2.1.2.1."""
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.where(values <= low, 0, np.where(values > high, 255, inside))


def exact(values: Values, center: float, width: float) -> Values:
    """C.11.2.1.3.2."""
    low, high = center - width / 2, center + width / 2
    inside = ((values - center) / width + 0.5) * 255
    return np.where(values <= low, 0, np.where(values > high, 255, inside))


def sigmoid(values: Values, center: float, width: float) -> Values:
    """C.11.2.1.3.1."""
    return np.asarray(255 / (1 + np.exp(-4 * (values - center) / width)))


def looked_up(values: Values, first: int, entries: Values) -> Values:
    """C.11.1.1 and C.11.2.1.1: what lies beside the table takes its ends."""
    places = np.clip(values.astype(int) - first, 0, len(entries) - 1)
    return np.asarray(entries[places], float)


def table(first: int, entries: Values, bits: int, *, words: str = "OW", kind: str = "SS") -> Any:
    """An item of a LUT sequence; ``words`` OW, US, or octets (two in a word)."""
    item = Dataset()
    item.add_new("LUTDescriptor", kind, [len(entries) % 65536, first, bits])
    if words == "US":
        item.add_new("LUTData", "US", entries.tolist())
    else:
        item.add_new(
            "LUTData", "OW", entries.astype("u1" if words == "octets" else "<u2").tobytes()
        )
    return item


CURVE = np.rint(3000 * np.sqrt(np.arange(100) / 99)).astype(int)  # never reaches 4095
WHOLE = np.arange(65536) ** 2 // 65536
WINDOW = {"WindowCenter": 100, "WindowWidth": 77}
SIGNED = (STORED * 16 - 2048).astype("<i2")


@dataclass(frozen=True)
class Case:
    """An image and what it has to look like."""

    name: str
    more: dict[str, Any]
    expected: Values
    window: tuple[float, float, str] | None = None
    in_browser: bool = True
    frame: int = 1
    peer: tuple[str, ...] | None = None
    """Options of dcm2pnm; None where it draws otherwise, or nothing."""


def enhanced() -> dict[str, Any]:
    """Two frames; the second has a rescale and a window of its own."""
    value, voi, frame = Dataset(), Dataset(), Dataset()
    value.RescaleSlope, value.RescaleIntercept = "3", "-50"
    voi.WindowCenter, voi.WindowWidth = "200", "300"
    frame.PixelValueTransformationSequence, frame.FrameVOILUTSequence = [value], [voi]
    both = np.concatenate((STORED[::-1], STORED)).astype("<u2").tobytes()
    return {"SOPClassUID": EnhancedCTImageStorage, "NumberOfFrames": 2, "PixelData": both,
            "PerFrameFunctionalGroupsSequence": [Dataset(), frame], **WINDOW}  # fmt: skip


def drawing(*rows: str) -> Values:
    """A mask: # is what is drawn, or seen."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def overlay(
    mask: Values, *, group: int = 0x6000, kind: str = "G", origin: tuple[int, int] = (1, 1),
    **more: int,
) -> dict[str, Any]:  # fmt: skip
    """Attributes of a plane; ``mask`` of all its frames. By tag: they have no keyword."""
    bits = np.packbits(mask.astype(np.uint8).ravel(), bitorder="little").tobytes()
    rows = SIDE if "frames" in more else mask.shape[0]
    plane = {
        0x0010: ("US", rows), 0x0011: ("US", mask.shape[1]), 0x0040: ("CS", kind),
        0x0050: ("SS", list(origin)), 0x0100: ("US", 1), 0x0102: ("US", 0),
        0x3000: ("OW", bits + bytes(len(bits) % 2)),
    }  # fmt: skip
    if "frames" in more:
        plane[0x0015] = ("IS", more["frames"])
    if "first" in more:
        plane[0x0051] = ("US", more["first"])
    return {f"{group:04X}{element:04X}": found for element, found in plane.items()}


def covered(grey: Values, mask: Values, value: int, *, at: tuple[int, int] = (0, 0)) -> Values:
    """``value`` where the mask is, laid at a place of the image."""
    found = grey.copy().reshape(SIDE, SIDE)
    for row, column in np.argwhere(mask) + at:
        if 0 <= row < SIDE and 0 <= column < SIDE:
            found[row, column] = value
    return found.ravel()


CROSS = drawing("#..#", ".##.", ".##.", "#..#")
BLOCK = drawing("#####", "#####", "#####", "#####")
RIM = drawing("#####", "#...#", "#...#", "#####")
HALF = np.zeros((SIDE, SIDE), bool)
HALF[:, :8] = True
GREY = linear(STORED, 100, 77)
IN_BITS = (STORED.astype("<u2") | HALF.ravel().astype("<u2") << 12).tobytes()
BESIDE = {
    **{tag: found for tag, found in overlay(HALF).items() if tag != "60003000"},
    "60000100": ("US", 16), "60000102": ("US", 12),
}  # fmt: skip
PLACES = np.mgrid[1 : SIDE + 1, 1 : SIDE + 1]
RECTANGLE = {
    "ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 3, "ShutterRightVerticalEdge": 12,
    "ShutterUpperHorizontalEdge": 5, "ShutterLowerHorizontalEdge": 14,
}  # fmt: skip
IN_RECTANGLE = (PLACES[0] >= 5) & (PLACES[0] <= 14) & (PLACES[1] >= 3) & (PLACES[1] <= 12)
CIRCLE = {"CenterOfCircularShutter": [8, 9], "RadiusOfCircularShutter": 5}
IN_CIRCLE = np.hypot(PLACES[0] - 8, PLACES[1] - 9) <= 5
POLYGON = {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [2, 2, 2, 12, 12, 2]}
IN_POLYGON = (PLACES[0] >= 2) & (PLACES[1] >= 2) & (PLACES[0] + PLACES[1] <= 14)

RESCALED = {"RescaleSlope": "0.5", "RescaleIntercept": "-30.25"}
FIRST = ("+Wi", "1")
CASES = [
    Case("window", WINDOW, linear(STORED, 100, 77), peer=FIRST),
    Case("rescale and window", {**RESCALED, "WindowCenter": 20, "WindowWidth": 50.5},
         linear(STORED * 0.5 - 30.25, 20, 50.5), peer=None),  # it rounds values before the window
    Case("whole rescale", {"RescaleSlope": "-2", "RescaleIntercept": "100", "WindowCenter": -90,
                           "WindowWidth": 300}, linear(STORED * -2 + 100, -90, 300), peer=FIRST),
    Case("first window that is one", {"WindowCenter": [1, 100], "WindowWidth": [0, 77]},
         linear(STORED, 100, 77), peer=("+Wi", "2")),
    Case("exact", {**WINDOW, "VOILUTFunction": "LINEAR_EXACT"}, exact(STORED, 100, 77), peer=None),
    Case("sigmoid", {**WINDOW, "VOILUTFunction": "SIGMOID"}, sigmoid(STORED, 100, 77), peer=FIRST),
    Case("threshold", {"WindowCenter": 100, "WindowWidth": 1}, np.where(STORED > 99.5, 255, 0),
         peer=FIRST),
    Case("all values", {}, STORED, peer=("+Wm",)),
    Case("table", {"VOILUTSequence": [table(60, CURVE, 12)]},
         looked_up(STORED, 60, CURVE) / 4095 * 255, peer=("+Wl", "1")),
    Case("table in US", {"VOILUTSequence": [table(60, CURVE, 12, words="US", kind="US")]},
         looked_up(STORED, 60, CURVE) / 4095 * 255, peer=("+Wl", "1")),
    Case("table of octets", {"VOILUTSequence": [table(0, CURVE // 16, 8, words="octets")]},
         looked_up(STORED, 0, CURVE // 16), peer=("+Wl", "1")),
    Case("table that begins below zero, written as US",
         {"RescaleSlope": "1", "RescaleIntercept": "-100",
          "VOILUTSequence": [table(65536 - 60, CURVE, 12, kind="US")]},
         looked_up(STORED - 100, -60, CURVE) / 4095 * 255, peer=("+Wl", "1")),
    Case("table of 65536", {"PixelData": (STORED * 257).astype("<u2").tobytes(),
                            "VOILUTSequence": [table(0, WHOLE, 16)]},
         looked_up(STORED * 257, 0, WHOLE) / 65535 * 255, peer=("+Wl", "1")),
    Case("table, but a window is asked for", {"VOILUTSequence": [table(60, CURVE, 12)]},
         linear(STORED, 90, 40), window=(90, 40, "LINEAR"), peer=("+Ww", "90", "40")),
    Case("table and window: the window", {**WINDOW, "VOILUTSequence": [table(60, CURVE, 12)]},
         linear(STORED, 100, 77), peer=FIRST),
    Case("table that is none", {"VOILUTSequence": [table(60, CURVE, 20)]}, STORED, peer=None),
    Case("modality table", {"ModalityLUTSequence": [table(60, CURVE, 12)],
                            "WindowCenter": 1500, "WindowWidth": 900},
         linear(looked_up(STORED, 60, CURVE), 1500, 900), in_browser=False, peer=FIRST),
    Case("modality table of octets", {"ModalityLUTSequence": [table(0, CURVE // 16, 8,
                                                                    words="octets")], **WINDOW},
         linear(looked_up(STORED, 0, CURVE // 16), 100, 77), in_browser=False, peer=FIRST),
    Case("white for low", {"PhotometricInterpretation": "MONOCHROME1", **WINDOW},
         255 - linear(STORED, 100, 77), peer=FIRST),
    Case("INVERSE", {"PresentationLUTShape": "INVERSE", **WINDOW}, 255 - linear(STORED, 100, 77),
         peer=FIRST),
    Case("white for low and INVERSE and a table",
         {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE",
          "VOILUTSequence": [table(60, CURVE, 12)]},
         255 - looked_up(STORED, 60, CURVE) / 4095 * 255, peer=("+Wl", "1")),
    Case("padding", {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 20, **WINDOW},
         np.where(STORED <= 20, 0, linear(STORED, 100, 77)), peer=None),
    Case("padding of white for low", {"PhotometricInterpretation": "MONOCHROME1",
                                      "PixelPaddingValue": 0},
         np.where(STORED == 0, 0, 255 - (STORED - 1) * 255 / 254), peer=None),
    Case("padding below all that is stored", {"BitsStored": 12, "HighBit": 11,
                                              "PixelRepresentation": 1, "WindowCenter": 0,
                                              "WindowWidth": 4096, "PixelPaddingValue": -2160,
                                              "PixelData": SIGNED.tobytes()},
         linear(SIGNED.astype(float), 0, 4096), peer=None),  # 1936 would count from behind
    Case("a sign, and bits beside those stored",
         {"PixelRepresentation": 1, "BitsStored": 12, "HighBit": 11, "WindowCenter": -100,
          "WindowWidth": 900, "PixelData": (SIGNED.view("<u2") & 0xFFF | 0x5000).tobytes()},
         linear(SIGNED.astype(float), -100, 900), peer=FIRST),
    Case("octets", {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, **WINDOW,
                    "PixelData": STORED.astype("u1").tobytes()},
         linear(STORED, 100, 77), peer=FIRST),
    Case("overlay", {**WINDOW, **overlay(CROSS, origin=(3, 6))},
         covered(GREY, CROSS, 255, at=(2, 5)), peer=FIRST),
    Case("overlays beyond the edges, on white for low",
         {"PhotometricInterpretation": "MONOCHROME1", **WINDOW,
          **overlay(CROSS, origin=(-1, 14)), **overlay(CROSS, group=0x601E, origin=(15, -1))},
         covered(covered(255 - GREY, CROSS, 255, at=(-2, 13)), CROSS, 255, at=(14, -2)),
         peer=FIRST),
    Case("overlay in a bit beside the samples",
         {**WINDOW, **BESIDE, "BitsStored": 12, "HighBit": 11, "PixelData": IN_BITS},
         covered(GREY, HALF, 255), peer=FIRST),
    Case("overlay in bits that are samples", {**WINDOW, **BESIDE}, GREY, peer=None),
    Case("region of interest: its outline", {**WINDOW, **overlay(BLOCK, kind="R", origin=(4, 4))},
         covered(GREY, RIM, 255, at=(3, 3)), peer=None),  # it darkens what lies beside
    Case("overlay of the second frame",
         {**WINDOW, **overlay(np.concatenate((HALF, ~HALF)), frames=2), "NumberOfFrames": 2,
          "PixelData": np.tile(STORED, 2).astype("<u2").tobytes()},
         covered(GREY, ~HALF, 255), frame=2, peer=("+Wi", "1", "--frame", "2")),
    Case("overlay of another frame", {**WINDOW, **overlay(HALF, frames=1, first=1),
                                      "NumberOfFrames": 2,
                                      "PixelData": np.tile(STORED, 2).astype("<u2").tobytes()},
         GREY, frame=2, peer=("+Wi", "1", "--frame", "2")),
    Case("overlay that is cut off", {**WINDOW, **overlay(CROSS), "60003000": ("OW", b"")}, GREY,
         peer=None),
    Case("shutter", {**WINDOW, **RECTANGLE}, covered(GREY, ~IN_RECTANGLE, 0), peer=None),
    Case("shutter of two shapes, grey", {**WINDOW, **RECTANGLE, **CIRCLE,
                                         "ShutterShape": ["RECTANGULAR", "CIRCULAR"],
                                         "ShutterPresentationValue": 0x8000},
         covered(GREY, ~(IN_RECTANGLE & IN_CIRCLE), 128), peer=None),
    Case("shutter of corners", {**WINDOW, **POLYGON}, covered(GREY, ~IN_POLYGON, 0), peer=None),
    Case("shutter that would hide everything", {**WINDOW, **RECTANGLE,
                                                "ShutterLeftVerticalEdge": 13}, GREY, peer=None),
    Case("overlay on what a shutter hides", {**WINDOW, **RECTANGLE, **overlay(CROSS)},
         covered(covered(GREY, ~IN_RECTANGLE, 0), CROSS, 255), peer=None),
    Case("a frame of its own", enhanced(), linear(STORED * 3 - 50, 200, 300), frame=2, peer=None),
]  # fmt: skip
NAMES = [case.name for case in CASES]


@pytest.fixture(scope="module")
def images() -> list[Dataset]:
    return [made_of(case) for case in CASES]


def made_of(case: Case) -> Dataset:
    """The image; what stands by tag is put in by tag."""
    by_tag = {key: found for key, found in case.more.items() if key[0].isdigit()}
    named = {key: found for key, found in case.more.items() if key not in by_tag}
    made = image(side=SIDE, **named)
    for tag, (kind, found) in by_tag.items():
        made.add_new(int(tag, 16), kind, found)
    return made


def assert_near(name: str, found: Values, expected: Values) -> None:
    """At most a step of 256 apart: who computes with how many digits is not said."""
    apart = np.abs(found.ravel() - np.floor(expected + 0.5)).max()
    assert apart <= 1, (name, apart)


def by_server(path: Path, case: Case) -> Values:
    window = None if case.window is None else Window(*case.window[:2], "linear")
    octets = picture(str(path), Picture(case.frame, "image/png", window=window))
    return np.asarray(Image.open(io.BytesIO(octets))).astype(int)


_DRAWN = """
  return Promise.all(cases.map(async ({ instance, samples, chosen, frame }) => {
    const octetsIn = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const dataset = frameDataset(instance, frame);
    const image = describe(dataset);
    if (!isDrawable(image)) return null;
    const stored = storedValues(image, octetsIn(samples), false);
    const table = ownWindows(dataset).length ? null
      : await ownTable(dataset, (data) => octetsIn(data.InlineBinary));
    const pixels = new Uint8ClampedArray(4 * stored.length);
    const window = windowShown(dataset, { image, stored, table }, chosen);
    paintGrey(stored, greyTable(image, window, false), pixels);
    const wasDecoded = async () => false;
    const came = { image, frame, octets: octetsIn(samples), isBigEndian: false, wasDecoded };
    const cover = await coverOf(dataset, came, async (data) => octetsIn(data.InlineBinary));
    if (cover) paintCover(cover, pixels);
    return [...pixels].filter((_, i) => i % 4 === 0);
  }));
"""


def by_browser(images: list[Dataset]) -> list[list[int] | None]:
    asked = []
    for case, made in zip(CASES, images, strict=True):
        plain = Dataset()
        plain.update({element.tag: element for element in made if element.tag != 0x7FE00010})
        size = SIDE * SIDE * made.BitsAllocated // 8
        samples = made.PixelData[(case.frame - 1) * size : case.frame * size]
        chosen = case.window and dict(zip(("center", "width", "shape"), case.window, strict=True))
        asked.append({"instance": plain.to_json_dict(), "frame": case.frame, "chosen": chosen,
                      "samples": base64.b64encode(samples).decode()})  # fmt: skip
    found: list[list[int] | None] = in_node("dicom pixels cover", _DRAWN, cases=asked)
    return found


def test_server_and_browser_draw_what_the_standard_says(
    images: list[Dataset], tmp_path: Path
) -> None:
    drawn = by_browser(images)
    for case, made, seen in zip(CASES, images, drawn, strict=True):
        path = tmp_path / "image"
        path.write_bytes(octets_of(made))
        served = by_server(path, case)
        assert_near(case.name, served, case.expected)
        assert (seen is not None) == case.in_browser, case.name
        if seen is not None:
            assert_near(case.name, np.array(seen), case.expected)
            assert np.abs(np.array(seen) - served.ravel()).max() <= 1, case.name


def test_dcmtk_draws_the_same(images: list[Dataset], tmp_path: Path) -> None:
    for case, made in zip(CASES, images, strict=True):
        if case.peer is None:
            continue
        path = tmp_path / "image"
        path.write_bytes(octets_of(made))
        run = [str(require_peer("dcm2pnm")), "--write-raw-pnm", *case.peer, str(path)]
        done = subprocess.run(run, capture_output=True, timeout=180)
        assert done.returncode == 0, (case.name, done.stderr)
        found = np.asarray(Image.open(io.BytesIO(done.stdout))).astype(int)
        assert_near(case.name, found, case.expected)
