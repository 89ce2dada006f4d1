"""STOW-RS over HTTP: each instance gets its verdict, and hostile bodies leave nothing behind."""

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from support.dicom_files import (
    BOUNDARY,
    STOW_TYPE,
    bundled,
    dataset_of,
    image,
    octets_of,
    stow_body,
)
from support.image_archive import Archive, address

pytestmark = pytest.mark.asyncio(loop_scope="module")
STORED, FAILED, OTHERS = "00081199", "00081198", "0008119A"


def reasons(report: Any) -> list[int]:
    items = [item for tag in (FAILED, OTHERS) for item in report.get(tag, {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in items]


def stored_uids(report: Any) -> list[str]:
    return [item["00081155"]["Value"][0] for item in report.get(STORED, {}).get("Value", [])]


async def test_each_instance_is_told_of(archive: Archive) -> None:
    made = [image(StudyInstanceUID="1.5.1") for _ in range(3)]
    report = await archive.store(*map(octets_of, made))
    assert stored_uids(report) == [each.SOPInstanceUID for each in made]
    assert report["00081190"]["Value"] == ["https://wards.example/dicom-web/studies/1.5.1"]
    item = report[STORED]["Value"][0]
    assert item["00081150"]["Value"] == [made[0].SOPClassUID]
    assert item["00081190"]["Value"][0].endswith(address(made[0]))
    assert FAILED not in report


async def test_the_same_again_is_stored_once(archive: Archive) -> None:
    file = octets_of(image(StudyInstanceUID="1.5.2"))
    for _ in range(2):
        await archive.store(file)
    (study,) = (await archive.get("/studies?StudyInstanceUID=1.5.2")).json()
    assert study["00201208"]["Value"] == [1]


async def test_one_file_may_be_the_body(archive: Archive) -> None:
    made = image()
    answer = await archive.post(octets_of(made), content_type="application/dicom")
    assert answer.status_code == 200
    assert stored_uids(answer.json()) == [made.SOPInstanceUID]


async def test_other_octets_under_a_known_uid_are_a_conflict(archive: Archive) -> None:
    made = image()
    await archive.store(octets_of(made))
    first = octets_of(made)
    made.PatientComments = "changed"
    answer = await archive.post(stow_body([octets_of(made)]))
    assert (answer.status_code, reasons(answer.json())) == (409, [0x0111])
    shown = await archive.get(address(made), "application/dicom")
    assert shown.content == first


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "test-SR.dcm", "JPEG2000.dcm", "image_dfl.dcm", "waveform_ecg.dcm"]
)
async def test_a_file_that_is_cut_off_is_refused_and_the_whole_one_stored(
    archive: Archive, name: str
) -> None:
    whole = bundled(name)
    before = _objects(archive)
    for missing in (31, 200, 1000):
        answer = await archive.post(stow_body([whole[:-missing]]))
        assert (answer.status_code, reasons(answer.json())) == (409, [0xC000])
    assert _objects(archive) == before
    await archive.store(whole)


async def test_some_failures_are_202_and_only_failures_409(archive: Archive) -> None:
    good = image()
    mixed = await archive.post(stow_body([octets_of(good), b"no dicom at all"]))
    assert mixed.status_code == 202
    assert stored_uids(mixed.json()) == [good.SOPInstanceUID]
    assert reasons(mixed.json()) == [0xC000]
    bad = await archive.post(stow_body([b"x", b""]))
    assert (bad.status_code, reasons(bad.json())) == (409, [0xC000, 0xC000])


async def test_an_object_of_no_study_is_refused_as_of_a_class_that_is_not_stored(
    archive: Archive,
) -> None:
    palette = image(SOPClassUID="1.2.840.10008.5.1.4.39.1")
    del palette.StudyInstanceUID, palette.SeriesInstanceUID, palette.PixelData
    answer = await archive.post(stow_body([octets_of(palette)]))
    assert (answer.status_code, reasons(answer.json())) == (409, [0x0122])


async def test_instances_of_another_study_are_refused_by_their_address(archive: Archive) -> None:
    here, elsewhere = image(StudyInstanceUID="1.5.3"), image(StudyInstanceUID="1.5.4")
    answer = await archive.post(stow_body([octets_of(here), octets_of(elsewhere)]), study="1.5.3")
    assert answer.status_code == 202
    assert reasons(answer.json()) == [0xA900]
    assert answer.json()[FAILED]["Value"][0]["00081155"]["Value"] == [elsewhere.SOPInstanceUID]
    assert (await archive.get("/studies/1.5.4/metadata")).status_code == 404


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 415), ("", 415), ("multipart/form-data; boundary=x", 415),
        ('multipart/related; type="application/dicom+json"; boundary=x', 415),
        ('multipart/related; type="application/dicom"', 400),
        (f'multipart/related; type="application/dicom"; boundary={"x" * 80}', 400),
    ],
)  # fmt: skip
async def test_bodies_of_other_types_are_refused(
    archive: Archive, content_type: str, status: int
) -> None:
    answer = await archive.post(b"--x\r\n\r\n--x--", content_type=content_type)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "body", [b"", b"nothing", b"--other\r\n\r\nx\r\n--other--", b"--" + b"a" * 90000]
)
async def test_bodies_without_a_part_are_refused(archive: Archive, body: bytes) -> None:
    answer = await archive.post(body)
    assert answer.status_code == 400
    assert archive.left_over() == []


async def test_what_came_whole_before_a_cut_is_stored(archive: Archive) -> None:
    first, second = image(), image()
    body = stow_body([octets_of(first), octets_of(second)])
    answer = await archive.post(body[:-300])
    assert answer.status_code == 202
    assert stored_uids(answer.json()) == [first.SOPInstanceUID]
    assert reasons(answer.json()) == [0xC000]
    assert archive.left_over() == []


async def test_parts_of_another_type_are_refused_alone(archive: Archive) -> None:
    made = image()
    body = (f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nhello\r\n").encode()
    answer = await archive.post(body + stow_body([octets_of(made)]))
    assert answer.status_code == 202
    assert stored_uids(answer.json()) == [made.SOPInstanceUID]


def _deflate_bomb() -> bytes:
    """A few hundred KiB that become hundreds of MiB."""
    made = image()
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    filler = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 600 << 20)
    pressed = press.compress(filler) + press.flush(zlib.Z_FULL_FLUSH)
    # What stands between two full flushes refers to nothing before it: pressed once, it repeats.
    mebibyte = press.compress(bytes(1 << 20)) + press.flush(zlib.Z_FULL_FLUSH)
    pressed += mebibyte * 600 + press.flush()
    head = octets_of(made)
    length = 132 + 12 + struct.unpack("<I", head[140:144])[0]
    return head[:length] + pressed


def _zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.dcm", bytes(20 << 20))
    return file.getvalue()


def _four_gigabytes() -> bytes:
    """An element that says it has 4 GiB."""
    file = bytearray(octets_of(image()))
    at = file.index(b"\xe0\x7f\x10\x00OW")
    file[at + 8 : at + 12] = b"\xfe\xff\xff\xff"
    return bytes(file)


def _deep() -> bytes:
    """Sequences within sequences, further than any reader goes by itself."""
    whole = octets_of(image())
    at = whole.index(b"\xe0\x7f\x10\x00OW")
    item = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return whole[:at] + item * 20_000


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(bundled("no_meta.dcm"), id="no-meta"),
        pytest.param(bundled("meta_missing_tsyntax.dcm"), id="no-syntax"),
        pytest.param(bundled("DICOMDIR-empty.dcm"), id="dicomdir"),
        pytest.param(octets_of(image())[:500], id="truncated"),
        pytest.param(b"\0" * 128 + b"DICM", id="preamble-only"),
        pytest.param(b"\0" * 128 + b"DICM" + b"\xff" * 4000, id="noise"),
        pytest.param(octets_of(image(SOPInstanceUID="../../etc/passwd")), id="path-in-uid"),
        pytest.param(octets_of(image(StudyInstanceUID="1.2/../3")), id="path-in-study"),
        pytest.param(_zip_bomb(), id="zip-bomb"),
        pytest.param(_deflate_bomb(), id="deflate-bomb"),
        pytest.param(_four_gigabytes(), id="four-gigabytes"),
        pytest.param(_deep(), id="deep"),
    ],
)
async def test_hostile_files_are_refused_and_leave_nothing(archive: Archive, file: bytes) -> None:
    before = _objects(archive)
    answer = await archive.post(stow_body([file]))
    if answer.status_code == 200:  # the length is a lie that does no harm: pixels are not read
        assert stored_uids(answer.json())
    else:
        assert (answer.status_code, reasons(answer.json())) == (409, [0xC000])
        assert _objects(archive) == before
    assert archive.left_over() == []
    assert not list(archive.folder.parent.glob("etc")), "nothing is written outside"
    good = image()
    assert (await archive.post(stow_body([octets_of(good)]))).status_code == 200


def _objects(archive: Archive) -> set[str]:
    return {file.name for file in (archive.folder / "objects").rglob("*") if file.is_file()}


async def test_real_files_of_every_syntax_are_taken(archive: Archive) -> None:
    names = ["MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_gdcm.dcm", "ExplVR_BigEnd.dcm",
             "image_dfl.dcm", "waveform_ecg.dcm", "test-SR.dcm", "liver_1frame.dcm"]  # fmt: skip
    for name in names:
        await archive.store(bundled(name))
        found = await archive.get(address(dataset_of(bundled(name))), "application/dicom")
        assert found.content == bundled(name), name


async def test_a_client_that_wants_xml_is_told_before_it_sends(archive: Archive) -> None:
    headers = {"Content-Type": STOW_TYPE, "Accept": "application/dicom+xml"}
    answer = await archive.client.post("/studies", content=stow_body([b"x"]), headers=headers)
    assert answer.status_code == 406
