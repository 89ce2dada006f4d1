"""A modality's procedure steps by pynetdicom; the imaging process is killed in between."""

from collections.abc import Iterator
from io import BytesIO
from uuid import uuid4

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from support.dicom_services import ImagingProcess
from support.modality import STEP_CLASS, Modality, begun, ended
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_shared.blobs import BlobKind


@pytest.fixture(scope="module")
def imaging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImagingProcess]:
    process = ImagingProcess(tmp_path_factory.mktemp("steps"), "admit_loopback = true")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def modality(imaging: ImagingProcess) -> Iterator[Modality]:
    made = Modality("CT1")
    made.gateway_port = imaging.port
    yield made
    made.close()


def _events(spool: SqliteSendingSpool, uid: str) -> list[tuple[str, str]]:
    """(event, status) of the items of a step in their order, as the collector would read them."""
    found = []
    for item in spool.waiting(limit=100, kind=BlobKind.STEP):
        if item.about["sop_instance"] == uid:
            file = dcmread(BytesIO(spool.read(item.item, 0, item.size)))
            number = file.file_meta.PrivateInformation.rstrip(b"\0").decode()
            found.append((number, str(file.get("PerformedProcedureStepStatus", ""))))
    return found


def test_a_step_goes_its_way_and_is_queued_in_order(
    imaging: ImagingProcess, modality: Modality
) -> None:
    uid = generate_uid()
    assert modality.create_step(uid, begun()) == 0
    assert modality.create_step(uid, begun()) == 0x0111
    progress = Dataset()
    progress.PerformedProcedureStepDescription = "half way"
    assert modality.set_step(uid, progress) == 0
    assert modality.set_step(uid, ended()) == 0
    with modality.association() as association:
        refused, _ = association.send_n_set(ended(), STEP_CLASS, uid)
    assert (refused.Status, refused.ErrorID) == (0x0110, 0xA710)
    assert modality.set_step(generate_uid(), ended()) == 0x0112
    with imaging.uplink() as spool:
        assert _events(spool, uid) == [
            ("create 1", "IN PROGRESS"), ("set 2", ""), ("set 3", "COMPLETED"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (0x0120, {"PerformedStationAETitle": None}),
        (0x0121, {"PerformedProcedureStepID": ""}),
        (0x0106, {"PerformedProcedureStepStatus": "COMPLETED"}),
    ],
)
def test_a_step_does_not_begin_without_what_it_needs(
    modality: Modality, status: int, fields: dict[str, object]
) -> None:
    assert modality.create_step(generate_uid(), begun(**fields)) == status


def test_a_step_does_not_end_without_what_it_needs(
    imaging: ImagingProcess, modality: Modality
) -> None:
    uid = generate_uid()
    assert modality.create_step(uid, begun()) == 0
    early = ended()
    del early.PerformedProcedureStepEndTime
    assert modality.set_step(uid, early) == 0x0120
    without = ended()
    without.PerformedSeriesSequence = Sequence()
    assert modality.set_step(uid, without) == 0x0121
    other = Dataset()
    other.PatientID = "P2"
    assert modality.set_step(uid, other) == 0x0106
    assert modality.set_step(uid, ended("DONE")) == 0x0106
    assert modality.set_step(uid, ended("DISCONTINUED")) == 0
    with imaging.uplink() as spool:
        assert [event for event, _ in _events(spool, uid)] == ["create 1", "set 2"]


def test_a_step_lives_through_a_kill(imaging: ImagingProcess, modality: Modality) -> None:
    uid = generate_uid()
    assert modality.create_step(uid, begun()) == 0
    imaging.kill()
    imaging.start()
    modality.gateway_port = imaging.port
    assert modality.create_step(uid, begun()) == 0x0111
    assert modality.set_step(uid, ended()) == 0
    with imaging.uplink() as spool:
        assert [event for event, _ in _events(spool, uid)] == ["create 1", "set 2"]


def test_uids_of_steps_are_those_of_images(imaging: ImagingProcess, modality: Modality) -> None:
    """A modality that makes leading zeros in all of its UIDs can store: its steps count, too."""
    uid = f"1.2.03.{uuid4().int % 10**20}"
    assert modality.create_step(uid, begun()) == 0
    assert modality.set_step(uid, ended()) == 0
    with imaging.uplink() as spool:
        assert _events(spool, uid) == [("create 1", "IN PROGRESS"), ("set 2", "COMPLETED")]
    assert modality.create_step("1.2.", begun()) == 0x0117
    assert modality.create_step("1..2", begun()) == 0x0117


def test_a_step_without_uid_gets_one(imaging: ImagingProcess, modality: Modality) -> None:
    with imaging.uplink() as spool:
        before = len(spool.waiting(limit=100))
        with modality.association() as association:
            answer, _ = association.send_n_create(begun(), STEP_CLASS, None)
            assert answer.Status == 0
        items = spool.waiting(limit=100)
    assert len(items) == before + 1
    assert str(items[-1].about["sop_instance"]).startswith("2.25.")


def test_the_log_names_nobody(imaging: ImagingProcess, modality: Modality) -> None:
    assert modality.create_step(generate_uid(), begun()) == 0
    log = imaging.log.read_text(encoding="utf-8")
    assert "procedure step taken" in log
    for secret in ("M\u00fcller", "P1", "PPS1", "1.2.3"):
        assert secret not in log
