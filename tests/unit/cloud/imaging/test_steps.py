"""Events of procedure steps as the collector takes them, made by the gateway's own module."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from support.modality import begun, ended
from wardlight_cloud.imaging.step_event import read_event
from wardlight_cloud.imaging.steps import StepIntake
from wardlight_cloud.store.orders import ScheduledStep, StepEvent, StepPut, StepStatus
from wardlight_edge.dicom.data_sets import EXPLICIT_LITTLE, written
from wardlight_edge.dicom.step_file import step_file
from wardlight_shared.blobs import VERSION, BlobKind, Offer


class Orders:
    """Implements the part of OrderStore that takes events."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, int, int], StepEvent] = {}

    async def put_step_event(self, event: StepEvent) -> StepPut:
        key = event.sop_uid, event.spool, event.number
        known = self.events.setdefault(key, event)
        if known is event:
            return StepPut.STORED
        return StepPut.KNOWN if known.sha256 == event.sha256 else StepPut.DIFFERS


def _offer(octets: bytes, item: int = 1) -> Offer:
    return Offer(
        VERSION, 7, item, hashlib.sha256(octets).digest(), len(octets), BlobKind.STEP,
        1_767_340_860_000, {"sop_instance": "1.2.9", "event": "create", "calling_ae": "CT1"},
    )  # fmt: skip


CREATE = step_file("1.2.9", EXPLICIT_LITTLE, "create", 1, written(begun()))
END = step_file("1.2.9", EXPLICIT_LITTLE, "set", 2, written(ended()))


def test_an_event_is_read_as_the_gateway_wrote_it() -> None:
    event = read_event("gw-one", _offer(CREATE), CREATE)
    assert event == StepEvent(
        sop_uid="1.2.9", gateway="gw-one", spool=7, number=1,
        sha256=hashlib.sha256(CREATE).digest(), octets=CREATE, calling_ae="CT1",
        received_at=datetime(2026, 1, 2, 8, 1, tzinfo=UTC), status=StepStatus.IN_PROGRESS,
        scheduled=(ScheduledStep("A1", "1", "1.2.3"),), station_ae="CT1", modality="CT",
        started="20260102 080100", patient_id="P1",
    )  # fmt: skip
    last = read_event("gw-one", _offer(END), END)
    assert (last.number, last.status, last.scheduled) == (2, StepStatus.COMPLETED, ())
    assert (last.ended, last.series) == ("20260102 081500", ("1.2.3.4",))


async def test_an_event_of_another_patient_than_the_orders_is_kept_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Contradicting(Orders):
        async def put_step_event(self, event: StepEvent) -> StepPut:
            return StepPut.CONTRADICTS

    intake = StepIntake(Contradicting())  # type: ignore[arg-type]
    assert (await intake.take_step("gw-one", _offer(CREATE), CREATE)).what == "stored"
    assert "names an order of another" in caplog.text and "P1" not in caplog.text


def test_an_event_says_whom_it_is_done_to() -> None:
    step = begun()
    step.IssuerOfPatientID, step.PatientBirthDate = "HOSP", "1950.01.02"
    octets = step_file("1.2.9", EXPLICIT_LITTLE, "create", 1, written(step))
    event = read_event("gw-one", _offer(octets), octets)
    assert (event.patient_id, event.issuer, event.birth_date) == ("P1", "HOSP", "19500102")


async def test_an_event_counts_once() -> None:
    intake = StepIntake(Orders())  # type: ignore[arg-type]
    assert (await intake.take_step("gw-one", _offer(CREATE), CREATE)).what == "stored"
    assert (await intake.take_step("gw-one", _offer(CREATE, 2), CREATE)).what == "known"
    other = step_file("1.2.9", EXPLICIT_LITTLE, "create", 1, written(begun(StudyID="2")))
    outcome = await intake.take_step("gw-one", _offer(other), other)
    assert (outcome.what, outcome.reason) == ("refused", "differs")


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "preamble"),
        (bytes(200), "preamble"),
        (CREATE.replace(b"create 1", b"create x"), "meta"),
        (CREATE.replace(b"1.2.840.10008.3.1.2.3.3", b"1.2.840.10008.3.1.2.3.4"), "meta"),
        (CREATE.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"), "meta"),
        (bytes(5 << 20), "size"),
    ],
)
async def test_what_is_no_event_is_refused_by_name(octets: bytes, reason: str) -> None:
    outcome = await StepIntake(Orders()).take_step(  # type: ignore[arg-type]
        "gw-one", _offer(octets), octets
    )
    assert (outcome.what, outcome.reason) == ("refused", reason)


async def test_octets_that_were_not_offered_are_refused() -> None:
    offer = _offer(CREATE)
    outcome = await StepIntake(Orders()).take_step("gw-one", offer, END)  # type: ignore[arg-type]
    assert (outcome.what, outcome.reason) == ("refused", "parse")
    assert replace(read_event("gw-one", offer, CREATE), octets=b"").octets == b""
