"""Images through the whole demo: from a modality's C-STORE to DICOMweb and FHIR.

The objects are real ones that pydicom carries; each gets UIDs of its own and one of the demo's
patients, whole: one object with another name and sex makes its study nobody's. What is compared
are octets, not what a library makes of them.
"""

import hashlib
import html
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom.data
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.presentation import build_role

from support.demo import RunningDemo
from support.modality import COMMITMENT, COMMITMENT_INSTANCE, Heard
from support.peers import require_peer
from support.plain_http import PLAIN
from support.waiting import wait_until_sync
from wardlight_lab.modality.association import associate

PATIENT, NAME, BORN, SEX = "WARD-5", "Eriksen^Nora", "19940908", "F"
FILES = (
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm",
    "examples_ybr_color.dcm", "JPGExtended.dcm", "waveform_ecg.dcm", "test-SR.dcm",
    "image_dfl.dcm", "SC_rgb_rle_2frame.dcm", "rtdose.dcm", "liver_1frame.dcm",
)  # fmt: skip
CENTER, WIDTH = 40, 400
DCMTK_FILES = ("CT_small.dcm", "MR_small_implicit.dcm", "examples_palette.dcm")
NAMES = {  # PS3.5, annexes H to K; the last three as people of these countries write them
    "chrH31.dcm": ("Yamada^Tarou", "山田^太郎", "やまだ^たろう"),
    "chrH32.dcm": ("ﾔﾏﾀﾞ^ﾀﾛｳ", "山田^太郎", "やまだ^たろう"),
    "chrI2.dcm": ("Hong^Gildong", "洪^吉洞", "홍^길동"),
    "chrX1.dcm": ("Wang^XiaoDong", "王^小東"),
    "chrX2.dcm": ("Wang^XiaoDong", "王^小东"),
    "chrGreek.dcm": ("Διονυσιος",),
    "chrRuss.dcm": ("\u041b\u044e\u043ace\u043c\u0431yp\u0433",),  # c, e, y, p are Latin
    "chrHbrw.dcm": ("שרון^דבורה",),
    "chrArab.dcm": ("قباني^لنزار",),
    "chrFren.dcm": ("Buc^Jérôme",),
    "chrGerm.dcm": ("Äneas^Rüdiger",),
    "chrKoreanMulti.dcm": ("김희중",),
    "chrJapMulti.dcm": ("やまだ^たろう",),
}
"""Files of odd character sets, and the groups of the patient's name in each."""
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


class Sent:
    """Files as they were sent: name -> (path, study UID, series UID, SOP Instance UID)."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.paths: dict[str, Path] = {}
        self.uids: dict[str, tuple[str, str, str]] = {}
        study = generate_uid()
        for name in names:
            read = dcmread(str(get_testdata_file(name, download=False)))
            read.PatientID, read.PatientName = PATIENT, NAME
            read.PatientBirthDate, read.PatientSex = BORN, SEX
            read.StudyInstanceUID = study
            read.SeriesInstanceUID, read.SOPInstanceUID = generate_uid(), generate_uid()
            read.file_meta.MediaStorageSOPInstanceUID = read.SOPInstanceUID
            self.paths[name] = folder / name
            read.save_as(self.paths[name])
            self.uids[name] = (study, read.SeriesInstanceUID, read.SOPInstanceUID)


@pytest.fixture(scope="module")
def web(demo: RunningDemo) -> Iterator[httpx.Client]:
    """DICOMweb with the demo's token."""
    headers = {"Authorization": f"Bearer {demo.facts['token']}"}
    with httpx.Client(
        base_url=demo.facts["dicomweb"], headers=headers, timeout=180, verify=PLAIN
    ) as client:
        yield client


@pytest.fixture(scope="module")
def sent(demo: RunningDemo, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """What pynetdicom sent, octet by octet as in the files, and was told is stored."""
    files = Sent(tmp_path_factory.mktemp("sent"), FILES)
    entity = AE(ae_title="E2E")
    for path in files.paths.values():
        read = dcmread(path, specific_tags=["SOPClassUID"])
        entity.add_requested_context(read.SOPClassUID, read.file_meta.TransferSyntaxUID)
    association = associate(entity, "127.0.0.1", demo.facts["dicom_port"], ae_title="WARDLIGHT")
    assert association.is_established
    for path in files.paths.values():
        assert association.send_c_store(path).Status == 0x0000
    association.release()
    return files


def _data_set(file: bytes) -> bytes:
    """What follows the file meta information of a DICOM file (PS3.10, 7.1)."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]


def _stored(web: httpx.Client, study: str) -> set[str]:
    answer = web.get(f"/studies/{study}/instances", params={"limit": 100})
    return {each["00080018"]["Value"][0] for each in answer.json()} if answer.content else set()


def test_what_a_modality_sent_comes_back_octet_by_octet(
    demo: RunningDemo, web: httpx.Client, sent: Sent
) -> None:
    study = next(iter(sent.uids.values()))[0]
    wanted = {uids[2] for uids in sent.uids.values()}
    wait_until_sync(lambda: _stored(web, study) == wanted, 60, "every instance is on the index")
    for name, (_, series, instance) in sent.uids.items():
        found = web.get(
            f"/studies/{study}/series/{series}/instances/{instance}",
            headers={"Accept": "application/dicom; transfer-syntax=*"},
        )
        assert found.status_code == 200, name
        first = hashlib.sha256(_data_set(sent.paths[name].read_bytes())).hexdigest()
        assert hashlib.sha256(_data_set(found.content)).hexdigest() == first, name
    for name, (window, expected) in _expected_pictures().items():
        _, series, instance = sent.uids[name]
        picture = web.get(
            f"/studies/{study}/series/{series}/instances/{instance}/rendered{window}",
            headers={"Accept": "image/png"},
        )
        assert picture.status_code == 200, name
        shown = np.asarray(Image.open(io.BytesIO(picture.content))).astype(int)
        assert shown.shape == expected.shape, name
        assert len(np.unique(expected)) >= 5, name
        assert np.abs(shown - expected).max() <= 1, name


def _expected_pictures() -> dict[str, tuple[str, Any]]:
    """What images look like: window parameter, and grey or colours by the formulas of PS3.3."""
    slice_ = _file("CT_small.dcm")
    values = slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)
    grey = ((values - (CENTER - 0.5)) / (WIDTH - 1) + 0.5) * 255  # C.11.2.1.2.1
    grey = np.where(slice_.pixel_array == slice_.PixelPaddingValue, 0, np.clip(grey, 0, 255))
    return {
        "CT_small.dcm": (f"?window={CENTER},{WIDTH},linear", np.rint(grey)),
        "SC_rgb_rle_2frame.dcm": ("", _file("SC_rgb_rle_2frame.dcm").pixel_array[0].astype(int)),
    }


def _file(name: str) -> Any:
    return dcmread(str(get_testdata_file(name, download=False)))


def test_the_study_is_the_patients_in_fhir(
    demo: RunningDemo, web: httpx.Client, sent: Sent
) -> None:
    study = next(iter(sent.uids.values()))[0]
    query = {"identifier": f"urn:dicom:uid|urn:oid:{study}"}
    with demo.client() as fhir:
        people = fhir.get("/Patient", params={"identifier": PATIENT}).json()
        (patient,) = [entry["resource"]["id"] for entry in people["entry"]]

        def found() -> bool:
            bundle = fhir.get("/ImagingStudy", params=query).json()
            studies = [entry["resource"] for entry in bundle.get("entry", [])]
            return any(
                each["subject"]["reference"] == f"Patient/{patient}"
                and each["numberOfInstances"] == len(FILES)
                for each in studies
            )

        wait_until_sync(found, 60, "the study is the patient's")


def test_dcmtk_sends_and_the_demo_s_own_studies_are_there(
    demo: RunningDemo, web: httpx.Client, tmp_path: Path
) -> None:
    files = Sent(tmp_path, DCMTK_FILES)
    place = ["127.0.0.1", str(demo.facts["dicom_port"])]
    sending = [str(require_peer("storescu")), "-aec", "WARDLIGHT", *place]
    subprocess.run([*sending, *map(str, files.paths.values())], check=True, timeout=180)
    study = next(iter(files.uids.values()))[0]
    wanted = {uids[2] for uids in files.uids.values()}
    wait_until_sync(lambda: _stored(web, study) == wanted, 60, "what storescu sent is there")
    own = web.get("/studies", params={"PatientID": "WARD-3", "ModalitiesInStudy": "CT"}).json()
    assert [each["00201208"]["Value"] for each in own] == [[24]]


def test_storage_is_committed_on_the_association_that_asked(
    demo: RunningDemo, tmp_path: Path
) -> None:
    """As docs/worklist.md shows it: nothing is set up in the demo, no port is listened on."""
    files = Sent(tmp_path, DCMTK_FILES)
    heard = Heard()
    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = Sequence()
    entity = AE(ae_title="US1")
    entity.add_requested_context(COMMITMENT)
    for path in files.paths.values():
        read = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        entity.add_requested_context(read.SOPClassUID, read.file_meta.TransferSyntaxUID)
        item = Dataset()
        item.ReferencedSOPClassUID = read.SOPClassUID
        item.ReferencedSOPInstanceUID = read.SOPInstanceUID
        request.ReferencedSOPSequence.append(item)
    association = associate(
        entity, "127.0.0.1", demo.facts["dicom_port"], ae_title="WARDLIGHT",
        ext_neg=[build_role(COMMITMENT, scu_role=True)],
        evt_handlers=heard.handlers(),
    )  # fmt: skip
    assert association.is_established
    for path in files.paths.values():
        assert association.send_c_store(path).Status == 0x0000
    status, _ = association.send_n_action(request, 1, COMMITMENT, COMMITMENT_INSTANCE)
    assert status.Status == 0x0000
    wait_until_sync(lambda: bool(heard.reports), 60, "the report comes on the same association")
    association.release()
    ((event_type, report),) = heard.reports
    assert event_type == 1
    assert report.TransactionUID == request.TransactionUID
    committed = {str(item.ReferencedSOPInstanceUID) for item in report.ReferencedSOPSequence}
    assert committed == {uids[2] for uids in files.uids.values()}


def _renamed(folder: Path, name: str) -> tuple[Path, str]:
    """A file with UIDs of its own, its texts octet by octet as they were; its study."""
    source = Path(pydicom.data.__file__).parent / "charset_files" / name
    read = dcmread(source)
    study = read.StudyInstanceUID = generate_uid()
    read.SeriesInstanceUID, read.SOPInstanceUID = generate_uid(), generate_uid()
    read.file_meta.MediaStorageSOPInstanceUID = read.SOPInstanceUID
    spelt = read.get_item("PatientName").value
    read.save_as(folder / name)
    assert spelt in (folder / name).read_bytes(), name
    return folder / name, study


def test_names_in_other_letters_are_found_and_shown(
    demo: RunningDemo, web: httpx.Client, tmp_path: Path
) -> None:
    """Sent by storescu and by pynetdicom; found by each group of the name, whole and begun."""
    files = {name: _renamed(tmp_path, name) for name in NAMES}
    by_dcmtk, by_pynetdicom = list(files.values())[::2], list(files.values())[1::2]
    place = ["127.0.0.1", str(demo.facts["dicom_port"])]
    sending = [str(require_peer("storescu")), "-aec", "WARDLIGHT", *place]
    subprocess.run([*sending, *(str(path) for path, _ in by_dcmtk)], check=True, timeout=180)
    entity = AE(ae_title="E2E")
    for sop_class in ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.1"):
        entity.add_requested_context(sop_class, "1.2.840.10008.1.2.1")
    association = associate(entity, "127.0.0.1", demo.facts["dicom_port"], ae_title="WARDLIGHT")
    assert association.is_established
    for path, _ in by_pynetdicom:
        assert association.send_c_store(path).Status == 0x0000
    association.release()

    def studies(**asked: str) -> dict[str, Any]:
        answer = web.get("/studies", params={"limit": "100", **asked})
        assert answer.status_code in (200, 204), answer.text
        found = answer.json() if answer.content else []
        return {each["0020000D"]["Value"][0]: each["00100010"] for each in found}

    wanted = {study for _, study in files.values()}
    uids = {"StudyInstanceUID": ",".join(wanted)}
    wait_until_sync(lambda: studies(**uids).keys() == wanted, 60, "every study is on the index")
    shown = studies(**uids)
    root = demo.facts["http"].rstrip("/")
    with httpx.Client(timeout=180, verify=PLAIN, follow_redirects=True) as pages:
        who = {"login": demo.facts["user"], "password": demo.facts["password"]}
        assert pages.post(f"{root}/login", data=who).status_code == 200
        for name, groups in NAMES.items():
            study = files[name][1]
            value = dict(zip(GROUPS, groups, strict=False))
            assert shown[study] == {"vr": "PN", "Value": [value]}, name
            for group in groups:
                for asked in (group, f"{group[:2]}*"):
                    assert study in studies(PatientName=asked), (name, asked)
            page = html.unescape(pages.get(f"{root}/studies/{study}").text)
            for group in groups[:2]:
                family, _, given = group.partition("^")
                assert ", ".join(filter(None, (family, given))) in page, (name, group)
