"""Presentation states in the viewer: whose they are, what is laid on, and what is said of them."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from support.dicom_files import image
from support.presentation_states import add_overlay, presentation_state, reference, window
from support.viewer_modules import in_node

CT = "1.2.840.10008.5.1.4.1.1.2"
SIDE = 16
_SHUTTER: dict[str, Any] = {
    "ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 3, "ShutterRightVerticalEdge": 12,
    "ShutterUpperHorizontalEdge": 5, "ShutterLowerHorizontalEdge": 14,
    "ShutterPresentationValue": 0x8000,
}  # fmt: skip


def _entry(sop: str, frame: int = 1, **more: Any) -> dict[str, Any]:
    made = Dataset()
    made.update(more.pop("dataset", image(side=SIDE)))
    del made.PixelData
    return {"sop": sop, "frame": frame, "dataset": made.to_json_dict()}


def test_a_state_is_of_the_images_and_frames_that_it_names() -> None:
    one = presentation_state("1.1", reference("1.1.1", CT), ContentLabel="ONE").to_json_dict()
    two = presentation_state(
        "1.1", reference("1.1.1", CT, 2, 3), ContentLabel="TWO", ContentDescription="Second"
    ).to_json_dict()
    entries = [_entry("1.1.1"), _entry("1.1.1", 2), _entry("1.1.2")]
    found = in_node(
        "presentations",
        "return [entries.map((entry) => statesOf(states, entry).map(stateName)),"
        " states.map(isPresentation), isPresentation(entries[0].dataset),"
        " stateText([], null), stateText(states.slice(1), null), stateText(states, null)]",
        states=[one, two], entries=entries,
    )  # fmt: skip
    assert found == [
        [["ONE"], ["ONE", "Second"], []], [True, True], False,
        "", "1 presentation state stored, not applied",
        "2 presentation states stored, none applied",
    ]  # fmt: skip


def test_its_window_is_that_of_the_image_that_it_names() -> None:
    named = reference("1.1.1", CT)
    state = presentation_state(
        "1.1", named, reference("1.1.2", CT),
        SoftcopyVOILUTSequence=[window(-600, 1500, named), window(40, 400)],
    )  # fmt: skip
    none = presentation_state("1.1", named)
    entries = [_entry("1.1.1"), _entry("1.1.2")]
    image = {"isSigned": True, "bitsStored": 12, "slope": 2, "intercept": -24}
    found = in_node(
        "presentations",
        "return states.map((state) => entries.map((entry) => stateWindow(state, entry, image)))",
        states=[state.to_json_dict(), none.to_json_dict()], entries=entries, image=image,
    )  # fmt: skip
    assert [each["center"] for each in found[0]] == [-600, 40]
    # -2048 to 2047, times 2, less 24: each value keeps its place (PS3.3, C.11.8)
    whole = {"center": -25, "width": 8190, "shape": "LINEAR_EXACT"}
    assert found[1] == [whole, whole]


def test_what_is_not_laid_on_is_said() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTExplanation = [256, 0, 16], "curve"
    only_table = Dataset()
    only_table.VOILUTSequence = [table]
    state = presentation_state(
        "1.1", reference("1.1.1", CT), GraphicAnnotationSequence=[Dataset()], ImageRotation=90,
        SoftcopyVOILUTSequence=[only_table], ImageHorizontalFlip="N",
    )  # fmt: skip
    plain = presentation_state("1.1", reference("1.1.1", CT), ImageRotation=0)
    # An item without attributes is none in DICOM JSON.
    told = state.to_json_dict()
    told["00700001"]["Value"] = [{"00700002": {"vr": "CS", "Value": ["LAYER"]}}]
    found = in_node(
        "presentations", "return states.map((state) => stateText([state], state))",
        states=[told, plain.to_json_dict()],
    )  # fmt: skip
    assert found == [
        "shown as \u201cSTATE\u201d says, without its annotations, table of grey, rotation",
        "shown as \u201cSTATE\u201d says",
    ]


def test_shutter_and_overlays_are_the_states_and_not_the_images() -> None:
    """Of the image's overlays only those that the state calls for; which way grey runs is its."""
    own = image(side=SIDE, PhotometricInterpretation="MONOCHROME1", **_SHUTTER)
    add_overlay(own, SIDE, (0, 0))
    add_overlay(own, SIDE, (0, 1), group=0x6002)
    state = presentation_state("1.1", reference("1.1.1", CT), **_SHUTTER)
    state.ShutterLeftVerticalEdge = 6
    add_overlay(state, SIDE, (7, 7), group=0x6004)
    state.add_new((0x6002, 0x1001), "CS", "LAYER")
    bare = presentation_state("1.1", reference("1.1.1", CT), PresentationLUTShape="INVERSE")
    entry = _entry("1.1.1", dataset=own)
    found = in_node(
        "presentations pixels cover",
        "const octetsOf = async (data) =>"
        "  Uint8Array.from(atob(data.InlineBinary), (letter) => letter.charCodeAt(0));"
        "const picture = { image: describe(entry.dataset), stored: [] };"
        "return Promise.all(states.map((state) => presented(picture, state, entry, octetsOf)"
        "  .then(({ image, cover }) =>"
        "    [image.photometric, image.isInverse, cover && [...cover]])))",
        states=[state.to_json_dict(), bare.to_json_dict()], entry=entry,
    )  # fmt: skip
    rows, columns = np.mgrid[1 : SIDE + 1, 1 : SIDE + 1]
    is_seen = (rows >= 5) & (rows <= 14) & (columns >= 6) & (columns <= 12)
    expected = np.where(is_seen, -1, 128)
    expected[0, 1] = expected[7, 7] = 255
    assert found == [["MONOCHROME2", False, expected.ravel().tolist()], ["MONOCHROME2", True, None]]


def test_values_and_their_unit_are_what_the_state_makes_of_them() -> None:
    """The probe tells no Hounsfield units of values that are none."""
    shown = image(side=SIDE, RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
    same = presentation_state("1.1", reference("1.1.1", CT), RescaleSlope=2, RescaleIntercept=-8)
    none = presentation_state("1.1", reference("1.1.1", CT))
    found = in_node(
        "presentations pixels",
        "const picture = { image: describe(entry.dataset), stored: [] };"
        "return Promise.all(states.map((state) => presented(picture, state, entry, null)"
        "  .then(({ image }) => [image.slope, image.intercept, image.unit])))",
        states=[same.to_json_dict(), none.to_json_dict()], entry=_entry("1.1.1", dataset=shown),
    )  # fmt: skip
    assert found == [[2, -8, "HU"], [1, 0, ""]]


def test_a_series_is_listed_whatever_number_of_frames_an_object_claims() -> None:
    claims = [{"00280008": {"vr": "IS", "Value": [count]}} for count in (2**31 - 1, 3, 0, -4, "x")]
    shown = {"00280010": {"vr": "US", "Value": [8]}, "00280011": {"vr": "US", "Value": [8]}}
    found = in_node(
        "stack", "return datasets.map((one) => entriesOf([one]).length)",
        datasets=[shown | claim for claim in claims],
    )  # fmt: skip
    assert found == [100_000, 3, 1, 1, 1]
