"""The viewer in a real browser over the real store: what is drawn, measured, noted and said."""

import re
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from support.browsed_ward import PATIENCE_MS, serving, sign_in
from support.dicom_files import octets_of
from support.image_stock import image_stock
from support.imaged_ward import (
    CT_SERIES,
    CT_STUDY,
    DAMAGED,
    ECG,
    IMAGES,
    PDF_STUDY,
    SIDE,
    SR,
    US,
    ct_image,
    ct_values,
    imaged_ward,
)
from support.postgres import TestServer
from support.presentation_states import add_overlay, presentation_state, reference, window
from support.served_ward import ANNA, WARD

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

PRESENTED = "1.2.826.0.1.3680043.8.498.9"
COMPRESSED = "1.2.826.0.1.3680043.8.498.10"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The ward with images, served once for the tests of this file; its URL."""
    name = await postgres_server.clone(WARD)
    folder = tmp_path_factory.mktemp("images")
    images = imaged_ward(postgres_server.server.dsn_of(name), folder)
    async with images as ward, serving(ward) as url:
        async with image_stock(ward.store, ward.settings) as stock:
            for dataset in (*presented_study(), compressed_image()):
                await stock.add(octets_of(dataset))
        yield url
    await postgres_server.drop(name)


def presented_study() -> list[Dataset]:
    """The first image of the CT, with an overlay and a shutter, and how somebody wants it seen."""
    study = {"study_uid": PRESENTED, "series_uid": f"{PRESENTED}.1"}
    shut = {
        "ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 11,
        "ShutterUpperHorizontalEdge": 1, "ShutterLowerHorizontalEdge": SIDE,
        "ShutterRightVerticalEdge": SIDE,
    }  # fmt: skip
    shown = ct_image(1, **study, SOPInstanceUID=f"{PRESENTED}.1.1", **shut)
    add_overlay(shown, SIDE, (40, 30))
    state = presentation_state(
        f"{PRESENTED}.1", reference(f"{PRESENTED}.1.1", shown.SOPClassUID), study_uid=PRESENTED,
        series_uid=f"{PRESENTED}.2", SOPInstanceUID=f"{PRESENTED}.2.1", ContentLabel="LUNGS",
        SoftcopyVOILUTSequence=[window(-600, 1500)], SeriesNumber=2, ImageRotation=90,
        RescaleSlope=1, RescaleIntercept=-1024,
    )  # fmt: skip
    add_overlay(state, SIDE, (50, 44))
    return [shown, state]


def compressed_image() -> Dataset:
    """Negative samples of 12 bits that were extended to 16, and an overlay that claims bit 12."""
    made = ct_image(
        1, study_uid=COMPRESSED, series_uid=f"{COMPRESSED}.1", SOPInstanceUID=f"{COMPRESSED}.1.1",
        PatientID="Z-9", BitsStored=12, HighBit=11, PixelRepresentation=1, RescaleIntercept=0,
    )  # fmt: skip
    add_overlay(made, SIDE, (40, 30))
    del made[0x6000, 0x3000]
    made[0x6000, 0x0100].value, made[0x6000, 0x0102].value = 16, 12
    made.PixelData = np.full((SIDE, SIDE), -1000, "<i2").tobytes()
    made.compress(RLELossless, generate_instance_uid=False)
    return made


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(site: str, page: Page) -> AsyncIterator[Page]:
    """A signed-in page; scripts must not fail and no policy be broken."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if _is_breach(line.text) else None)
    await sign_in(page, site, "/studies")
    yield page
    assert not complaints


def _is_breach(text: str) -> bool:
    return "Content Security Policy" in text or "Refused to" in text


async def show(page: Page, site: str, study: str) -> None:
    """Open a study and wait until its first object is on the screen."""
    await page.goto(f"{site}/studies/{study}")
    await page.wait_for_selector("#viewer[data-shown]", timeout=PATIENCE_MS)


async def grey_at(page: Page, column: int, row: int) -> list[int]:
    """The colour of the canvas where a pixel of the CT is, one pixel of the image for one of it."""
    found: list[int] = await page.evaluate(
        """([column, row, side]) => new Promise((done) => requestAnimationFrame(() =>
             requestAnimationFrame(() => {
          const canvas = document.querySelector("#viewer canvas");
          const left = Math.round((canvas.width - side) / 2) + column;
          const top = Math.round((canvas.height - side) / 2) + row;
          done([...canvas.getContext("2d").getImageData(left, top, 1, 1).data].slice(0, 3));
        })))""",
        [column, row, SIDE],
    )
    return found


def expected_grey(number: int, column: int, row: int, center: float, width: float) -> int:
    """PS3.3, C.11.2.1.2.1."""
    value = float(ct_values(number)[row, column])
    place = (value - (center - 0.5)) / (width - 1) + 0.5
    return round(255 * min(1.0, max(0.0, place)))


PLACES = [(0, 0), (30, 40), (44, 50), (60, 95), (95, 13)]


async def assert_drawn(page: Page, number: int, center: float, width: float) -> None:
    for column, row in PLACES:
        grey = expected_grey(number, column, row, center, width)
        assert await grey_at(page, column, row) == [grey] * 3, (number, column, row)
    assert len({expected_grey(number, *place, center, width) for place in PLACES}) > 2


async def test_pixels_are_what_the_window_makes_of_the_samples(viewer: Page, site: str) -> None:
    await show(viewer, site, CT_STUDY)
    await viewer.keyboard.press("x")
    await expect(viewer.locator(".bottom-right")).to_contain_text("zoom 100 %")
    await assert_drawn(viewer, 1, 40, 400)
    await viewer.select_option(".presets", label="3 Lung (1500 / -600)")
    await assert_drawn(viewer, 1, -600, 1500)
    await viewer.keyboard.press("ArrowDown")
    await expect(viewer.locator(".bottom-left")).to_contain_text(f"2 of {IMAGES}")
    await viewer.wait_for_selector(f'#viewer[data-shown="{CT_SERIES}.2/1"]')
    await assert_drawn(viewer, 2, -600, 1500)
    await viewer.keyboard.press("i")
    inverted = 255 - expected_grey(2, 30, 40, -600, 1500)
    assert await grey_at(viewer, 30, 40) == [inverted] * 3
    await viewer.keyboard.press("r")
    for corner, words in (("top-left", "Almeida, Anna"), ("top-left", "ID A-1"),
                          ("top-right", "CT of the chest"), ("bottom-left", "at 5 mm"),
                          ("bottom-right", "window 400, centre 40 HU")):  # fmt: skip
        await expect(viewer.locator(f".corner.{corner}")).to_contain_text(words)
    assert [await viewer.inner_text(f".edge.{edge}") for edge in ("left", "right", "top")] == [
        "R", "L", "A",
    ]  # fmt: skip


async def test_bits_beside_decoded_samples_are_no_overlay(viewer: Page, site: str) -> None:
    await show(viewer, site, COMPRESSED)
    for column, row in ((0, 0), (30, 40), (60, 60)):
        assert await grey_at(viewer, column, row) == [0] * 3, "air is black"


async def test_a_presentation_state_is_told_and_laid_on_when_it_is_chosen(
    viewer: Page, site: str
) -> None:
    await show(viewer, site, PRESENTED)
    await viewer.keyboard.press("x")
    said = viewer.locator(".bottom-right")
    await expect(said).to_contain_text("1 presentation state stored, not applied")
    for column, row, grey in (
        (30, 40, 255),  # the image's overlay
        (2, 13, 0),  # behind its shutter
        (44, 50, expected_grey(1, 44, 50, 40, 400)),
    ):
        assert await grey_at(viewer, column, row) == [grey] * 3, (column, row)
    await viewer.select_option(".presentations", label="LUNGS")
    await expect(said).to_contain_text("shown as \u201cLUNGS\u201d says, without its rotation")
    await expect(said).to_contain_text("window 1500, centre -600")
    for column, row in ((30, 40), (2, 13)):
        grey = expected_grey(1, column, row, -600, 1500)
        assert await grey_at(viewer, column, row) == [grey] * 3, (column, row)
    assert await grey_at(viewer, 44, 50) == [255] * 3, "the state's overlay"
    await viewer.select_option(".presentations", label="No presentation state")
    await expect(said).to_contain_text("not applied")
    assert await grey_at(viewer, 30, 40) == [255] * 3
    await viewer.locator(".strip button").nth(1).click()
    await expect(viewer.locator(".panel")).to_contain_text("Presentation state \u201cLUNGS\u201d")


async def test_windows_to_choose_from_are_those_of_the_image_shown(viewer: Page, site: str) -> None:
    await show(viewer, site, CT_STUDY)
    second, lung = "2 SECOND (800 / -100)", "4 Lung (1500 / -600)"
    choice = viewer.locator(".presets")
    await expect(choice).not_to_contain_text("SECOND")
    await viewer.keyboard.press("x")
    await viewer.keyboard.press("ArrowDown")
    await viewer.keyboard.press("ArrowDown")
    await viewer.wait_for_selector(f'#viewer[data-shown="{CT_SERIES}.3/1"]')
    await assert_drawn(viewer, 3, 10, 500)
    await viewer.select_option(".presets", label=second)
    await assert_drawn(viewer, 3, -100, 800)
    await expect(choice).to_have_value("1")
    await viewer.select_option(".presets", label=lung)
    await viewer.keyboard.press("ArrowDown")
    await viewer.wait_for_selector(f'#viewer[data-shown="{CT_SERIES}.4/1"]')
    await assert_drawn(viewer, 4, -600, 1500)  # what was chosen stays, and is found at its place
    await expect(choice).to_have_value("2")
    await expect(choice.locator("option:checked")).to_have_text("3 Lung (1500 / -600)")
    await expect(choice).not_to_contain_text("SECOND")
    await viewer.keyboard.press("9")
    await assert_drawn(viewer, 4, -600, 1500)  # there is no ninth
    await viewer.keyboard.press("r")
    await expect(choice).to_have_value("own")
    await viewer.keyboard.press("x")
    await assert_drawn(viewer, 4, 40, 400)


async def canvas_place(page: Page, column: float, row: float) -> tuple[float, float]:
    """Where a place of the CT is on the screen, one pixel for one."""
    box = await page.locator("#viewer canvas").bounding_box()
    assert box is not None
    left, top = (round((box[side] - SIDE) / 2) for side in ("width", "height"))
    return box["x"] + left + column, box["y"] + top + row


async def test_a_measured_line_goes_with_a_note_to_the_patient(viewer: Page, site: str) -> None:
    await show(viewer, site, CT_STUDY)
    await viewer.keyboard.press("End")
    await viewer.wait_for_selector(f'#viewer[data-shown="{CT_SERIES}.{IMAGES}/1"]')
    await viewer.keyboard.press("x")
    await viewer.keyboard.press("l")
    await viewer.mouse.move(*await canvas_place(viewer, 10, 20))
    await viewer.mouse.down()
    await viewer.mouse.move(*await canvas_place(viewer, 50, 50), steps=4)
    await viewer.mouse.up()
    status = viewer.locator(".status")
    await expect(status).to_have_text("Length: 25.0 mm")  # 40 and 30 pixels of half a millimetre
    await viewer.fill("#note-text", "Nodule <b>25 mm</b>")
    await viewer.click(".notes form button:text('Store note')")
    await expect(status).to_have_text("The note is stored.", timeout=PATIENCE_MS)
    await viewer.goto(f"{site}/patients/{ANNA}")
    await expect(viewer.locator(".studies li")).to_have_count(2)
    line = viewer.locator(".timeline .of-note a")
    await expect(line).to_have_text("Note on an image: Nodule <b>25 mm</b>")
    await line.click()
    await viewer.wait_for_selector(
        f'#viewer[data-shown="{CT_SERIES}.{IMAGES}/1"]', timeout=PATIENCE_MS
    )
    await viewer.keyboard.press("x")
    await expect(viewer.locator(".note")).to_contain_text("Nodule <b>25 mm</b>")
    yellow = await grey_at(viewer, 30, 35)  # the middle of the line
    assert yellow[0] > 200
    assert yellow[2] < 150
    await viewer.click("text=Correct")
    await expect(viewer.locator("#note-text")).to_have_value("Nodule <b>25 mm</b>")
    await viewer.fill("#note-text", "Nodule 24 mm")
    await viewer.click(".notes form button:text('Store note')")
    wrong = viewer.locator(".note.withdrawn")
    await expect(wrong).to_contain_text("Corrected by another note: nurse", timeout=PATIENCE_MS)
    viewer.once("dialog", lambda dialog: dialog.accept())
    await viewer.locator(".note:not(.withdrawn)").get_by_text("Entered in error").click()
    await expect(wrong).to_have_count(2, timeout=PATIENCE_MS)
    await expect(wrong.first).to_contain_text("Entered in error: nurse")


async def test_keys_alone_measure_and_a_phone_has_room(viewer: Page, site: str) -> None:
    await viewer.set_viewport_size({"width": 390, "height": 844})
    await viewer.emulate_media(color_scheme="dark")
    for path in ("/studies", f"/patients/{ANNA}"):
        await viewer.goto(f"{site}{path}")
        assert await viewer.evaluate("document.documentElement.scrollWidth") <= 390
    await show(viewer, site, CT_STUDY)
    assert await viewer.evaluate("document.documentElement.scrollWidth") <= 390
    await viewer.locator("#viewer canvas").focus()
    await viewer.keyboard.press("l")
    await viewer.keyboard.press("ArrowRight")
    await viewer.keyboard.press("Enter")
    await viewer.keyboard.press("Shift+ArrowRight")
    await viewer.keyboard.press("Shift+ArrowRight")
    await viewer.keyboard.press("Enter")
    await expect(viewer.locator(".status")).to_have_text("Length: 10.0 mm")
    await viewer.keyboard.press("?")
    await expect(viewer.locator("dialog")).to_contain_text("take back the last drawing")


async def test_frames_play_at_the_object_s_rate(viewer: Page, site: str) -> None:
    """A JPEG of many frames: drawn by the server, in colour, marked as lossy, without patient."""
    await show(viewer, site, US.StudyInstanceUID)
    await expect(viewer.locator(".relation")).to_contain_text("Unmatched")
    await expect(viewer.locator(".bottom-left")).to_contain_text(f"frame 1 of {US.NumberOfFrames}")
    await expect(viewer.locator(".bottom-left")).to_contain_text(re.compile(r"lossy \d+:1"))
    assert float(await viewer.input_value(".fps")) == pytest.approx(1000 / US.FrameTime, abs=0.06)
    colours = await viewer.evaluate(
        """() => { const canvas = document.querySelector("#viewer canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size; }"""
    )
    assert colours > 50
    await viewer.keyboard.press(" ")
    later = re.compile(r"[6-9]|[12][0-9]|30")
    await expect(viewer.locator(".slider")).to_have_value(later, timeout=PATIENCE_MS)
    await viewer.keyboard.press(" ")


async def test_an_ecg_has_its_twelve_leads_to_scale(viewer: Page, site: str) -> None:
    await show(viewer, site, ECG.StudyInstanceUID)
    rhythm = viewer.locator(".panel section").first
    await expect(rhythm).to_contain_text("25 mm/s, 10 mm/mV")
    await expect(rhythm).to_contain_text("Filters: from 0.05 Hz, to 300 Hz")
    whose = viewer.locator(".panel .whose")
    await expect(whose).to_contain_text(f"ID {ECG.PatientID or 'none'}")
    await expect(whose).to_contain_text("recorded" if "AcquisitionDateTime" in ECG else "of ")
    await rhythm.get_by_text("All leads in full").click()
    leads = await rhythm.evaluate(
        """(section) => [...section.querySelectorAll("[data-lead]")].map((lead) => {
          const box = lead.querySelector(".trace").getBBox();
          return [lead.dataset.lead, box.width, -box.y, box.height];
        })"""
    )
    assert [name for name, *_ in leads] == [
        "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
    ]  # fmt: skip
    millivolts = ECG.waveform_array(0) / 1000
    for place, (name, width, top, height) in enumerate(leads):
        samples = millivolts[:, place]
        assert width == pytest.approx(250, abs=0.5), name
        assert top == pytest.approx(10 * samples.max(), abs=0.02), name
        assert height == pytest.approx(10 * (samples.max() - samples.min()), abs=0.02), name


async def test_reports_and_documents_are_shown(viewer: Page, site: str) -> None:
    await show(viewer, site, SR.StudyInstanceUID)
    panel = viewer.locator(".panel")
    await expect(panel).to_contain_text(
        str(SR.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning)
    )
    await expect(panel.locator(".whose")).to_contain_text(f"ID {SR.PatientID or 'none'}")
    await show(viewer, site, PDF_STUDY)
    await expect(panel).to_contain_text("Spirometry")
    await expect(panel.locator(".whose")).to_contain_text("Almeida, Anna, ID A-1")
    frame = await (await panel.locator("iframe").element_handle()).content_frame()
    assert frame is not None
    assert frame.url.startswith("blob:")
    assert await frame.evaluate("document.contentType") == "application/pdf"
    download = panel.locator("a")
    await expect(download).to_have_text("Download Spirometry.pdf (1 KiB)")
    assert await download.get_attribute("download") == "Spirometry.pdf"
    without = "Object.defineProperty(Navigator.prototype, 'pdfViewerEnabled', { get: () => false })"
    await viewer.add_init_script(without)  # as phones have it
    await show(viewer, site, PDF_STUDY)
    await expect(panel).to_contain_text("This browser shows no PDF inside of a page")
    await expect(panel.locator("iframe")).to_have_count(0)
    await expect(download).to_have_text("Download Spirometry.pdf (1 KiB)")


async def test_what_cannot_be_shown_is_said_in_words(viewer: Page, site: str) -> None:
    await viewer.goto(f"{site}/studies/{DAMAGED.StudyInstanceUID}")
    status = viewer.locator(".status.error")
    await expect(status).to_contain_text("cannot be sent in a form", timeout=PATIENCE_MS)
    await expect(viewer.locator(".bottom-left")).to_contain_text(f"image {DAMAGED.InstanceNumber}")
    await expect(viewer.locator(".bottom-right")).to_have_text("")
    await show(viewer, site, CT_STUDY)
    await viewer.context.clear_cookies()
    await viewer.evaluate("window.fetch = ((ask) => (url, how) => ask(url + '?again', how))(fetch)")
    await viewer.fill("#note-text", "too late")
    await viewer.click(".notes form button:text('Store note')")
    await expect(viewer.locator(".notes .error")).to_contain_text("Your session has ended")
