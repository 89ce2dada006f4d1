"""An imaging department in the world: sends studies, asks for commitment, keeps its own account.

What the gateway has answered 0x0000 to must be in the cloud in the end, octet by octet, once; what
a report of commitment says is safe must stand on the index of the cloud, as an object of it, in the
moment of the report, and each request that was taken must be reported. Each study is a procedure
step: begun, changed, ended. Some studies are sent twice, as impatient people do; some have an image
that takes many chunks, so that kills meet it half way.
"""

import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.events import Event
from pynetdicom.presentation import build_role

from wardlight_lab.chaos.image_verdict import Promise
from wardlight_lab.chaos.steps import STEP_CLASS, Steps
from wardlight_lab.modality.association import associate
from wardlight_shared.part10 import file_head

AE_TITLE: Final = "CHAOS"
CALLED: Final = "WARDLIGHT"
_COMMITMENT: Final = "1.2.840.10008.1.20.1"
_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
_ROOT: Final = "1.2.826.0.1.3680043.10.1511.88"  # under the arc that Medical Connections gives away
_SIDES: Final = (40, 130, 300, 700)
_LARGE_SIDE: Final = 1600  # 5 MB
_LARGE_EVERY: Final = 10
_IMAGES: Final = 3
_PAUSE_S: Final = 0.5
_PROCESSING_FAILURE: Final = 0x0110
_ANSWER_S: Final = 15


OnIndex = Callable[[Iterable[str]], dict[str, bytes] | None]
"""SHA-256 by SOP Instance UID as they stand on the cloud's index now; None = it cannot be asked."""


class Department:
    """``start`` and ``stop`` a thread; ``objects`` is the cloud's folder of objects."""

    def __init__(self, gateway_port: int, objects: Path, on_index: OnIndex) -> None:
        self._gateway_port = gateway_port
        self._objects = objects
        self._on_index = on_index
        self._random = random.Random(1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="department", daemon=True)
        self._promises: dict[str, Promise] = {}
        self._offered: set[str] = set()
        self.false_commitments: list[str] = []
        self.committed: set[str] = set()
        self.steps = Steps(f"{_ROOT}.4")
        self.asked: set[str] = set()
        self.reported: set[str] = set()
        self._reports = AE(ae_title=AE_TITLE)
        self._reports.add_supported_context(_COMMITMENT, scu_role=False, scp_role=True)
        server = self._reports.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._reported)]
        )
        if server is None:
            raise RuntimeError("no server for reports")
        self.report_port = int(server.server_address[1])

    @property
    def promises(self) -> list[Promise]:
        """What the gateway has accepted."""
        return list(self._promises.values())

    @property
    def offered(self) -> frozenset[str]:
        """UIDs of all that was sent, accepted or not."""
        return frozenset(self._offered)

    def settings(self) -> str:
        """The peer of the gateway's settings that this department is."""
        return (
            "[dicom.commitment]\nfirst_retry_s = 0.5\nlast_retry_s = 2.0\n"
            f'[[dicom.peer]]\ncalling_ae = "{AE_TITLE}"\nnetworks = ["127.0.0.1"]\n'
            f'report_host = "127.0.0.1"\nreport_port = {self.report_port}\n'
        )

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; reports are still taken. Blocks until the study under way is over."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2 * _ANSWER_S)

    def close(self) -> None:
        """Take no more reports."""
        self.stop()
        self._reports.shutdown()

    def _run(self) -> None:
        number = 0
        before: list[Dataset] = []
        while not self._stopping.is_set():
            number += 1
            again = bool(before) and number % 4 == 0
            study = before if again else [self._image(number, image) for image in range(_IMAGES)]
            # Whatever breaks here is what the gateway's death looks like from a modality.
            with suppress(OSError, RuntimeError, ValueError, AttributeError):
                self._send(study, number)
            before = study
            self._stopping.wait(_PAUSE_S)

    def _send(self, study: Sequence[Dataset], number: int) -> None:
        entity = AE(ae_title=AE_TITLE)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _ANSWER_S
        entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
        entity.add_requested_context(_COMMITMENT)
        entity.add_requested_context(STEP_CLASS)
        association = associate(entity,
            "127.0.0.1", self._gateway_port, ae_title=CALLED,
            ext_neg=[build_role(_COMMITMENT, scu_role=True)],
        )  # fmt: skip
        if not association.is_established:
            return
        try:
            step = self.steps.begin(association, number)
            accepted = [made for made in study if self._store(association, made)]
            for is_end in (False, True):
                if step and association.is_established:
                    step = step if self.steps.change(association, step, is_end=is_end) else ""
            if accepted and association.is_established:
                self._ask(association, accepted)
        finally:
            if association.is_established:
                association.release()

    def _store(self, association: Association, made: Dataset) -> bool:
        if not association.is_established:
            return False
        uid = str(made.SOPInstanceUID)
        self._offered.add(uid)
        answer = association.send_c_store(made)
        if answer.get("Status") != 0:
            return False
        self._promises.setdefault(uid, Promise(uid, _digest(made)))
        return True

    def _ask(self, association: Association, study: Sequence[Dataset]) -> None:
        action = Dataset()
        number = self._random.randrange(1 << 60)
        action.TransactionUID = f"{_ROOT}.9.{number}"
        action.ReferencedSOPSequence = [_reference(made) for made in study]
        answer, _ = association.send_n_action(action, 1, _COMMITMENT, _COMMITMENT_INSTANCE)
        if answer.get("Status") == 0:
            self.asked.add(str(action.TransactionUID))

    def _reported(self, event: Event) -> tuple[int, None]:
        """Check a report where the index can be asked now; otherwise it has to come again."""
        told = event.event_information
        uids = [
            str(each.ReferencedSOPInstanceUID) for each in told.get("ReferencedSOPSequence", ())
        ]
        indexed = self._on_index(uids)
        if indexed is None:
            return _PROCESSING_FAILURE, None
        for uid in uids:
            promise = self._promises.get(uid)
            is_there = promise is not None and indexed.get(uid) == promise.sha256
            if promise is None or not is_there or not self._is_object(promise.sha256):
                self.false_commitments.append(uid)
            self.committed.add(uid)
        self.reported.add(str(told.TransactionUID))
        return 0, None

    def _is_object(self, sha256: bytes) -> bool:
        text = sha256.hex()
        file = self._objects / "sha256" / text[:2] / text[2:4] / text
        with suppress(OSError):
            return hashlib.sha256(file.read_bytes()).digest() == sha256
        return False

    def _image(self, study: int, number: int) -> Dataset:
        is_large = number == 0 and study % _LARGE_EVERY == 2
        side = _LARGE_SIDE if is_large else self._random.choice(_SIDES)
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.Modality = DigitalXRayImageStorageForPresentation, "DX"
        made.StudyInstanceUID = f"{_ROOT}.1.{study}"
        made.SeriesInstanceUID = f"{_ROOT}.2.{study}"
        made.SOPInstanceUID = f"{_ROOT}.3.{study}.{number}"
        made.PatientID, made.PatientName = "LAB-CHAOS", "Chaos^Department"
        made.InstanceNumber = number + 1
        made.Rows = made.Columns = side
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.PixelRepresentation = 0
        made.PixelData = self._random.randbytes(side * side * 2)
        return made


def _reference(made: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = made.SOPClassUID
    reference.ReferencedSOPInstanceUID = made.SOPInstanceUID
    return reference


def _digest(made: Dataset) -> bytes:
    """SHA-256 of the file that the gateway makes of it (docs/decisions/019)."""
    octets = encode(made, is_implicit_vr=False, is_little_endian=True)
    head = file_head(
        str(made.SOPClassUID), str(made.SOPInstanceUID), str(made.file_meta.TransferSyntaxUID)
    )
    return hashlib.sha256(head + (octets or b"")).digest()
