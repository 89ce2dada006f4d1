"""Export of what is odd: patients without a number or a name, numbers of two issuers, folders."""

import copy
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from support.dicom_files import image, octets_of
from support.dicom_process import ran
from support.memory_objects import MemoryObjects
from wardlight_cloud.imaging.export_files import ExportReport
from wardlight_cloud.imaging.exporting import Exporter
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, InstanceRef, Version
from wardlight_shared.errors import ConfigError


class Shelf:
    """Studies in memory, with their objects."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self._studies: dict[str, list[tuple[InstanceRef, bytes]]] = {}
        self._versions: list[Version] = []

    def add(self, made: Dataset) -> str:
        """Put an instance there; the UID of its study."""
        octets = octets_of(made)
        sha256 = hashlib.sha256(octets).digest()
        self.objects.objects[sha256] = octets
        ref = InstanceRef(
            made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID, made.SOPClassUID,
            made.file_meta.TransferSyntaxUID, sha256, len(octets), 1, 16, 16, 1, "hot",
            datetime.now(UTC),
        )  # fmt: skip
        header = made.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda _: "@")
        study = self._studies.setdefault(ref.study_uid, [])
        study.append((ref, orjson.dumps(header)))
        return ref.study_uid

    def add_version(self, made: Dataset, *, study_uid: str | None = None) -> bytes:
        """Put a file there that is not shown; its octets."""
        octets = octets_of(made)
        sha256 = hashlib.sha256(octets).digest()
        self.objects.objects[sha256] = octets
        own = made.StudyInstanceUID if study_uid is None else study_uid
        self._versions.append(
            Version(
                made.SOPInstanceUID, sha256, len(octets), datetime.now(UTC), Source("import"),
                study_uid=own,
            )
        )  # fmt: skip
        return octets

    async def versions(self) -> tuple[Version, ...]:
        shown = [ref for study in self._studies.values() for ref, _ in study]
        return (
            *self._versions,
            *(
                Version(
                    ref.sop_uid, ref.sha256, ref.size, ref.stored_at, Source("import"),
                    is_shown=True, study_uid=ref.study_uid,
                )
                for ref in shown
            ),
        )  # fmt: skip

    async def headers(self, study_uid: str) -> Sequence[tuple[InstanceRef, bytes]]:
        return self._studies.get(study_uid, [])

    async def images(self, query: ImageQuery) -> tuple[ImageRow, ...]:
        raise AssertionError(query)

    async def export(
        self,
        folder: Path,
        *uids: str,
        is_update: bool = False,
        with_versions: bool = False,
        is_everything: bool = False,
        owner: Patient | None = None,
    ) -> tuple[ExportReport, list[Dataset]]:
        """Export studies; the records of the DICOMDIR."""
        shelf: Any = self
        exporter = Exporter(
            shelf, self.objects, folder,
            is_update=is_update, with_versions=with_versions, owner=owner,
        )  # fmt: skip
        report = await exporter.export(each(uids), is_everything=is_everything)
        return report, list(dcmread(folder / "DICOMDIR").DirectoryRecordSequence)


async def each(uids: Sequence[str]) -> AsyncIterator[str]:
    for uid in uids:
        yield uid


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def of(records: list[Dataset], kind: str) -> list[Dataset]:
    return [record for record in records if record.DirectoryRecordType == kind]


async def test_patients_without_number_or_name_stay_apart(tmp_path: Path) -> None:
    shelf = Shelf()
    uids = [
        shelf.add(image(PatientID="", PatientName="Nobody^One")),
        shelf.add(image(PatientID="", PatientName="")),
        shelf.add(image(PatientID="7", PatientName="", IssuerOfPatientID="NORTH")),
        shelf.add(image(PatientID="7", PatientName="Other^Person", IssuerOfPatientID="SOUTH")),
        shelf.add(image(PatientID="7", PatientName="Other^Person", IssuerOfPatientID="SOUTH")),
    ]
    report, records = await shelf.export(tmp_path, *uids)
    assert (report.studies, report.written, report.failed) == (5, 5, [])
    patients = of(records, "PATIENT")
    assert len(patients) == 4
    assert len({(each.PatientID, each.get("IssuerOfPatientID")) for each in patients}) == 4
    assert all(str(each.PatientID) for each in patients)
    assert sorted(str(each.PatientID)[:8] for each in patients) == [
        "7",
        "7",
        "UNKNOWN-",
        "UNKNOWN-",
    ]
    dumped = await ran("dcmdump", str(tmp_path / "DICOMDIR"))
    assert dumped.code == 0, dumped.text
    names = ["/".join(each.ReferencedFileID) for each in of(records, "IMAGE")]
    made = await ran("dcmmkdir", "+I", "-W", "-Nxc", "+D", str(tmp_path / "OWN"), *names,
                     cwd=tmp_path)  # fmt: skip
    assert made.code == 0, made.text


async def test_one_number_of_two_people_is_two_patients_of_the_directory(tmp_path: Path) -> None:
    shelf = Shelf()
    uids = [
        shelf.add(image(PatientID="7", PatientName="SMITH^JOHN", PatientBirthDate="19500101")),
        shelf.add(image(PatientID="7", PatientName="JONES^MARY", PatientBirthDate="19801212")),
        shelf.add(image(PatientID="7", PatientName="Smith^John", PatientBirthDate="19500101")),
        shelf.add(image(PatientID="7", PatientName="SMITH^JOHN", PatientBirthDate="19801212")),
    ]
    _, records = await shelf.export(tmp_path, *uids)
    kinds = [
        each.DirectoryRecordType for each in records if each.DirectoryRecordType in "PATIENT STUDY"
    ]
    names = [str(each.PatientName) for each in of(records, "PATIENT")]
    assert names == ["SMITH^JOHN", "JONES^MARY", "SMITH^JOHN"]
    assert {str(each.PatientID) for each in of(records, "PATIENT")} == {"7"}
    assert kinds == ["PATIENT", "STUDY", "STUDY", "PATIENT", "STUDY", "PATIENT", "STUDY"]
    dumped = await ran("dcmdump", str(tmp_path / "DICOMDIR"))
    assert dumped.code == 0, dumped.text


async def test_values_that_are_none_are_left_out_of_the_directory(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """As the index has them; what is left open is said as elsewhere, and nothing quotes them."""
    shelf = Shelf()
    uid = shelf.add(image())
    ref, header = shelf._studies[uid][0]
    odd = {
        "00080020": {"vr": "DA", "Value": ["20261399"]},
        "00080030": {"vr": "TM", "Value": ["10:15:07"]},
        "00080060": {"vr": "CS", "Value": ["ct"]},
        "00200011": {"vr": "UN", "InlineBinary": "MmE="},
        "00200013": {"vr": "IS", "Value": [None]},
        "00100020": {"vr": "LO", "Value": [None]},
    }
    shelf._studies[uid][0] = (ref, orjson.dumps(orjson.loads(header) | odd))
    report, records = await shelf.export(tmp_path, uid)
    assert (report.written, report.failed) == (1, [])
    ((patient,), (study,), (series,), (instance,)) = (
        of(records, kind) for kind in ("PATIENT", "STUDY", "SERIES", "IMAGE")
    )
    assert patient.PatientID.startswith("UNKNOWN-")
    assert (study.StudyDate, study.StudyTime) == ("19000101", "10:15:07")
    assert (series.Modality, series.SeriesNumber, instance.InstanceNumber) == ("ct", 0, 0)
    assert not [each for each in recwarn if "pydicom" in each.filename]
    assert (await ran("dcmdump", str(tmp_path / "DICOMDIR"))).code == 0


async def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    shelf = Shelf()
    uid = shelf.add(image())
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="give --update"):
        await shelf.export(tmp_path, uid)
    for foreign in (b"no directory", octets_of(image())):
        (tmp_path / "DICOMDIR").write_bytes(foreign)
        with pytest.raises(ConfigError, match="DICOMDIR"):
            await shelf.export(tmp_path, uid, is_update=True)
        assert (tmp_path / "DICOMDIR").read_bytes() == foreign


async def test_an_update_adds_and_keeps(tmp_path: Path) -> None:
    shelf = Shelf()
    first, second = shelf.add(image(PatientID="1")), shelf.add(image(PatientID="2"))
    await shelf.export(tmp_path, first)
    report, records = await shelf.export(tmp_path, second, is_update=True)
    assert (report.written, report.present) == (1, 1)
    assert {each.StudyInstanceUID for each in of(records, "STUDY")} == {first, second}


async def test_a_study_that_is_not_there_is_told(tmp_path: Path) -> None:
    shelf = Shelf()
    report, records = await shelf.export(tmp_path, "1.2.3")
    assert (report.absent, report.studies, records) == (["1.2.3"], 0, [])


async def test_what_was_cut_off_goes_on(tmp_path: Path) -> None:
    """As after kill -9: no DICOMDIR, one whole file, one half of another."""
    shelf = Shelf()
    uids = [shelf.add(image()) for _ in range(3)]
    await shelf.export(tmp_path, *uids)
    (tmp_path / "DICOMDIR").unlink()
    files = files_below(tmp_path)
    files[0].with_suffix(".part").write_bytes(files[0].read_bytes()[:100])
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-1])
    report, records = await shelf.export(tmp_path, *uids, is_update=True)
    assert (report.written, report.present) == (2, 1)
    assert len(of(records, "IMAGE")) == 3
    assert not [path for path in files_below(tmp_path) if path.suffix == ".part"]


def again(made: Dataset, **changes: object) -> Dataset:
    """Another file of the same SOP Instance UID."""
    other = copy.deepcopy(made)
    for keyword, value in changes.items():
        setattr(other, keyword, value)
    return other


async def test_files_that_are_not_shown_are_exported_beside(tmp_path: Path) -> None:
    """Once as files, never in the directory; also of studies of which nothing is shown."""
    shelf = Shelf()
    made = image(PatientID="1")
    uid = shelf.add(made)
    beside = {
        shelf.add_version(again(made, InstanceNumber=2)),
        shelf.add_version(again(made, InstanceNumber=3), study_uid=""),
        shelf.add_version(again(made, StudyInstanceUID="1.2.3")),
    }
    asked: Any = {"with_versions": True, "is_everything": True}
    report, records = await shelf.export(tmp_path, uid, **asked)
    assert (report.studies, report.written, report.versions) == (1, 4, 3)
    assert (report.failed, report.absent, report.versions_left) == ([], [], 0)
    assert len(of(records, "IMAGE")) == 1
    files = files_below(tmp_path / "VERSIONS")
    assert {path.read_bytes() for path in files} == beside
    for path in files:
        assert len(path.relative_to(tmp_path).parts) <= 8
        assert all(
            re.fullmatch("[A-Z0-9_]{1,8}", each) for each in path.relative_to(tmp_path).parts
        )
    report, _ = await shelf.export(tmp_path, uid, is_update=True, **asked)
    assert (report.written, report.present, report.versions) == (0, 4, 3)


async def test_files_that_are_not_shown_are_told_where_they_are_left_out(tmp_path: Path) -> None:
    shelf = Shelf()
    made = image(PatientID="1")
    uid = shelf.add(made)
    shelf.add_version(again(made, InstanceNumber=2))
    shelf.add_version(again(made, InstanceNumber=3), study_uid="")
    shelf.add_version(again(made, StudyInstanceUID="1.2.3"))
    report, _ = await shelf.export(tmp_path, uid)
    assert (report.written, report.versions, report.versions_left) == (1, 0, 2)
    assert len(files_below(tmp_path)) == 2


async def test_what_the_store_has_no_more_stays_in_the_directory(tmp_path: Path) -> None:
    shelf = Shelf()
    gone = image(PatientID="1", PatientName="Müller^Anna", SpecificCharacterSet="ISO_IR 100")
    partly, other = image(PatientID="1", PatientName="Müller^Anna"), image(PatientID="2")
    second = image(
        PatientID="1", PatientName="Müller^Anna", StudyInstanceUID=partly.StudyInstanceUID
    )
    for made in (gone, partly, second, other):
        shelf.add(made)
    uids = [each.StudyInstanceUID for each in (gone, partly, other)]
    _, before = await shelf.export(tmp_path, *uids)
    del shelf._studies[uids[0]]
    shelf._studies[uids[1]].pop()
    report, after = await shelf.export(tmp_path, uids[2], is_update=True)
    assert (report.kept, report.absent, report.failed) == (2, [], [])
    for kind in ("PATIENT", "STUDY", "SERIES", "IMAGE"):
        assert len(of(after, kind)) == len(of(before, kind)), kind
    assert named_of(after) == named_of(before)
    assert {str(each.PatientName) for each in of(after, "PATIENT")} == {
        str(each.PatientName) for each in of(before, "PATIENT")
    }
    dumped = await ran("dcmdump", str(tmp_path / "DICOMDIR"))
    assert dumped.code == 0, dumped.text
    (tmp_path / named_of(after)[gone.SOPInstanceUID]).unlink()
    report, last = await shelf.export(tmp_path, uids[2], is_update=True)
    assert (report.kept, report.absent) == (1, [uids[0]])
    assert gone.SOPInstanceUID not in named_of(last)
    assert len(of(last, "IMAGE")) == 3


async def test_a_study_that_is_another_persons_by_now_keeps_no_file_under_that_one(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    gone = image(PatientID="1", PatientName="SMITH^JOHN")
    stays = image(PatientID="1", PatientName="SMITH^JOHN", StudyInstanceUID=gone.StudyInstanceUID)
    shelf.add(gone)
    uid = shelf.add(stays)
    await shelf.export(tmp_path, uid)
    del shelf._studies[uid]
    shelf.add(again(stays, PatientID="2", PatientName="JONES^MARY"))
    report, records = await shelf.export(tmp_path, uid, is_update=True)
    assert report.kept == 1
    people = [
        (str(each.get("PatientName")), str(each.get("ReferencedSOPInstanceUIDInFile", "")))
        for each in records
        if each.DirectoryRecordType in ("PATIENT", "IMAGE")
    ]
    assert people == [
        ("JONES^MARY", ""), ("None", stays.SOPInstanceUID),
        ("SMITH^JOHN", ""), ("None", gone.SOPInstanceUID),
    ]  # fmt: skip


def named_of(records: list[Dataset]) -> dict[str, str]:
    """SOP Instance UID -> name of the file."""
    return {
        str(each.ReferencedSOPInstanceUIDInFile): "/".join(each.ReferencedFileID)
        for each in of(records, "IMAGE")
    }


async def test_a_study_that_comes_again_is_in_the_directory_once(tmp_path: Path) -> None:
    """It was named twice, or got more while the others were written."""
    shelf = Shelf()
    uid = shelf.add(image())
    report, records = await shelf.export(tmp_path, uid, uid)
    assert (report.asked, report.studies, report.written, report.present) == (1, 1, 1, 0)
    assert (len(of(records, "STUDY")), len(of(records, "IMAGE"))) == (1, 1)


async def test_files_that_say_another_patient_than_the_register_are_told(tmp_path: Path) -> None:
    """They were assigned, and their objects stay as they are; only what is asked for is judged."""
    shelf = Shelf()
    owner = Patient(
        UUID(int=1), "Almeida", "Rosa", date(1948, 3, 12), "female", (("NORTH", "7"),), 1,
        datetime.now(UTC),
    )  # fmt: skip
    own: Any = {"PatientID": "7", "PatientName": "ALMEIDA^ROSA", "PatientBirthDate": "19480312",
                "PatientSex": "F"}  # fmt: skip
    other = shelf.add(image(**own | {"PatientID": "9", "PatientName": "Smith^John"}))
    await shelf.export(tmp_path, other)
    right, wrong = shelf.add(image(**own)), image(**own)
    shelf.add(wrong)
    uid = shelf.add(
        image(**own | {"PatientBirthDate": "19500101"}, StudyInstanceUID=wrong.StudyInstanceUID)
    )
    report, _ = await shelf.export(tmp_path, right, uid, is_update=True, owner=owner)
    assert report.studies == 3
    assert report.differing == {uid: ("date of birth",)}


async def test_what_is_damaged_or_gone_is_named_by_its_instance(tmp_path: Path) -> None:
    """The name of a file that was not written says nothing to anybody."""
    shelf = Shelf()
    made = [image() for _ in range(3)]
    uids = [shelf.add(each) for each in made]
    gone, damaged = (hashlib.sha256(octets_of(each)).digest() for each in made[:2])
    del shelf.objects.objects[gone]
    shelf.objects.objects[damaged] = b"damaged"
    report, records = await shelf.export(tmp_path, *uids)
    assert [uid for uid, _ in report.failed] == [each.SOPInstanceUID for each in made[:2]]
    assert report.failed[1][1] == "the stored object is damaged"
    assert len(of(records, "IMAGE")) == 1
    assert len(files_below(tmp_path)) == 2  # nothing of the others
