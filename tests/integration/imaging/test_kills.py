"""kill -9 of the imaging process while a modality works: what it was told holds, nothing is double.

The modality creates steps, stores, asks for commitment and ends steps, one after the other; the
process is killed in the middle of whatever comes after a given number of answers.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from pydicom.uid import generate_uid

from support.dicom_services import ImagingProcess
from support.modality import Modality, begun, ended
from support.waiting import wait_until_sync
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_shared.blobs import BlobKind

ANSWERS = (1, 4, 6, 11)  # before each kill
# No association, or no answer on it.
BROKEN = (AssertionError, AttributeError, RuntimeError, ValueError)


class Told:
    """What the modality was told with 0x0000."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.stored: list[str] = []
        self.asked: dict[str, str] = {}

    def count(self) -> int:
        return len(self.begun) + len(self.ended) + len(self.stored) + len(self.asked)

    def has(self, answers: int) -> bool:
        return self.count() >= answers

    def work(self, modality: Modality, killed: threading.Event) -> None:
        """Until the gateway is gone.

        One association after the other: pynetdicom's own thread now and then takes an answer
        away from the caller that waits for it, and that association is of no more use.
        """
        while not killed.is_set():
            with suppress(*BROKEN), modality.one_association():
                while True:
                    self._answers(modality, generate_uid())

    def _answers(self, modality: Modality, uid: str) -> None:
        assert modality.create_step(uid, begun()) == 0
        self.begun.append(uid)
        assert modality.store(uid) == 0
        self.stored.append(uid)
        assert self._ask(modality, uid) == 0
        assert modality.set_step(uid, ended()) == 0
        self.ended.append(uid)

    def _ask(self, modality: Modality, uid: str) -> int:
        transaction, status = modality.ask_commitment(uid)
        if status == 0:
            self.asked[uid] = transaction
        return status


@pytest.fixture
def modality() -> Iterator[Modality]:
    made = Modality("CT1")
    yield made
    made.close()


@pytest.fixture
def imaging(
    modality: Modality, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImagingProcess]:
    process = ImagingProcess(
        tmp_path_factory.mktemp("kills"),
        f"""
min_free_bytes = 0
[[dicom.peer]]
calling_ae = "CT1"
networks = ["127.0.0.1"]
report_host = "127.0.0.1"
report_port = {modality.port}
""",
    )
    yield process
    process.stop()


def _queued(spool: SqliteSendingSpool, kind: BlobKind) -> list[tuple[str, str]]:
    """(SOP Instance UID, event) of all items that wait, in their order."""
    found = spool.waiting(limit=10_000, kind=kind)
    return [(str(item.about["sop_instance"]), str(item.about.get("event"))) for item in found]


def test_what_was_told_holds_after_each_kill(imaging: ImagingProcess, modality: Modality) -> None:
    told = Told()
    for answers in ANSWERS:
        imaging.start()
        modality.gateway_port = imaging.port
        goal = told.count() + answers
        killed = threading.Event()
        working = threading.Thread(target=told.work, args=(modality, killed), name="modality")
        working.start()
        try:
            wait_until_sync(partial(told.has, goal), 90, "answers")
        finally:
            killed.set()
            imaging.kill()
        working.join(180)
        assert not working.is_alive()
        assert modality.reports == [], "nothing has a receipt"
    imaging.start()
    with imaging.uplink() as spool:
        wait_until_sync(lambda: len(_queued(spool, BlobKind.STEP)) >= len(told.begun), 60)
        steps = _queued(spool, BlobKind.STEP)
        assert len(set(steps)) == len(steps), "no event is queued twice"
        assert [uid for uid in told.begun if (uid, "create") not in steps] == []
        assert [uid for uid in told.ended if (uid, "set") not in steps] == []
        for uid, event in steps:
            assert event == "create" or steps.index((uid, "create")) < steps.index((uid, event))
        images = [uid for uid, _ in _queued(spool, BlobKind.INSTANCE)]
        assert len(set(images)) == len(images)
        assert set(told.stored) <= set(images)
        waiting = spool.waiting(limit=10_000, kind=BlobKind.INSTANCE)
        spool.settle([item.item for item in waiting], ItemState.DELIVERED)
    for uid, transaction in told.asked.items():
        found = wait_until_sync(partial(modality.report_of, transaction), 60, "a report")
        assert found == (1, [uid], {})
