"""Presentation states, drawn by the server: as DCMTK's dcmp2pgm draws them, where it does.

DCMTK draws neither overlays nor shutters of a state into its picture; for these the places are
told. States are made by dcmpsmk and changed.
"""

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from support.dicom_files import image, octets_of
from support.peers import require_peer
from support.presentation_states import add_overlay, presentation_state, reference, window
from wardlight_cloud.dicomweb.jobs import Picture, Viewport, Window
from wardlight_cloud.dicomweb.making.picture import picture
from wardlight_cloud.dicomweb.making.refusal import Refusal

SIDE = 16
CT = "1.2.840.10008.5.1.4.1.1.2"
TURNED = {"ImageHorizontalFlip": "N"}
STORED = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)


def drawn(path: Path, state: Path, wanted: Picture = Picture(1, "image/png")) -> Any:  # noqa: B008 - frozen
    octets = picture(str(path), wanted, str(state))
    return np.asarray(Image.open(io.BytesIO(octets))).astype(int)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "change",
    [
        {}, {"window": (50, 300)}, {"window": None}, {"PresentationLUTShape": "IDENTITY"},
        {"PresentationLUTShape": "INVERSE", "RescaleSlope": "1", "RescaleIntercept": "0"},
        {"ImageRotation": 90, **TURNED}, {"ImageRotation": 180, **TURNED},
        {"ImageRotation": 270, **TURNED}, {"ImageRotation": 0, "ImageHorizontalFlip": "Y"},
        {"ImageRotation": 90, "ImageHorizontalFlip": "Y"},
    ],
)  # fmt: skip
def test_dcmtk_draws_the_same(tmp_path: Path, photometric: str, change: dict[str, Any]) -> None:
    path, made, bitmap = tmp_path / "image", tmp_path / "state", tmp_path / "pgm"
    told: dict[str, Any] = {"RescaleSlope": "2", "RescaleIntercept": "-100", "WindowCenter": 128,
            "WindowWidth": 256, "PhotometricInterpretation": photometric}  # fmt: skip
    path.write_bytes(octets_of(image(side=SIDE, **told)))
    run([require_peer("dcmpsmk"), path, made])
    state = dcmread(made)
    for keyword, value in change.items():
        if keyword != "window":
            setattr(state, keyword, value)
        elif value is None:
            del state.SoftcopyVOILUTSequence
        else:
            item = state.SoftcopyVOILUTSequence[0]
            item.WindowCenter, item.WindowWidth = value
    state.save_as(made)
    run([require_peer("dcmp2pgm"), "-p", made, path, bitmap])
    peer = np.asarray(Image.open(bitmap)).astype(int)
    assert change.get("window", 1) is None or len(np.unique(peer)) > 50
    assert np.abs(drawn(path, made) - peer).max() <= 1


def run(command: list[Any]) -> None:
    done = subprocess.run([str(each) for each in command], capture_output=True, timeout=180)
    assert done.returncode == 0, done.stderr


def both(tmp_path: Path, shown: Dataset, state: Dataset) -> tuple[Path, Path]:
    paths = tmp_path / "image", tmp_path / "state"
    for path, dataset in zip(paths, (shown, state), strict=True):
        path.write_bytes(octets_of(dataset))
    return paths


def test_overlays_and_shutter_are_the_states(tmp_path: Path) -> None:
    """Of the image's only the overlays that the state calls for; all of it turned together."""
    shut = {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 5,
            "ShutterRightVerticalEdge": SIDE, "ShutterUpperHorizontalEdge": 1,
            "ShutterLowerHorizontalEdge": SIDE}  # fmt: skip
    shown = image(
        side=SIDE, WindowCenter=128, WindowWidth=256, ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[1, 1], RadiusOfCircularShutter=3,
    )  # fmt: skip
    add_overlay(shown, SIDE, (0, 8))
    add_overlay(shown, SIDE, (0, 9), group=0x6002)
    state = presentation_state(
        shown.SeriesInstanceUID, reference(shown.SOPInstanceUID, CT), **shut,
        SoftcopyVOILUTSequence=[window(128, 256)], ImageRotation=90, ImageHorizontalFlip="N",
    )  # fmt: skip
    add_overlay(state, SIDE, (3, 6), group=0x6004)
    state.add_new((0x6002, 0x1001), "CS", "LAYER")
    expected = STORED.copy()
    expected[:, :4] = 0
    expected[0, 9] = expected[3, 6] = 255
    paths = both(tmp_path, shown, state)
    assert np.abs(drawn(*paths) - np.rot90(expected, -1)).max() <= 1
    asked = Picture(1, "image/png", Window(10, 20), Viewport(SIDE, SIDE, (0, 0, 8, 8)))
    assert drawn(*paths, asked).shape == (SIDE, SIDE), "the region is one of the picture"


def test_a_window_is_of_the_image_and_frame_that_it_names(tmp_path: Path) -> None:
    shown = image(
        side=SIDE, NumberOfFrames=2, PixelData=np.tile(STORED, (2, 1)).astype("<u2").tobytes()
    )
    own = str(shown.SOPInstanceUID)
    state = presentation_state(
        shown.SeriesInstanceUID, reference(own, CT),
        SoftcopyVOILUTSequence=[
            window(1, 2, reference("1.2.3", CT)), window(1, 2, reference(own, CT, 1)),
            window(128, 256, reference(own, CT, 2)),
        ],
    )  # fmt: skip
    paths = both(tmp_path, shown, state)
    assert np.abs(drawn(*paths, Picture(2, "image/png")) - STORED).max() <= 1
    assert len(np.unique(drawn(*paths, Picture(1, "image/png")))) <= 3


def test_what_would_be_drawn_wrong_is_refused(tmp_path: Path) -> None:
    shown, colours = image(side=SIDE), image(side=SIDE, SamplesPerPixel=3)
    state = presentation_state("1.1", reference("1.1.1", CT))
    masked = presentation_state("1.1", reference("1.1.1", CT), MaskSubtractionSequence=[Dataset()])
    askew = presentation_state("1.1", reference("1.1.1", CT))
    askew.add_new(0x00700042, "LO", "askew")
    for dataset, wanted in ((shown, masked), (shown, askew), (colours, state)):
        paths = both(tmp_path, dataset, wanted)
        with pytest.raises(Refusal):
            drawn(*paths)
