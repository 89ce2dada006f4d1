"""Rendered images over HTTP: the right grey for each value, the right size, the right kind."""

import io
from html import unescape
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image, ImageSequence
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from support.dicom_files import (
    bundled,
    cut_off,
    dataset_of,
    image,
    octets_of,
    parts_of,
    renamed,
)
from support.image_archive import Archive, address
from support.presentation_states import add_overlay, presentation_state, reference, window

pytestmark = pytest.mark.asyncio(loop_scope="module")
PNG, JPEG, GIF = "image/png", "image/jpeg", "image/gif"
RAMP = image(side=16, RescaleSlope=2, RescaleIntercept=-100)  # -100, -98, ... 410
STORED = np.arange(256).reshape(16, 16)
VALUES = STORED * 2.0 - 100
NAMES = ["CT_small.dcm", "examples_ybr_color.dcm", "examples_palette.dcm", "examples_rgb_color.dcm",
         "MR_small_RLE.dcm", "SC_rgb_rle_16bit_2frame.dcm", "JPGExtended.dcm", "reportsi.dcm",
         "waveform_ecg.dcm", "liver_1frame.dcm"]  # fmt: skip
FILES = {name: renamed(bundled(name)) for name in NAMES}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def stored(archive: Archive) -> None:
    """All of them are there."""
    await archive.store(octets_of(RAMP), *FILES.values())


def here(name: str) -> str:
    return address(dataset_of(FILES[name]))


async def pixels(archive: Archive, path: str, accept: str = PNG) -> Any:
    answer = await archive.get(path, accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == accept
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def linear(values: Any, center: float, width: float) -> Any:
    """PS3.3, C.11.2.1.2.1, as it is written there."""
    below, above = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    inside = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.where(values <= below, 0, np.where(values > above, 255, inside))


def near(ours: Any, expected: Any) -> bool:
    return bool((np.abs(np.asarray(ours, float) - np.rint(expected)) <= 1).all())


async def test_a_window_is_applied_to_rescaled_values(archive: Archive) -> None:
    found = await pixels(archive, f"{address(RAMP)}/rendered?window=155,200,linear")
    assert near(found, linear(VALUES, 155, 200))
    exact = await pixels(archive, f"{address(RAMP)}/rendered?window=155,200,linear-exact")
    assert near(exact, np.clip((VALUES - 155) / 200 + 0.5, 0, 1) * 255)
    curve = await pixels(archive, f"{address(RAMP)}/rendered?window=155,200,sigmoid")
    assert near(curve, 255 / (1 + np.exp(-4 * (VALUES - 155) / 200)))


async def test_without_a_window_all_values_can_be_seen(archive: Archive) -> None:
    assert near(await pixels(archive, f"{address(RAMP)}/rendered"), STORED)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"WindowCenter": 155, "WindowWidth": 200}, linear(STORED, 155, 200)),
        ({"PixelPaddingValue": 255, "PresentationLUTShape": "IDENTITY"},
         np.where(STORED == 255, 0, STORED * 255 / 254)),
    ],
)  # fmt: skip
async def test_what_an_image_says_of_its_grey_holds(
    archive: Archive, more: dict[str, Any], expected: Any
) -> None:
    """Over HTTP; every way of saying it is in unit/cloud/dicomweb/test_one_picture.py."""
    made = image(side=16, **more)
    await archive.store(octets_of(made))
    assert near(await pixels(archive, f"{address(made)}/rendered"), expected)


async def test_twelve_bits_with_a_sign_keep_their_order(archive: Archive) -> None:
    values = np.linspace(-2048, 2047, 256).astype("<i2").reshape(16, 16)
    made = image(side=16, PixelRepresentation=1, BitsStored=12, HighBit=11,
                 PixelData=values.tobytes())  # fmt: skip
    await archive.store(octets_of(made))
    found = await pixels(archive, f"{address(made)}/rendered")
    assert near(found, (values.astype(float) + 2048) * 255 / 4095)


async def test_a_viewport_keeps_the_shape_and_cuts_and_mirrors(archive: Archive) -> None:
    path = f"{here('examples_rgb_color.dcm')}/rendered"  # 320 x 240
    assert (await pixels(archive, f"{path}?viewport=100,100")).shape == (75, 100, 3)
    assert (await pixels(archive, f"{path}?viewport=640,640")).shape == (480, 640, 3)
    whole = await pixels(archive, path)
    part = await pixels(archive, f"{path}?viewport=40,30,10,20,40,30")
    assert (part == whole[20:50, 10:50]).all()
    mirrored = await pixels(archive, f"{path}?viewport=40,30,10,20,-40,-30")
    assert (mirrored == part[::-1, ::-1]).all()
    assert (await archive.get(f"{path}?viewport=40,30,900,900,5,5")).status_code == 406


async def test_colours_are_those_of_the_image(archive: Archive) -> None:
    name = "examples_rgb_color.dcm"
    found = await pixels(archive, f"{here(name)}/rendered")
    assert (found == dataset_of(FILES[name]).pixel_array).all()
    palette = dataset_of(FILES["examples_palette.dcm"])
    found = await pixels(archive, f"{here('examples_palette.dcm')}/rendered")
    red = np.frombuffer(palette.RedPaletteColorLookupTableData, "<u2")
    assert (found[..., 0] == (red[palette.pixel_array] >> 8)).all()
    ybr = await pixels(archive, f"{here('examples_ybr_color.dcm')}/rendered")
    assert ybr.shape == (240, 320, 3)
    assert (
        abs(ybr.astype(int)[..., 0] - ybr.astype(int)[..., 1]).mean() < 40
    )  # mostly grey, as US is


async def test_frames_are_rendered_one_by_one_or_as_an_animation(archive: Archive) -> None:
    path = here("examples_ybr_color.dcm")
    first, last = [await pixels(archive, f"{path}/frames/{n}/rendered") for n in (1, 30)]
    assert not (first == last).all()
    assert (first == await pixels(archive, f"{path}/rendered")).all()
    answer = await archive.get(f"{path}/rendered?viewport=64,64", GIF)
    film = Image.open(io.BytesIO(answer.content))
    assert _duration_ms(film) == 30 * 100  # frames that are alike are one that stays longer
    assert (await archive.get(f"{path}/frames/31/rendered")).status_code == 404


def _duration_ms(film: Image.Image) -> int:
    return sum(int(frame.info["duration"]) for frame in ImageSequence.Iterator(film))


async def test_pictures_are_jpeg_unless_asked_otherwise(archive: Archive) -> None:
    path = f"{here('CT_small.dcm')}/rendered"
    for accept, kind in ((None, JPEG), ("image/*", JPEG), ("image/png, image/jpeg;q=0.5", PNG)):
        assert (await archive.get(path, accept)).headers["content-type"] == kind
    sizes = [len((await archive.get(f"{path}?quality={each}", JPEG)).content) for each in (10, 90)]
    assert sizes[0] < sizes[1]
    assert (await archive.get(path, "image/webp")).status_code == 406
    assert (await archive.get(f"{path}?accept=image/png")).headers["content-type"] == PNG


@pytest.mark.parametrize(
    "query",
    ["window=1", "window=a,b", "window=1,0", "window=1,nan", "window=1,2,cubic", "viewport=0,1",
     "viewport=9999999,1", "viewport=1", "viewport=1,1,0,0,0,0", "quality=0", "quality=x"],
)  # fmt: skip
async def test_wrong_parameters_are_refused_in_words(archive: Archive, query: str) -> None:
    answer = await archive.get(f"{address(RAMP)}/rendered?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text


async def test_what_is_not_drawn_is_told(archive: Archive) -> None:
    answer = await archive.get(f"{address(RAMP)}/rendered?annotation=patient")
    assert answer.status_code == 200
    assert "annotation" in answer.headers["warning"]


async def test_thumbnails_are_small_and_there_for_everything(archive: Archive) -> None:
    for name in ("CT_small.dcm", "examples_ybr_color.dcm", "reportsi.dcm", "waveform_ecg.dcm"):
        for path in (here(name), here(name).partition("/instances")[0],
                     here(name).partition("/series")[0]):  # fmt: skip
            found = await pixels(archive, f"{path}/thumbnail", JPEG)
            assert max(found.shape[:2]) == 200
    small = await pixels(archive, f"{here('CT_small.dcm')}/thumbnail?viewport=50,50", PNG)
    assert small.shape == (50, 50)


async def test_a_study_is_rendered_in_parts(archive: Archive) -> None:
    files = [image(StudyInstanceUID="1.4.1", InstanceNumber=each) for each in (1, 2)]
    await archive.store(*map(octets_of, files))
    answer = await archive.get("/studies/1.4.1/rendered", f'multipart/related; type="{PNG}"')
    parts = parts_of(answer.headers["content-type"], answer.content)
    assert [headers["content-type"] for headers, _ in parts] == [PNG, PNG]
    assert Image.open(io.BytesIO(parts[0][1])).size == (16, 16)


async def test_a_report_is_a_page_without_foreign_markup(archive: Archive) -> None:
    report = dataset_of(FILES["reportsi.dcm"])
    report.SOPInstanceUID = "1.4.2"
    report.PatientName = "<script>alert(1)</script>"
    await archive.store(octets_of(report))
    answer = await archive.get(f"{address(report)}/rendered")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    for code in report.ContentSequence:
        assert code.ConceptNameCodeSequence[0].CodeMeaning in unescape(answer.text)


def document(kind: str, octets: bytes) -> Dataset:
    """An object of the class of encapsulated PDFs that says what it is."""
    made = image()
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated"):
        delattr(made, keyword)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    made.MIMETypeOfEncapsulatedDocument = kind
    made.EncapsulatedDocumentLength = len(octets)
    made.EncapsulatedDocument = octets + b"\0" * (len(octets) % 2)
    return made


async def test_a_pdf_is_a_pdf(archive: Archive) -> None:
    pdf = b"%PDF-1.4\n1 0 obj<<>>endobj\n%%EOF\n"
    made = document("application/pdf", pdf)
    await archive.store(octets_of(made))
    for path in ("rendered", "bulkdata/00420011"):
        answer = await archive.get(f"{address(made)}/{path}")
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.content == pdf
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"


async def test_a_document_that_says_that_it_is_no_pdf_is_not_called_one(archive: Archive) -> None:
    """What it says counts, not its class, and at every address alike."""
    made = document("text/html", b"<script>alert(1)</script>")
    await archive.store(octets_of(made))
    answer = await archive.get(f"{address(made)}/rendered")
    assert (answer.status_code, "see its bulkdata" in answer.text) == (406, True)
    answer = await archive.get(f"{address(made)}/bulkdata/00420011")
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_what_cannot_be_rendered_says_why(archive: Archive) -> None:
    await archive.store(cut_off("JPGExtended.dcm"))
    extended = await archive.get(f"{address(dataset_of(cut_off('JPGExtended.dcm')))}/rendered")
    assert extended.status_code == 406
    assert "1.2.840.10008.1.2.4.51" in extended.text
    ecg = await archive.get(f"{here('waveform_ecg.dcm')}/rendered")
    assert (ecg.status_code, "pixels" in ecg.text) == (406, True)


async def test_what_is_hostile_to_decoders_ends_in_a_refusal(archive: Archive) -> None:
    huge = image(side=4)
    huge.Rows = huge.Columns = 65535
    huge.NumberOfFrames = 100
    liar = dataset_of(renamed(bundled("examples_jpeg2k.dcm")))
    liar.PixelData = liar.PixelData[:400] + b"\xff" * 200 + liar.PixelData[600:]
    nothing = image(side=16)
    nothing.PixelData = b""
    await archive.store(*map(octets_of, (huge, liar, nothing)))
    for each in (huge, liar, nothing):
        answer = await archive.get(f"{address(each)}/rendered")
        assert answer.status_code in (200, 404, 406), answer.text
    assert (await archive.get(f"{here('CT_small.dcm')}/rendered")).status_code == 200


async def test_objects_by_parameters(archive: Archive) -> None:
    file = dataset_of(FILES["examples_ybr_color.dcm"])
    query = (f"/wado?requestType=WADO&studyUID={file.StudyInstanceUID}"
             f"&seriesUID={file.SeriesInstanceUID}&objectUID={file.SOPInstanceUID}")  # fmt: skip
    natural = await archive.get(query)
    assert natural.headers["content-type"] == JPEG
    whole = await archive.get(f"{query}&contentType=application/dicom")
    assert whole.content == FILES["examples_ybr_color.dcm"]
    part = await pixels(archive, f"{query}&contentType=image/png&rows=60&region=0,0,0.5,0.5"
                                 "&frameNumber=2&windowCenter=1&windowWidth=2")  # fmt: skip
    assert part.shape == (60, 80, 3)
    refused = {"requestType=WADO": "requestType=X", file.StudyInstanceUID: "1.2"}
    statuses = [(await archive.get(query.replace(*each))).status_code for each in refused.items()]
    assert statuses == [400, 404]
    assert (await archive.get(f"{query}&anonymize=yes")).status_code == 406
    assert (await archive.get(f"{query}&contentType=video/mpeg")).status_code == 406


async def test_a_presentation_state_is_rendered_as_the_image_that_it_names(
    archive: Archive,
) -> None:
    """With its window and overlay; one that names nothing of its study is told so."""
    own = reference(RAMP.SOPInstanceUID, RAMP.SOPClassUID)
    told = {"study_uid": RAMP.StudyInstanceUID, "RescaleSlope": 2, "RescaleIntercept": -100}
    state = presentation_state(
        RAMP.SeriesInstanceUID, own, SoftcopyVOILUTSequence=[window(50, 300)], **told
    )
    add_overlay(state, 16, (2, 3))
    lost = presentation_state("1.2", reference("1.2.3", RAMP.SOPClassUID), **told)
    await archive.store(octets_of(state), octets_of(lost))
    expected = linear(VALUES, 50, 300)
    expected[2, 3] = 255
    assert near(await pixels(archive, f"{address(state)}/rendered"), expected)
    answer = await archive.get(f"{address(state)}/rendered", JPEG)
    again = await archive.get(
        f"{address(state)}/rendered", JPEG, **{"If-None-Match": answer.headers["etag"]}
    )
    assert (answer.status_code, again.status_code) == (200, 304)
    assert (await archive.get(f"{address(state)}/rendered", GIF)).status_code == 406
    assert (await archive.get(f"{address(lost)}/rendered", PNG)).status_code == 404
    plain = await pixels(archive, f"{address(RAMP)}/rendered?window=50,300,linear")
    assert plain[2, 3] != 255, "the image alone is as it was"
