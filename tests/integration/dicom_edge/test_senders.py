"""Real senders: what they send is what is stored, octet for octet."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import data_manager
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, _config, build_context

from support.dicom_wire import Wire, context, data, instance, pdv, store
from support.imaging_process import all_stored, data_set_of, dcmtk, imaging, run_dcmtk, stored
from wardlight_edge.imaging_settings import PeerSettings
from wardlight_lab.modality.association import associate

Peer = Callable[[str], Path]
# What the package itself holds; its other files would be fetched from elsewhere.
BUNDLED = Path(data_manager.__file__).parent
NOT_OF_PATIENTS = ("1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.39")  # directories, palettes
CHUNK = 16_000
TUNED = {"TCP_NODELAY": "1"}
FILES = [
    "CT_small.dcm", "MR_small_implicit.dcm", "examples_rgb_color.dcm", "test-SR.dcm",
    "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "693_J2KI.dcm", "image_dfl.dcm",
    "SC_rgb_small_odd_big_endian.dcm", "examples_ybr_color.dcm", "waveform_ecg.dcm",
]  # fmt: skip


def _bundled() -> list[FileDataset]:
    """Every file that comes with pydicom, has a patient, and that a sender can send."""
    found = []
    for name in sorted(BUNDLED.rglob("*.dcm")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tags = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
                file = dcmread(name, stop_before_pixels=True, specific_tags=tags)
                meta = file.file_meta
                _ = meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID
                _ = meta.FileMetaInformationGroupLength  # without it the data set is not found
                sop_class = str(meta.MediaStorageSOPClassUID)
        except (InvalidDicomError, AttributeError):
            continue
        if sop_class and not sop_class.startswith(NOT_OF_PATIENTS):
            found.append(file)
    return found


def _octets(file: FileDataset) -> bytes:
    return data_set_of(Path(str(file.filename)).read_bytes())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_all_files_of_pydicom_are_stored_as_they_are(tmp_path: Path) -> None:
    """Each over the wire with its own transfer syntax, in fragments of odd lengths.

    Some were made anonymous in their head or in their data set alone: as what the head says they
    are refused, as what they are they are taken. Four do not say what they are, two are cut off,
    four are of no study, which the cloud would put nowhere.
    """
    files = _bundled()
    assert len(files) > 85
    sent, refusals = [], []
    with imaging(tmp_path) as running:
        for file in files:
            meta = file.file_meta
            what = str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
            own = str(file.get("SOPInstanceUID", "")) if "SOPClassUID" in file else ""
            for uid in {str(meta.MediaStorageSOPInstanceUID), own} - {""}:
                status = _offered(running.port, uid, what, _octets(file))
                is_cut = Path(str(file.filename)).stem.endswith("_truncated")
                has_study = file.get("StudyInstanceUID") and file.get("SeriesInstanceUID")
                is_bad = is_cut or not own or not has_study
                said = 0xA900 if own not in ("", uid) else 0xC000 if is_bad else 0
                assert status == said, file.filename
                if status:
                    refusals.append(status)
                else:
                    sent.append((uid, *what, _octets(file)))
        assert (refusals.count(0xA900), refusals.count(0xC000)) == (9, 10)
        assert running.status().refused == 19
        kept = all_stored(tmp_path)
        conflicts = running.status().conflicts
    for item, _ in kept:
        assert (item.about["calling_ae"], item.about["peer"]) == ("SENDER", "127.0.0.1")
    told = ("sop_instance", "sop_class", "transfer_syntax")
    found = [(*(item.about[name] for name in told), data_set_of(file)) for item, file in kept]
    assert sorted(map(repr, found)) == sorted(map(repr, dict.fromkeys(sent)))
    assert conflicts == len(found) - len({uid for uid, *_ in sent}) > 0


def _offered(port: int, uid: str, what: tuple[str, str], octets: bytes) -> int:
    """Send it in an association of its own; the status."""
    with Wire(port) as wire:
        assert wire.associate(context(1, *what))[0] == 2
        _send(wire, uid, what[0], octets)
        return wire.status()


def _send(wire: Wire, uid: str, sop_class: str, octets: bytes) -> None:
    wire.send(data(pdv(1, 3, store(uid, sop_class=sop_class))))
    for at in range(0, len(octets), CHUNK - 1):
        part = octets[at : at + CHUNK - 1]
        wire.send(data(pdv(1, 2 * (at + CHUNK - 1 >= len(octets)), part)))


def test_pynetdicom_sends_files_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    paths = [BUNDLED / "test_files" / name for name in FILES]
    metas = [dcmread(path, stop_before_pixels=True).file_meta for path in paths]
    ae = AE(ae_title="PYNETDICOM")
    ae.requested_contexts = [
        build_context(sop_class, syntax)
        for sop_class, syntax in {
            (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in metas
        }
    ]
    with imaging(tmp_path) as running:
        association = associate(ae, "127.0.0.1", running.port, ae_title="WARDLIGHT")
        assert association.is_established
        for path in paths:
            assert association.send_c_store(path).Status == 0x0000, path.name
        association.release()
        kept = stored(tmp_path)
    for path, meta in zip(paths, metas, strict=True):
        _, octets = kept[str(meta.MediaStorageSOPInstanceUID)]
        assert data_set_of(octets) == data_set_of(path.read_bytes()), path.name


@pytest.mark.parametrize("environment", [TUNED, {}], ids=["tuned", "untuned"])
@pytest.mark.parametrize("program", ["storescu", "dcmsend"])
def test_dcmtk_sends(tmp_path: Path, peer: Peer, program: str, environment: dict[str, str]) -> None:
    """Also compressed; twice, and the second time nothing is written."""
    sender = peer(program)
    names = ["CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "examples_ybr_color.dcm"]
    if program == "storescu":  # it proposes no compressed syntax unless it is told to
        names = names[:2]
    files = [BUNDLED / "test_files" / name for name in names]
    with imaging(tmp_path) as running:
        for _ in range(2):
            run_dcmtk(sender, running.port, *files, **environment)
        kept = stored(tmp_path)
        assert (running.status().stored, running.status().known) == (2 * len(files), len(files))
    assert len(kept) == len(files)
    for path in files:
        sent = dcmread(path)
        item, octets = kept[str(sent.SOPInstanceUID)]
        (tmp_path / "one.dcm").write_bytes(octets)
        read = dcmread(tmp_path / "one.dcm")
        assert read.file_meta.TransferSyntaxUID == item.about["transfer_syntax"]
        assert read.PixelData == sent.PixelData


def test_echo_and_find_of_nothing(tmp_path: Path, peer: Peer) -> None:
    with imaging(tmp_path) as running:
        assert "Received Echo Response (Success)" in run_dcmtk(peer("echoscu"), running.port)


def test_dcmtk_is_refused_by_a_closed_gateway(tmp_path: Path, peer: Peer) -> None:
    other = PeerSettings(calling_ae="OTHER", networks=("127.0.0.1",))
    with imaging(tmp_path, admit_loopback=False, peers=(other,)) as running:
        result = dcmtk(peer("echoscu"), running.port)
        assert result.returncode != 0
        assert "Calling AE Title Not Recognized" in result.stdout


def test_the_log_holds_no_name_and_no_uid(
    tmp_path: Path, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    path = BUNDLED / "test_files" / "CT_small.dcm"
    sent = dcmread(path)
    caplog.set_level("DEBUG", logger="wardlight_edge")
    with imaging(tmp_path) as running:
        run_dcmtk(peer("storescu"), running.port, "-aet", "SECRETAE", path)
        dcmtk(peer("storescu"), running.port, "-aec", "WRONGAE", path)
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "association ended" in text
    for secret in (str(sent.PatientName), sent.PatientID, sent.SOPInstanceUID, "SECRETAE"):
        assert secret not in text


def test_a_study_over_four_associations_at_once(tmp_path: Path) -> None:
    """Each object is there once and whole, whoever else sends."""
    import threading

    uids = [f"1.2.9.{number}" for number in range(40)]
    octets = {uid: instance(uid, os.urandom(60_000 + n)) for n, uid in enumerate(uids)}

    def send(uids: list[str]) -> None:
        with Wire(running.port) as wire:
            wire.associate()
            for uid in uids:
                _send(wire, uid, "1.2.840.10008.5.1.4.1.1.2", octets[uid])
                assert wire.status() == 0

    with imaging(tmp_path) as running:
        threads = [threading.Thread(target=send, args=(uids[part::4],)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = stored(tmp_path)
    assert {uid: data_set_of(file) for uid, (_, file) in kept.items()} == octets
