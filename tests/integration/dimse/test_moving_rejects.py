"""An import from a PACS that has an object which is not taken here, or that it cannot give."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

from support.dicom_files import image
from support.dicom_process import LOOPBACK
from support.import_box import Box, counts
from wardlight_cloud.dimse.entity import STUDY_ROOT_FIND, STUDY_ROOT_GET

PENDING = 0xFF00


class Archive:
    """A PACS of one series; what it was asked to send is in ``asked``."""

    def __init__(self, *images: Dataset, series_uid: str) -> None:
        self.images = images
        self.series_uid = series_uid
        self.asked: list[str] = []

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        level = event.identifier.QueryRetrieveLevel
        for each in self.images if level == "IMAGE" else self.images[:1]:
            answer = Dataset()
            answer.QueryRetrieveLevel = level
            answer.StudyInstanceUID = each.StudyInstanceUID
            if level != "STUDY":
                answer.SeriesInstanceUID = self.series_uid
            if level == "IMAGE":
                answer.SOPInstanceUID, answer.SOPClassUID = each.SOPInstanceUID, each.SOPClassUID
            yield PENDING, answer

    def get(self, event: Any) -> Iterator[Any]:
        wanted = event.identifier.SOPInstanceUID
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        self.asked += wanted
        found = [each for each in self.images if each.SOPInstanceUID in wanted]
        yield len(found)
        for each in found:
            yield PENDING, each


@contextmanager
def serving(archive: Archive) -> Iterator[str]:
    """The address of the archive."""
    entity = AE("ARCHIVE")
    entity.add_supported_context(STUDY_ROOT_FIND)
    entity.add_supported_context(STUDY_ROOT_GET)
    for context in AllStoragePresentationContexts[:120]:
        assert context.abstract_syntax is not None
        entity.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
    handlers: list[Any] = [(evt.EVT_C_FIND, archive.find), (evt.EVT_C_GET, archive.get)]
    server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield f"ae://ARCHIVE@{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
async def test_what_is_rejected_is_named_once_by_its_uid(box: Box) -> None:
    good = image()
    bad = image(StudyInstanceUID=good.StudyInstanceUID)
    series_uid = good.SeriesInstanceUID
    bad.SeriesInstanceUID = "1.2.x"
    archive = Archive(good, bad, series_uid=series_uid)
    with serving(archive) as source:
        asked = ("import", "dicom", source, "--calling", "IMPORTER", "--by", "get")
        dry = await box.run(*asked, "--dry-run")
        assert (dry.code, counts(dry.text)) == (0, (2, 0, 0, 0))
        assert "What the objects themselves hold is seen when they come" in dry.text
        told = await box.run(*asked)
    assert (told.code, counts(told.text)) == (1, (1, 0, 0, 1)), told.text
    assert archive.asked == [good.SOPInstanceUID, bad.SOPInstanceUID]
    assert re.findall(r"^rejected.*", told.text, re.MULTILINE) == [
        f"rejected  {bad.SOPInstanceUID}  uid: the file's Series Instance UID is no UID"
    ]
    assert "not sent" not in told.text


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
async def test_a_dry_run_names_what_the_pacs_calls_by_no_uid(box: Box) -> None:
    good = image()
    with serving(Archive(good, series_uid="1.2.x")) as source:
        dry = await box.run("import", "dicom", source, "--calling", "IMPORTER", "--dry-run")
    assert (dry.code, counts(dry.text)) == (1, (0, 0, 0, 1)), dry.text
    assert f"rejected  {good.SOPInstanceUID}  uid: the PACS names" in dry.text
    assert "0 instances would come, 0 here" in dry.text


class Several(Archive):
    """A PACS of several studies, that cannot give those of ``broken``."""

    def __init__(self, *images: Dataset, broken: Collection[str]) -> None:
        super().__init__(*images, series_uid="1.2.3")
        self.broken = broken
        self.levels: list[str] = []

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        self.levels.append(asked.QueryRetrieveLevel)
        if asked.QueryRetrieveLevel == "STUDY":
            for each in self.images:
                answer = Dataset()
                answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", each.StudyInstanceUID
                yield PENDING, answer
            return
        if asked.StudyInstanceUID in self.broken:
            yield 0xC001, None
            return
        (image,) = (each for each in self.images if each.StudyInstanceUID == asked.StudyInstanceUID)
        yield from Archive(image, series_uid=image.SeriesInstanceUID).find(event)


async def test_a_study_that_the_pacs_cannot_give_does_not_hold_up_the_others(
    box: Box, tmp_path: Path
) -> None:
    """It would, in every import that is started again."""
    images = [image() for _ in range(3)]
    broken, unnamed = images[0].StudyInstanceUID, image(StudyInstanceUID="")
    archive = Several(unnamed, *images, broken={broken})
    listed = tmp_path / "list"
    with serving(archive) as source:
        asked = ("import", "dicom", source.replace("ae:", "AE:"), "--calling", "IMPORTER")
        dry = await box.run(*asked, "--dry-run")
        assert (dry.code, counts(dry.text)) == (1, (2, 0, 0, 0)), dry.text
        told = await box.run(*asked, "--rejects", str(listed))
    assert (told.code, counts(told.text)) == (1, (2, 0, 0, 0)), told.text
    lines = [
        "not sent  -  a study of which the PACS does not say the UID",
        f"not sent  {broken}  the study, or a part: C-FIND ended with 0xc001",
    ]
    assert re.findall(r"^not sent.*", told.text, re.MULTILINE) == lines
    assert listed.read_text().splitlines() == lines
    assert "2 were not sent by the PACS; start the import again" in told.text


async def test_a_pacs_that_gives_nothing_any_more_is_not_asked_on(box: Box) -> None:
    """What was taken until then is told."""
    images = [image() for _ in range(6)]
    archive = Several(*images, broken={each.StudyInstanceUID for each in images[1:]})
    with serving(archive) as source:
        told = await box.run("import", "dicom", source, "--calling", "IMPORTER")
    assert (told.code, counts(told.text)) == (1, (1, 0, 0, 0)), told.text
    assert told.text.count("not sent  ") == 3
    assert "3 studies failed one after the other, the last one: C-FIND ended with 0xc001" in (
        told.text
    )
    assert archive.levels.count("SERIES") == 4


async def test_what_does_not_come_is_named(box: Box) -> None:
    class Stingy(Archive):
        def get(self, event: Any) -> Iterator[Any]:
            yield 0

    sent = image()
    with serving(Stingy(sent, series_uid=sent.SeriesInstanceUID)) as source:
        told = await box.run("import", "dicom", source, "--calling", "IMPORTER", "--by", "get")
    assert (told.code, counts(told.text)) == (1, (0, 0, 0, 0)), told.text
    assert f"not sent  {sent.SOPInstanceUID}  the PACS has not sent it" in told.text


async def test_a_pacs_that_names_nothing(box: Box) -> None:
    """Silence would look as if all of it were here."""
    with serving(Archive(series_uid="1.2.3")) as source:
        asked = ("import", "dicom", source, "--calling", "IMPORTER", "--date", "20240229-")
        told = await box.run(*asked)
    assert (told.code, counts(told.text)) == (0, (0, 0, 0, 0))
    assert "ARCHIVE names no study of these days" in told.text


async def test_addresses_that_are_none(box: Box) -> None:
    told = await box.run("import", "dicom", "ae://A@nowhere.invalid:104")
    assert (told.code, "nowhere.invalid: no such host" in told.text) == (2, True), told.text


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--date", "20230229"),
        ("--date", "20241301-"),
        ("--date", "20250101-20240101"),
        ("--calling", "SEVENTEEN-LETTERS"),
        ("--calling", ""),
    ],
)
async def test_what_no_pacs_would_answer_is_refused(box: Box, option: str, value: str) -> None:
    with pytest.raises(SystemExit):
        await box.run("import", "dicom", f"ae://A@{LOOPBACK}:104", option, value)
    assert f"argument {option}: " in box.capsys.readouterr().err


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
async def test_a_pacs_that_leaves_out_a_uid_is_asked_for_nothing_else(box: Box, level: str) -> None:
    """An empty key is universal matching: the answer would be the whole study, or all there is."""

    class Forgetful(Archive):
        def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
            for status, answer in super().find(event):
                if answer is not None and answer.QueryRetrieveLevel == level:
                    keyword = {"SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
                    setattr(answer, keyword, "")
                yield status, answer

    sent = image()
    archive = Forgetful(sent, series_uid=sent.SeriesInstanceUID)
    with serving(archive) as source:
        for more in (("--dry-run",), ("--by", "get")):
            told = await box.run("import", "dicom", source, "--calling", "IMPORTER", *more)
            assert (told.code, counts(told.text)) == (1, (0, 0, 0, 1)), told.text
            assert "by what is no UID" in told.text
    assert archive.asked == []


async def test_an_answer_that_lacks_its_key_is_one_of_the_pacs(box: Box) -> None:
    class Wrong(Archive):
        def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
            for status, answer in super().find(event):
                if answer is not None and answer.QueryRetrieveLevel == "IMAGE":
                    del answer.SOPInstanceUID
                yield status, answer

    sent = image()
    with serving(Wrong(sent, series_uid=sent.SeriesInstanceUID)) as source:
        told = await box.run("import", "dicom", source, "--calling", "IMPORTER")
    assert (told.code, counts(told.text)) == (1, (0, 0, 0, 0)), told.text
    uid = sent.StudyInstanceUID
    assert f"not sent  {uid}  the study, or a part: the PACS ended the association, or" in told.text
