"""What a step may become: the same patient and order, however they are written the second time."""

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wardlight_edge.dicom import data_sets
from wardlight_edge.dicom.step_rules import StepRefused, changed


def _scheduled(**more: object) -> Dataset:
    scheduled = Dataset()
    scheduled.StudyInstanceUID = "1.2.3"
    scheduled.AccessionNumber = "A1"
    for keyword, value in more.items():
        setattr(scheduled, keyword, value)
    return scheduled


def _data_set(**attributes: object) -> Dataset:
    """As it comes off the wire."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return data_sets.read(data_sets.written(made), data_sets.EXPLICIT_LITTLE, most_values=99)


def _held() -> Dataset:
    return _data_set(
        PatientName="Müller^J=山田^太郎",
        PatientID="1",
        PatientBirthDate="19500102",
        PerformedProcedureStepStartTime="101500",
        PerformedProcedureStepStatus="IN PROGRESS",
        ScheduledStepAttributesSequence=Sequence([_scheduled()]),
    )


@pytest.mark.parametrize(
    "said",
    [
        {"PatientName": "Müller^J^^"},
        {"PatientName": "Müller^J^^^ "},
        {"PatientName": "Müller ^J"},
        {"PatientName": "Müller^J=="},
        {"PatientName": "Müller^J^=山田^太郎^^=やまだ^たろう"},
        {"PatientName": "=山田^太郎"},
        {"PatientName": ""},
        {"PatientID": " 1 "},
        {"PerformedProcedureStepStartTime": "101500.000"},
        {"ScheduledStepAttributesSequence": Sequence([_scheduled(RequestedProcedureID="")])},
        {"ScheduledStepAttributesSequence": Sequence([_scheduled(AccessionNumber="A1 ")])},
    ],
)
def test_what_is_written_otherwise_is_the_same(said: dict[str, object]) -> None:
    held = _held()
    step = changed(held, _data_set(**said, PerformedSeriesSequence=Sequence()))
    for keyword in said:
        assert step[keyword].value == held[keyword].value


@pytest.mark.parametrize(
    "said",
    [
        {"PatientName": "Müller^K"},
        {"PatientName": "Müller^J^X"},
        {"PatientName": "Müller^J=山田^花子"},
        {"PatientName": "==やまだ^たろう"},
        {"PatientID": "11"},
        {"PatientID": "1\\2"},
        {"PatientBirthDate": "19500103"},
        {"PatientSex": "F"},
        {"PerformedProcedureStepStartTime": "101500.5"},
        {"ScheduledStepAttributesSequence": Sequence([_scheduled(AccessionNumber="A2")])},
        {"ScheduledStepAttributesSequence": Sequence([_scheduled(), _scheduled()])},
    ],
)
def test_another_patient_or_order_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(StepRefused, match="0x0106"):
        changed(_held(), _data_set(**said))
