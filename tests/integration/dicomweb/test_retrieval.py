"""WADO-RS over HTTP: pydicom's own files come back as they were stored, whole and in pieces."""

import hashlib
import io
import json
import zipfile
from typing import Any

import pydicom
import pytest
import pytest_asyncio

from support.dicom_files import bundled, dataset_of, image, octets_of, parts_of, renamed
from support.image_archive import Archive, address

pytestmark = pytest.mark.asyncio(loop_scope="module")
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = "application/octet-stream"
EXPLICIT = "1.2.840.10008.1.2.1"
REAL = {  # each with a UID of its own; the last column is the type of its frames
    "CT_small.dcm": OCTETS, "MR_small_RLE.dcm": "image/dicom-rle", "reportsi.dcm": "",
    "MR_small_implicit.dcm": OCTETS, "MR_small_bigendian.dcm": OCTETS, "waveform_ecg.dcm": "",
    "examples_ybr_color.dcm": "image/jpeg", "examples_jpeg2k.dcm": "image/jp2",
    "MR_small_jpeg_ls_lossless.dcm": "image/jls", "image_dfl.dcm": OCTETS,
    "693_J2KI.dcm": "image/jp2", "liver_1frame.dcm": OCTETS,
    "JPEGLSNearLossless_08.dcm": "image/jls",
    "rtdose.dcm": OCTETS, "SC_rgb_small_odd.dcm": OCTETS,
}  # fmt: skip
FILES = {name: bundled(name) if name == "CT_small.dcm" else renamed(bundled(name)) for name in REAL}
IMAGES = [name for name, kind in REAL.items() if kind]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def stored(archive: Archive) -> None:
    """All of them are there."""
    await archive.store(*FILES.values())


def here(name: str) -> str:
    return address(dataset_of(FILES[name]))


@pytest.mark.parametrize("name", REAL)
async def test_files_come_back_octet_by_octet(archive: Archive, name: str) -> None:
    sent = FILES[name]
    single = await archive.get(here(name), "application/dicom")
    assert single.content == sent
    assert single.headers["etag"] == f'"{hashlib.sha256(sent).hexdigest()}"'
    syntax = dataset_of(sent).file_meta.TransferSyntaxUID
    assert single.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
    for accept in (AS_STORED, None, "*/*"):
        answer = await archive.get(here(name), accept)
        ((headers, content),) = parts_of(answer.headers["content-type"], answer.content)
        assert content == sent
        assert headers["content-type"] == single.headers["content-type"]
        assert headers["content-location"].endswith(here(name))


async def test_a_study_has_all_its_instances_in_order(archive: Archive) -> None:
    images = [image(StudyInstanceUID="1.3.1", SeriesInstanceUID=f"1.3.1.{series}",
                    SeriesNumber=series, InstanceNumber=number)
              for series in (1, 2) for number in (1, 2, 3)]  # fmt: skip
    files = [octets_of(each) for each in images]
    await archive.store(*files)
    for path, expected in (("/studies/1.3.1", files), ("/studies/1.3.1/series/1.3.1.2", files[3:])):
        answer = await archive.get(path, AS_STORED)
        parts = parts_of(answer.headers["content-type"], answer.content)
        assert [content for _, content in parts] == expected
        metadata = (await archive.get(f"{path}/metadata")).json()
        uids = [each["00080018"]["Value"][0] for each in metadata]
        assert uids == [dataset_of(each).SOPInstanceUID for each in expected]
        zipped = zipfile.ZipFile(io.BytesIO((await archive.get(path, "application/zip")).content))
        assert zipped.testzip() is None
        assert [zipped.read(name) for name in zipped.namelist()] == expected
    assert zipped.namelist() == ["0001/00001.dcm", "0001/00002.dcm", "0001/00003.dcm"]


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "MR_small_implicit.dcm",
                                  "MR_small_bigendian.dcm", "image_dfl.dcm"])  # fmt: skip
async def test_what_was_asked_for_in_explicit_little_endian_is(archive: Archive, name: str) -> None:
    for form in ("application/dicom", 'multipart/related; type="application/dicom"'):
        answer = await archive.get(here(name), f"{form}; transfer-syntax={EXPLICIT}")
        content = answer.content
        if form.startswith("multipart"):
            ((headers, content),) = parts_of(answer.headers["content-type"], content)
            assert headers["content-type"].endswith(EXPLICIT)
        made, sent = pydicom.dcmread(io.BytesIO(content)), dataset_of(FILES[name])
        assert made.file_meta.TransferSyntaxUID == EXPLICIT
        assert made.SOPInstanceUID == sent.SOPInstanceUID
        assert (made.pixel_array == sent.pixel_array).all() or name == "examples_ybr_color.dcm"


async def test_other_transfer_syntaxes_are_not_made(archive: Archive) -> None:
    j2k = "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"
    answer = await archive.get(here("CT_small.dcm"), j2k)
    assert answer.status_code == 406
    assert "transfer-syntax=*" in answer.text


@pytest.mark.parametrize("name", IMAGES)
async def test_frames_are_cut_out_as_they_are_stored(archive: Archive, name: str) -> None:
    file = dataset_of(FILES[name])
    syntax = file.file_meta.TransferSyntaxUID
    accept = f'multipart/related; type="{OCTETS}"; transfer-syntax=*'
    answer = await archive.get(f"{here(name)}/frames/1", accept)
    assert answer.status_code == 200, answer.text
    ((headers, content),) = parts_of(answer.headers["content-type"], answer.content)
    if name == "image_dfl.dcm":
        assert content == file.PixelData
        return
    assert headers["content-type"] == f"{OCTETS}; transfer-syntax={syntax}"
    if syntax.is_encapsulated:
        expected = next(pydicom.encaps.generate_frames(file.PixelData, number_of_frames=int(
            file.get("NumberOfFrames", 1))))  # fmt: skip
    else:
        size = len(file.PixelData) // int(file.get("NumberOfFrames", 1))
        expected = file.PixelData[:size]
        content = content[: len(expected)]
        expected = expected[: len(content)]
    assert content == expected


@pytest.mark.parametrize("name", IMAGES)
async def test_frames_have_the_media_type_of_their_syntax(archive: Archive, name: str) -> None:
    answer = await archive.get(f"{here(name)}/frames/1")
    ((headers, _),) = parts_of(answer.headers["content-type"], answer.content)
    assert headers["content-type"].partition(";")[0] == REAL[name]
    assert f'type="{REAL[name]}"' in answer.headers["content-type"]
    single = await archive.get(f"{here(name)}/frames/1", REAL[name])
    assert single.headers["content-type"].startswith(REAL[name])


async def test_several_frames_come_in_the_order_asked_for(archive: Archive) -> None:
    name = "examples_ybr_color.dcm"
    file = dataset_of(FILES[name])
    frames = list(pydicom.encaps.generate_frames(file.PixelData, number_of_frames=30))
    answer = await archive.get(
        f"{here(name)}/frames/3,1,30", 'multipart/related; type="image/jpeg"'
    )
    parts = parts_of(answer.headers["content-type"], answer.content)
    assert [content for _, content in parts] == [frames[2], frames[0], frames[29]]
    whole = await archive.get(f"{here(name)}/bulkdata/7FE00010")
    assert len(parts_of(whole.headers["content-type"], whole.content)) == 30


@pytest.mark.parametrize(
    ("frames", "status"),
    [("0", 400), ("x", 400), ("1,", 400), ("-1", 400), ("2", 404), ("1,2", 404), ("9" * 30, 400)],
)
async def test_frames_that_are_none_are_refused(archive: Archive, frames: str, status: int) -> None:
    answer = await archive.get(f"{here('CT_small.dcm')}/frames/{frames}")
    assert answer.status_code == status
    assert "frame" in answer.text


MR_SIBLINGS = [
    f"MR_small_{name}.dcm"
    for name in ("RLE", "implicit", "bigendian", "expb", "jpeg_ls_lossless", "jp2klossless")
]


@pytest.mark.parametrize("name", MR_SIBLINGS)
async def test_decoded_frames_equal_those_of_the_uncompressed_sibling(
    archive: Archive, name: str
) -> None:
    file = renamed(bundled(name))
    await archive.store(file)
    answer = await archive.get(f"{address(dataset_of(file))}/frames/1", OCTETS)
    assert answer.headers["content-type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    assert answer.content == dataset_of(bundled("MR_small.dcm")).PixelData


async def test_ranges_and_validators_of_files(archive: Archive) -> None:
    path, sent = here("CT_small.dcm"), FILES["CT_small.dcm"]
    part = await archive.get(path, "application/dicom", Range="bytes=1000-1999")
    assert (part.status_code, part.content) == (206, sent[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(sent)}"
    end = await archive.get(path, "application/dicom", Range="bytes=-10")
    assert end.content == sent[-10:]
    beyond = await archive.get(path, "application/dicom", Range=f"bytes={len(sent)}-")
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(sent)}"
    tag = part.headers["etag"]
    same = await archive.client.get(
        path, headers={"Accept": "application/dicom", "If-None-Match": f'"other", {tag}'}
    )
    assert (same.status_code, same.content) == (304, b"")
    old = {"Accept": "application/dicom", "Range": "bytes=0-9", "If-Range": '"old"'}
    assert (await archive.client.get(path, headers=old)).content == sent
    head = await archive.client.head(path, headers={"Accept": "application/dicom"})
    assert (head.headers["content-length"], head.content) == (str(len(sent)), b"")


async def test_ranges_of_a_multipart_body_fit_together(archive: Archive) -> None:
    path = f"{here('CT_small.dcm')}/frames/1"
    whole = (await archive.get(path)).content
    pieces = [(await archive.get(path, Range=f"bytes={at}-{at + 9999}")).content
              for at in range(0, len(whole), 10_000)]  # fmt: skip
    assert b"".join(pieces) == whole


@pytest.mark.parametrize("name", REAL)
async def test_metadata_is_the_data_set_without_its_bulk(archive: Archive, name: str) -> None:
    (metadata,) = (await archive.get(f"{here(name)}/metadata")).json()
    file = dataset_of(FILES[name])
    made = pydicom.Dataset.from_json(json.dumps(_without_bulk(metadata)))
    for keyword in ("SOPInstanceUID", "PatientID", "Modality", "Rows", "BitsStored"):
        assert made.get(keyword) == file.get(keyword), keyword
    names = [str(each.get("PatientName", "")).rstrip("^") for each in (made, file)]
    assert names[0] == names[1]
    pixels = metadata.get("7FE00010")
    if pixels is not None:
        assert pixels["BulkDataURI"].endswith(f"{here(name)}/bulkdata/7FE00010")


def _without_bulk(metadata: Any) -> Any:
    return {tag: each for tag, each in metadata.items() if "BulkDataURI" not in each}


async def test_the_samples_of_an_ecg_are_in_its_metadata(archive: Archive) -> None:
    (metadata,) = (await archive.get(f"{here('waveform_ecg.dcm')}/metadata")).json()
    (made,) = (pydicom.Dataset.from_json(metadata),)
    sent = dataset_of(FILES["waveform_ecg.dcm"])
    for ours, theirs in zip(made.WaveformSequence, sent.WaveformSequence, strict=True):
        assert ours.WaveformData == theirs.WaveformData


async def test_metadata_is_asked_for_anew_without_being_sent_anew(archive: Archive) -> None:
    path = f"{here('CT_small.dcm').partition('/series')[0]}/metadata"
    first = await archive.get(path)
    again = await archive.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "private, no-cache"


async def test_every_bulk_address_of_the_metadata_can_be_had(archive: Archive) -> None:
    private = image(side=8)
    private.add_new(0x00091010, "UN", b"\x01" * 5000)
    item = pydicom.Dataset()
    item.add_new(0x00189810, "OB", b"")
    item.add_new(0x00091011, "OB", b"\x02" * 3000)
    private.SharedFunctionalGroupsSequence = [item]
    await archive.store(octets_of(private))
    (metadata,) = (await archive.get(f"{address(private)}/metadata")).json()
    found = _bulk_addresses(metadata)
    assert len(found) == 3
    values = {}
    for uri in found:
        answer = await archive.get(uri, OCTETS)
        assert answer.status_code == 200, uri
        values[uri.rpartition("/")[2]] = answer.content
    assert values["00091010"] == b"\x01" * 5000
    assert values["00091011"] == b"\x02" * 3000
    assert values["7FE00010"] == private.PixelData


def _bulk_addresses(metadata: Any) -> list[str]:
    found = []
    for element in metadata.values():
        if "BulkDataURI" in element:
            found.append(element["BulkDataURI"])
        for item in element.get("Value", []) if element["vr"] == "SQ" else []:
            found += _bulk_addresses(item)
    return found


@pytest.mark.parametrize(
    ("path", "status"),
    [("bulkdata/99999999", 404), ("bulkdata/xyz", 400), ("bulkdata/7FE00010/1", 400),
     ("bulkdata/00081140/5/00081155", 404)],
)  # fmt: skip
async def test_bulk_that_is_not_there_is_refused(archive: Archive, path: str, status: int) -> None:
    answer = await archive.get(f"{here('CT_small.dcm')}/{path}")
    assert answer.status_code == status


@pytest.mark.parametrize(
    "path",
    ["/studies/1.9", "/studies/1.9/metadata", "/studies/1.9/series/1.9.1", "/studies/1.9/thumbnail",
     "/studies/1.9/series/1.9.1/instances/1.9.2",
     "/studies/1.9/series/1.9.1/instances/1.9.2/frames/1"],
)  # fmt: skip
async def test_what_is_not_there_is_404(archive: Archive, path: str) -> None:
    assert (await archive.get(path)).status_code == 404


async def test_an_instance_has_one_address(archive: Archive) -> None:
    study, _, rest = here("CT_small.dcm").partition("/series/")
    other = here("MR_small_RLE.dcm").partition("/series/")[0]
    assert (await archive.get(f"{other}/series/{rest}")).status_code == 404
    assert (
        await archive.get(f"{study}/series/1.2/instances/{rest.rpartition('/')[2]}")
    ).status_code == 404


@pytest.mark.parametrize("uid", ["..", "a", "1.2%2F3", "1" * 65, "%00"])
async def test_what_is_no_uid_is_refused(archive: Archive, uid: str) -> None:
    assert (await archive.get(f"/studies/{uid}/metadata")).status_code in (400, 404)


async def test_what_is_known_to_be_damaged_is_not_given_out(archive: Archive) -> None:
    """Until it is whole again, which is seen at once; its headers and its siblings are there."""
    store = archive.ward.store
    good, bad = [image(StudyInstanceUID="1.4.1", SeriesInstanceUID="1.4.1.1") for _ in range(2)]
    files = octets_of(good), octets_of(bad)
    await archive.store(*files)
    digest = hashlib.sha256(files[1]).digest()
    study, place = "/studies/1.4.1", address(bad)
    uids = f"studyUID=1.4.1&seriesUID=1.4.1.1&objectUID={bad.SOPInstanceUID}"
    asked = [
        (place, "application/dicom"), (place, None), (study, AS_STORED), (study, "application/zip"),
        (f"{place}/frames/1", None), (f"{place}/bulkdata/7FE00010", None),
        (f"{place}/rendered", None), (f"{place}/frames/1/rendered", None),
        (f"{place}/thumbnail", None), (f"{study}/rendered", None),
        (f"/wado?requestType=WADO&{uids}", None),
    ]  # fmt: skip
    for finding, status in (("differs", 500), ("unreadable", 500), ("unindexed", 200)):
        await store.note_check(digest, finding)  # type: ignore[arg-type]
        for path, accept in asked:
            answer = await archive.get(path, accept)
            assert answer.status_code == status, (finding, path, answer.text)
            assert ("is damaged or missing" in answer.text) == (status == 500)
            assert ("1 of 2" in answer.text) == (status == 500 and not path.startswith(place)
                                                 and "/wado" not in path)  # fmt: skip
        assert (await archive.get(f"{study}/metadata")).status_code == 200
        assert (await archive.get(address(good), "application/dicom")).content == files[0]
        found = (await archive.get(f"{study}/instances")).json()
        told = {each["00080018"]["Value"][0]: each["00080056"]["Value"][0] for each in found}
        state = "ONLINE" if status == 200 else "UNAVAILABLE"
        assert told == {good.SOPInstanceUID: "ONLINE", bad.SOPInstanceUID: state}
        # What cannot be had as a whole is not said to be at hand; of instances alone both are told.
        whole = "ONLINE" if status == 200 else "OFFLINE"
        for path in (f"/studies?StudyInstanceUID={good.StudyInstanceUID}", f"{study}/series"):
            (level,) = (await archive.get(path)).json()
            assert level["00080056"]["Value"] == [whole], (finding, path)
