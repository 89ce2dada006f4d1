"""What is sent agrees with what the metadata says, and with what an operator chose to be shown."""

import base64

import numpy as np
import pytest
from pydicom.pixels.processing import convert_color_space

from support.dicom_files import bundled, dataset_of, image, octets_of, parts_of, renamed, stow_body
from support.image_archive import Archive, address
from wardlight_cloud.cli.image_objects import opened_intake
from wardlight_cloud.dicomweb import located
from wardlight_cloud.imaging.versions import show_version

pytestmark = pytest.mark.asyncio(loop_scope="module")
DECODED = 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1'


async def _frame(archive: Archive, octets: bytes) -> bytes:
    await archive.store(octets)
    answer = await archive.get(f"{address(dataset_of(octets))}/frames/1", DECODED)
    assert answer.status_code == 200, answer.text
    ((headers, frame),) = parts_of(answer.headers["content-type"], answer.content)
    assert headers["content-type"].endswith("transfer-syntax=1.2.840.10008.1.2.1")
    return frame


async def test_decoded_colours_are_those_of_the_metadata(archive: Archive) -> None:
    """YBR_FULL_422 without compression: two octets a pixel, as PS3.3, C.7.6.3.1.2 has them."""
    octets = renamed(bundled("examples_ybr_color.dcm"))
    dataset = dataset_of(octets)
    frame = await _frame(archive, octets)
    (header,) = (await archive.get(f"{address(dataset)}/metadata")).json()
    assert header["00280004"]["Value"] == ["YBR_FULL_422"]
    assert len(frame) == dataset.Rows * dataset.Columns * 2
    plain = image(
        Rows=dataset.Rows, Columns=dataset.Columns, SamplesPerPixel=3, BitsAllocated=8,
        BitsStored=8, HighBit=7, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0,
        PixelData=frame,
    )  # fmt: skip
    found = convert_color_space(plain.pixel_array, "YBR_FULL", "RGB").astype(int)
    expected = convert_color_space(dataset.pixel_array[0], "YBR_FULL_422", "RGB").astype(int)
    assert np.abs(found - expected).mean() < 2


async def test_decoded_planes_and_colour_spaces_stay_as_the_metadata_has_them(
    archive: Archive,
) -> None:
    """RLE of planes; YBR_FULL is not turned into RGB."""
    values = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    for meaning in ("RGB", "YBR_FULL"):
        made = image(
            side=8, SamplesPerPixel=3, BitsAllocated=8, BitsStored=8, HighBit=7,
            PhotometricInterpretation=meaning, PlanarConfiguration=1, PixelData=values.tobytes(),
        )  # fmt: skip
        made.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        made.PlanarConfiguration = 1
        octets = octets_of(made)
        if meaning == "RGB":  # what the encoder made of the samples, the same both times
            planes = np.moveaxis(dataset_of(octets).pixel_array, -1, 0)
            assert len(np.unique(planes)) == values.size
        assert await _frame(archive, octets) == planes.tobytes()


async def test_words_of_big_endian_files_are_sent_little_endian(archive: Archive) -> None:
    """Inline and as bulk data (PS3.18, F.2.7; PS3.5, 7.3)."""
    octets = renamed(bundled("MR_small_bigendian.dcm"))
    dataset = dataset_of(octets)
    words = np.arange(1, 9, dtype=">u2")
    dataset.add_new(0x00091010, "OW", words.tobytes())
    dataset.add_new(0x00090010, "LO", "WARDLIGHT TEST")
    file = octets_of(dataset)
    await archive.store(file)
    (header,) = (await archive.get(f"{address(dataset)}/metadata")).json()
    inline = base64.b64decode(header["00091010"]["InlineBinary"])
    assert np.frombuffer(inline, "<u2").tolist() == words.tolist()
    answer = await archive.get(f"{address(dataset)}/bulkdata/00091010", "application/octet-stream")
    assert answer.content == inline


async def test_answers_are_kept_only_as_long_as_they_are_so(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """304 while the same file is shown; the other one, at every address, once it is chosen."""
    monkeypatch.setattr(located, "_REMEMBER_S", 0.0)
    first = image(side=16)
    other = dataset_of(octets_of(first))
    other.PixelData = bytes(reversed(first.PixelData))
    await archive.store(octets_of(first))
    answer = await archive.post(stow_body([octets_of(other)]))
    assert answer.status_code in (200, 202, 409)
    here = address(first)
    paths = (here, f"{here}/metadata", f"{here}/rendered", f"{here}/frames/1", f"{here}/thumbnail")
    tags: dict[str, str] = {}
    for path in paths:
        found = await archive.get(path)
        assert found.headers["cache-control"] == "private, no-cache", path
        tags[path] = found.headers["etag"]
        again = await archive.get(path, **{"If-None-Match": tags[path]})
        assert (again.status_code, again.content) == (304, b""), path
    await _show_the_other(archive, other.SOPInstanceUID)
    for path in paths:
        found = await archive.get(path, **{"If-None-Match": tags[path]})
        assert found.status_code == 200, path
        assert found.headers["etag"] != tags[path]


async def _show_the_other(archive: Archive, sop_uid: str) -> None:
    """Choose the file that is not shown."""
    store = archive.ward.store
    (beside,) = [each for each in await store.versions(sop_uid) if not each.is_shown]
    async with opened_intake(archive.ward.settings, store) as intake:
        await show_version(store, intake, sop_uid, beside.sha256, by="nurse", reason="test")
