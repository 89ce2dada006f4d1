"""The event of a performed procedure step that a file holds (edge: dicom/step_file.py).

Errors  HeaderError: it holds none
Source  DICOM PS3.4, F.7.2
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from pydicom.dataset import Dataset, FileDataset

from wardlight_cloud.imaging.columns import date_text
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.small_files import items, moment, read_file, text
from wardlight_cloud.store.orders import ScheduledStep, StepEvent, StepStatus
from wardlight_shared.blobs import Offer

STEP_CLASS: Final = "1.2.840.10008.3.1.2.3.3"
_EVENT: Final = re.compile(rb"(create|set) ([1-9][0-9]{0,8})")


def read_event(gateway: str, offer: Offer, octets: bytes) -> StepEvent:
    """The event of a file. HeaderError: it is none."""
    if hashlib.sha256(octets).digest() != offer.sha256:
        raise HeaderError("parse", "the octets are not those that were offered")
    file = read_file(octets)
    if text(file.file_meta, "MediaStorageSOPClassUID") != STEP_CLASS:
        raise HeaderError("meta", "not an event of a performed procedure step")
    sop_uid = text(file.file_meta, "MediaStorageSOPInstanceUID")
    if not sop_uid:
        raise HeaderError("uid", "the event does not say whose it is")
    status = text(file, "PerformedProcedureStepStatus")
    return StepEvent(
        sop_uid=sop_uid,
        gateway=gateway,
        spool=offer.spool,
        number=_number(file),
        sha256=offer.sha256,
        octets=octets,
        calling_ae=str(offer.about.get("calling_ae") or ""),
        received_at=datetime.fromtimestamp(offer.received_ms / 1000, UTC),
        status=StepStatus(status) if status in set(StepStatus) else None,
        scheduled=tuple(map(_scheduled, items(file, "ScheduledStepAttributesSequence"))),
        station_ae=text(file, "PerformedStationAETitle"),
        modality=text(file, "Modality"),
        started=moment(file, "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
        ended=moment(file, "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"),
        series=tuple(
            text(series, "SeriesInstanceUID") for series in items(file, "PerformedSeriesSequence")
        ),
        patient_id=text(file, "PatientID"),
        issuer=text(file, "IssuerOfPatientID"),
        birth_date=date_text(text(file, "PatientBirthDate")),
    )


def _number(file: FileDataset) -> int:
    private = file.file_meta.get("PrivateInformation")
    match = _EVENT.fullmatch(bytes(private or b"").rstrip(b"\0"))
    if match is None:
        raise HeaderError("meta", "the event has no number")
    return int(match[2])


def _scheduled(item: Dataset) -> ScheduledStep:
    return ScheduledStep(
        text(item, "AccessionNumber"),
        text(item, "ScheduledProcedureStepID"),
        text(item, "StudyInstanceUID"),
    )
