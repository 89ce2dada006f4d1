"""QIDO-RS over HTTP: what is found, what is told of it, what is refused."""

import json
from typing import Any

import pytest
import pytest_asyncio

from support.dicom_files import bundled, dataset_of, image, octets_of
from support.image_archive import Archive, address

pytestmark = pytest.mark.asyncio(loop_scope="module")
STUDY_TAGS = {  # PS3.18, table 10.6.3-3: always there, with or without a value
    "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190",
    "00100010", "00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
}  # fmt: skip
SERIES_TAGS = {"00080060", "00081190", "0020000E", "00200011", "00201209"}
INSTANCE_TAGS = {"00080016", "00080018", "00080056", "00081190", "00200013", "00280010",
                 "00280011", "00280100"}  # fmt: skip


def value(result: dict[str, Any], tag: str) -> Any:
    return result[tag]["Value"][0]


async def found(archive: Archive, path: str) -> list[dict[str, Any]]:
    answer = await archive.get(path)
    assert answer.status_code in (200, 204), answer.text
    results: list[dict[str, Any]] = json.loads(answer.content or b"[]")
    return results


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(archive: Archive) -> Archive:
    """Two studies of one patient, one of another; the first has two series."""
    first = image(StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1", StudyDate="20260131")
    second = image(StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.2", Modality="MR",
                   SeriesNumber=2, StudyDate="20260131")  # fmt: skip
    other = image(StudyInstanceUID="1.2.2", StudyDate="20250615", StudyTime="080000",
                  AccessionNumber="B-7", StudyDescription="Other")  # fmt: skip
    stranger = image(StudyInstanceUID="1.2.3", StudyDate="20240101", PatientID="X-9",
                     PatientName="Müller^Änne")  # fmt: skip
    stranger.SpecificCharacterSet = "ISO_IR 100"
    await archive.store(*map(octets_of, (first, second, other, stranger)))
    return archive


async def test_each_level_has_what_the_standard_asks_for(filled: Archive) -> None:
    (study,) = await found(filled, "/studies?StudyInstanceUID=1.2.1")
    assert study.keys() >= STUDY_TAGS
    assert (value(study, "00201206"), value(study, "00201208")) == (2, 2)
    assert set(study["00080061"]["Value"]) == {"CT", "MR"}
    assert value(study, "00081190") == "https://wards.example/dicom-web/studies/1.2.1"
    series = await found(filled, "/studies/1.2.1/series")
    assert [value(each, "0020000E") for each in series] == ["1.2.1.1", "1.2.1.2"]
    assert all(each.keys() >= SERIES_TAGS for each in series)
    assert all("00100010" not in each for each in series)
    (instance,) = await found(filled, "/studies/1.2.1/series/1.2.1.2/instances")
    assert instance.keys() >= INSTANCE_TAGS
    assert value(instance, "00081190").endswith(f"/instances/{value(instance, '00080018')}")


async def test_without_a_study_in_the_path_results_tell_of_theirs(filled: Archive) -> None:
    (series,) = await found(filled, "/series?Modality=MR")
    assert series.keys() >= STUDY_TAGS | SERIES_TAGS
    (instance,) = await found(filled, "/instances?Modality=MR")
    assert instance.keys() >= STUDY_TAGS | SERIES_TAGS | INSTANCE_TAGS
    (below,) = await found(filled, "/studies/1.2.1/instances?Modality=MR")
    assert below.keys() >= SERIES_TAGS | INSTANCE_TAGS
    assert "00100010" not in below


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        ("PatientID=T-1", ["1.2.1", "1.2.2"]),
        ("00100020=X-9", ["1.2.3"]),
        ("PatientName=testperson%5Eone", ["1.2.1", "1.2.2"]),
        ("PatientName=Testp*", ["1.2.1", "1.2.2"]),
        ("AccessionNumber=B-7%5CB-8", ["1.2.2"]),
        ("PatientName=MULLER*", ["1.2.3"]),
        ("PatientName=anne&fuzzymatching=true", ["1.2.3"]),
        ("PatientName=anne", []),
        ("StudyDate=20250615", ["1.2.2"]),
        ("StudyDate=20250101-20251231", ["1.2.2"]),
        ("StudyDate=20250101-", ["1.2.1", "1.2.2"]),
        ("StudyDate=-20250101", ["1.2.3"]),
        ("StudyTime=08", ["1.2.2"]),
        ("StudyInstanceUID=1.2.1,1.2.3", ["1.2.1", "1.2.3"]),
        ("StudyInstanceUID=1.2.1%5C1.2.3", ["1.2.1", "1.2.3"]),
        ("ModalitiesInStudy=MR", ["1.2.1"]),
        ("ModalitiesInStudy=MR,CT&PatientID=T-1", ["1.2.1", "1.2.2"]),
        ("AccessionNumber=B-%3F", ["1.2.2"]),
        ("StudyDescription=Oth*&PatientID=T-1", ["1.2.2"]),
        ("PatientID=nobody", []),
        ("limit=1", ["1.2.1"]),
        ("limit=1&offset=1", ["1.2.2"]),
        ("limit=5&offset=3", []),
    ],
)
async def test_studies_are_found(filled: Archive, query: str, studies: list[str]) -> None:
    results = await found(filled, f"/studies?{query}")
    assert [value(each, "0020000D") for each in results] == studies


async def test_nothing_found_is_204_without_a_body(filled: Archive) -> None:
    answer = await filled.get("/studies?PatientID=nobody")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["x-total-count"] == "0"


async def test_fields_are_included_by_keyword_tag_and_all(filled: Archive) -> None:
    (plain,) = await found(filled, "/studies?StudyInstanceUID=1.2.2")
    assert "00081030" not in plain
    for field in ("StudyDescription", "00081030", "all"):
        (study,) = await found(filled, f"/studies?StudyInstanceUID=1.2.2&includefield={field}")
        assert value(study, "00081030") == "Other"
    (matched,) = await found(filled, "/studies?StudyDescription=Other")
    assert value(matched, "00081030") == "Other"


async def test_any_attribute_of_an_instance_can_be_included(filled: Archive) -> None:
    query = "/studies/1.2.1/instances?Modality=MR&includefield=BitsStored,HighBit"
    (instance,) = await found(filled, query)
    assert value(instance, "00280101") == 16
    assert value(instance, "00280102") == 15
    (whole,) = await found(filled, "/studies/1.2.1/instances?Modality=MR&includefield=all")
    assert value(whole, "00280103") == 0
    assert "7FE00010" not in whole


async def test_text_of_any_character_set_is_utf_8(filled: Archive) -> None:
    (study,) = await found(filled, "/studies?PatientID=X-9")
    assert value(study, "00100010") == {"Alphabetic": "Müller^Änne"}
    assert value(study, "00080005") == "ISO_IR 192"


async def test_limits_of_the_server_and_what_it_ignores_are_told(filled: Archive) -> None:
    answer = await filled.get("/studies?Nonsense=1&limit=1")
    assert answer.headers["warning"].startswith("299 https://wards.example/dicom-web ")
    assert "Nonsense" in answer.headers["warning"]
    assert "x-total-count" not in answer.headers
    counted = await filled.get("/studies?limit=1", Prefer="count=exact")
    assert counted.headers["x-total-count"] == "3"


@pytest.mark.parametrize("query", ["StudyDate=x", "limit=-1", "StudyInstanceUID=*", "offset=a"])
async def test_wrong_values_are_refused_in_words(filled: Archive, query: str) -> None:
    answer = await filled.get(f"/studies?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text


async def test_only_json_is_spoken(filled: Archive) -> None:
    for accept in ("application/json", "application/dicom+json", "*/*"):
        assert (await filled.get("/studies", accept)).status_code == 200
    xml = await filled.get("/studies", 'multipart/related; type="application/dicom+xml"')
    assert xml.status_code == 406
    assert "application/dicom+json" in xml.text


async def test_images_of_real_devices_are_found(filled: Archive) -> None:
    files = [bundled(name) for name in ("CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm")]
    await filled.store(*files)
    for octets in files:
        file = dataset_of(octets)
        (study,) = await found(filled, f"/studies?PatientID={file.PatientID}")
        assert value(study, "0020000D") == file.StudyInstanceUID
        (instance,) = await found(filled, f"/instances?SOPInstanceUID={file.SOPInstanceUID}")
        assert value(instance, "00081190").endswith(address(file))
        assert value(instance, "00280010") == file.Rows
