"""A modality by pynetdicom: worklist, steps, images, and commitment with its reports."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_role

from wardlight_edge.dicom.data_sets import items
from wardlight_lab.modality.association import associate

STEP_CLASS = "1.2.840.10008.3.1.2.3.3"
WORKLIST = "1.2.840.10008.5.1.4.31"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

Told = tuple[int, list[str], dict[str, int]]
"""A report: Event Type ID, instances committed, and the others with their Failure Reason."""


class Heard:
    """Reports on an association of their requester; each is there when its answer was sent.

    Whoever releases the association before, or sends more, meets the thread that answers.
    """

    def __init__(self) -> None:
        self.reports: list[tuple[int, Dataset]] = []
        self._unanswered: list[tuple[int, Dataset]] = []

    def handlers(self) -> list[Any]:
        """For ``evt_handlers``."""
        return [(evt.EVT_N_EVENT_REPORT, self._hear), (evt.EVT_PDU_SENT, self._send)]

    def _hear(self, event: Event) -> tuple[int, None]:
        assert event.event_type is not None
        self._unanswered.append((event.event_type, event.event_information))
        return 0, None

    def _send(self, event: Event) -> None:
        while isinstance(event.pdu, P_DATA_TF) and self._unanswered:
            self.reports.append(self._unanswered.pop(0))


class Modality:
    """An AE; ``gateway_port`` is set once the gateway listens. Reports come to ``port``.

    connect_tls  associations are opened over TLS
    refusing     reports are answered with a failure
    selects_role  it says on its associations that it is the SCU of storage commitment
    tls          reports come over TLS only
    """

    def __init__(self, title: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.title = title
        self.gateway_port = 0
        self.connect_tls: ssl.SSLContext | None = None
        self.refusing = False
        self.selects_role = True
        self._kept: Association | None = None
        self.reports: list[tuple[int, Dataset]] = []
        self._here = Heard()
        self.reports_here = self._here.reports
        self._entity = AE(ae_title=title)
        self._entity.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
        server = self._entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._heard)],
            ssl_context=tls,
        )
        assert server is not None
        self.port = int(server.server_address[1])

    def close(self) -> None:
        """Listen no more."""
        self._entity.shutdown()

    @contextmanager
    def association(self) -> Iterator[Association]:
        """With the gateway: the one that is kept, or a new one."""
        if self._kept is not None:
            assert self._kept.is_established
            yield self._kept
            return
        entity = AE(ae_title=self.title)
        entity.dimse_timeout = 15
        entity.add_requested_context(CAPTURE, ImplicitVRLittleEndian)
        for sop_class in (STEP_CLASS, WORKLIST, COMMITMENT):
            entity.add_requested_context(sop_class)
        association = associate(
            entity,
            "127.0.0.1",
            self.gateway_port,
            ae_title="WARDLIGHT",
            ext_neg=[build_role(COMMITMENT, scu_role=True)] if self.selects_role else None,
            evt_handlers=self._here.handlers(),
            tls_args=None if self.connect_tls is None else (self.connect_tls, "localhost"),
        )
        assert association.is_established
        link = association.dul.socket
        raw = None if link is None else link.socket
        try:
            yield association
        finally:
            association.release()
            if raw is not None:
                raw.close()  # of a connection that broke pynetdicom forgets to

    @contextmanager
    def one_association(self) -> Iterator[None]:
        """Everything inside goes over one association; there is no new one when it breaks."""
        with self.association() as association:
            self._kept = association
            try:
                yield
            finally:
                self._kept = None

    def worklist(self) -> list[str]:
        """Accession numbers of the entries on the list; [] where there is none yet."""
        identifier = Dataset()
        identifier.AccessionNumber = ""
        with self.association() as association:
            return [
                str(entry.AccessionNumber)
                for _, entry in association.send_c_find(identifier, UID(WORKLIST))
                if entry is not None
            ]

    def create_step(self, uid: str, step: Dataset) -> int:
        """Status of an N-CREATE."""
        with self.association() as association:
            answer, _ = association.send_n_create(step, STEP_CLASS, uid)
            return int(answer.Status)

    def set_step(self, uid: str, change: Dataset) -> int:
        """Status of an N-SET."""
        with self.association() as association:
            answer, _ = association.send_n_set(change, STEP_CLASS, uid)
            return int(answer.Status)

    def store(self, uid: str, text: str = "one", **more: object) -> int:
        """Status of a C-STORE of a small image; other text, other octets."""
        capture = Dataset()
        capture.SOPClassUID = CAPTURE
        capture.SOPInstanceUID = uid
        capture.StudyInstanceUID = "1.2.3"
        capture.SeriesInstanceUID = "1.2.3.4"
        capture.Modality = "OT"
        capture.StudyDescription = text
        for keyword, value in more.items():
            setattr(capture, keyword, value)
        capture.file_meta = FileMetaDataset()
        capture.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        with self.association() as association:
            return int(association.send_c_store(capture).Status)

    def ask_commitment(
        self, *uids: str, sop_class: str = CAPTURE, transaction: str = ""
    ) -> tuple[str, int]:
        """(Transaction UID, status of the N-ACTION)."""
        action = Dataset()
        action.TransactionUID = transaction or generate_uid()
        action.ReferencedSOPSequence = Sequence()
        for uid in uids:
            item = Dataset()
            item.ReferencedSOPClassUID = sop_class
            item.ReferencedSOPInstanceUID = uid
            action.ReferencedSOPSequence.append(item)
        return str(action.TransactionUID), self.act(action)

    def act(self, action: Dataset, action_type: int = 1, instance: str = "") -> int:
        """Status of an N-ACTION."""
        with self.association() as association:
            answer, _ = association.send_n_action(
                action, action_type, COMMITMENT, instance or COMMITMENT_INSTANCE
            )
            return int(answer.Status)

    def report_of(
        self, transaction: str, reports: list[tuple[int, Dataset]] | None = None
    ) -> Told | None:
        """The first report of a transaction among those that came on associations of others."""
        for event, information in self.reports if reports is None else reports:
            if information.TransactionUID == transaction:
                committed = items(information, "ReferencedSOPSequence")
                failed = items(information, "FailedSOPSequence")
                return (
                    event,
                    [str(item.ReferencedSOPInstanceUID) for item in committed],
                    {
                        str(item.ReferencedSOPInstanceUID): int(item.FailureReason)
                        for item in failed
                    },
                )
        return None

    def _heard(self, event: Event) -> tuple[int, None]:
        assert event.event_type is not None
        self.reports.append((event.event_type, event.event_information))
        return (0x0110 if self.refusing else 0, None)


def begun(**more: object) -> Dataset:
    """The N-CREATE of a step; an attribute of value None is left out."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID = "1.2.3"
    scheduled.AccessionNumber = "A1"
    scheduled.ScheduledProcedureStepID = "1"
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 100"
    step.ScheduledStepAttributesSequence = Sequence([scheduled])
    step.PatientName = "Müller^Jörg"
    step.PatientID = "P1"
    step.PerformedProcedureStepID = "PPS1"
    step.PerformedStationAETitle = "CT1"
    step.PerformedProcedureStepStartDate = "20260102"
    step.PerformedProcedureStepStartTime = "080100"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.Modality = "CT"
    for keyword, value in more.items():
        if value is None:
            delattr(step, keyword)
        else:
            setattr(step, keyword, value)
    return step


def ended(status: str = "COMPLETED") -> Dataset:
    """The N-SET that ends a step."""
    series = Dataset()
    series.ProtocolName = "Chest"
    series.SeriesInstanceUID = "1.2.3.4"
    change = Dataset()
    change.PerformedProcedureStepStatus = status
    change.PerformedProcedureStepEndDate = "20260102"
    change.PerformedProcedureStepEndTime = "081500"
    change.PerformedSeriesSequence = Sequence([series])
    return change
