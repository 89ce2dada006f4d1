"""The procedure steps of a department: begun before a study, changed, ended after it.

Each event is sent when the one before was answered with 0x0000. One whose answer does not come may
have been taken or not; its step is left there, as by a modality that was switched off.
"""

from typing import Final

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from wardlight_lab.chaos.step_verdict import Event

STEP_CLASS: Final = "1.2.840.10008.3.1.2.3.3"
_IN_PROGRESS: Final = "IN PROGRESS"


class Steps:
    """What was sent, and what the gateway has answered 0x0000 to."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._numbers: dict[str, int] = {}
        self.sent: list[Event] = []
        self.accepted: list[Event] = []

    def begin(self, association: Association, study: int) -> str:
        """N-CREATE; "" where it was not answered with 0x0000."""
        uid = f"{self._root}.{study}"
        event = self._next(uid, _IN_PROGRESS)
        answer, _ = association.send_n_create(_begun(study), STEP_CLASS, uid)
        return uid if self._answered(event, answer) else ""

    def change(self, association: Association, uid: str, *, is_end: bool) -> bool:
        """N-SET: with a series so far, or as the end."""
        event = self._next(uid, "COMPLETED" if is_end else _IN_PROGRESS)
        answer, _ = association.send_n_set(_changed(uid, event.status), STEP_CLASS, uid)
        return self._answered(event, answer)

    def _next(self, uid: str, status: str) -> Event:
        self._numbers[uid] = number = self._numbers.get(uid, 0) + 1
        event = Event(uid, number, status)
        self.sent.append(event)
        return event

    def _answered(self, event: Event, answer: Dataset) -> bool:
        if answer.get("Status") != 0:
            return False
        self.accepted.append(event)
        return True


def _begun(study: int) -> Dataset:
    scheduled = Dataset()
    scheduled.StudyInstanceUID = f"1.2.826.0.1.3680043.10.1511.88.1.{study}"
    step = Dataset()
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PatientID, step.PatientName = "LAB-CHAOS", "Chaos^Department"
    step.PerformedProcedureStepID = f"P{study}"
    step.PerformedStationAETitle = "CHAOS"
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20260101", "0800"
    step.PerformedProcedureStepStatus = _IN_PROGRESS
    step.Modality = "DX"
    return step


def _changed(uid: str, status: str) -> Dataset:
    series = Dataset()
    series.ProtocolName, series.SeriesInstanceUID = "Chest", f"{uid}.1"
    change = Dataset()
    change.PerformedProcedureStepStatus = status
    change.PerformedSeriesSequence = [series]
    if status != _IN_PROGRESS:
        change.PerformedProcedureStepEndDate, change.PerformedProcedureStepEndTime = (
            "20260101", "0815",
        )  # fmt: skip
    return change
