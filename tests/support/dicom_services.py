"""The imaging process of a gateway, and the uplink's side of its spool, for tests of services."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from support.edge_process import write_settings
from support.imaging_gateway import KEY
from support.waiting import wait_until_sync
from wardlight_cloud.private_file import write_private
from wardlight_edge.dicom.data_sets import written
from wardlight_edge.spool.opening import open_sending
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_shared import worklist
from wardlight_shared.worklist import WorklistEntry, WorklistPage

_DEADLINE_S = 240.0


class ImagingProcess:
    """``wardlight-edge dicom`` with settings of its own; there is no collector and no broker."""

    def __init__(self, folder: Path, dicom: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.config = write_settings(folder, {}, f"[dicom]\nport = 0\n{dicom}")
        self.data_dir = folder / "data"
        self.data_dir.mkdir(mode=0o700)
        write_private(self.data_dir / "outbox.key", KEY.hex() + "\n")
        self.log = folder / "log"
        self.port = self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens on ``port``."""
        port_file = self.data_dir / "dicom.port"
        port_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "wardlight_edge", "dicom", "--config", str(self.config)],
                stderr=log,
                env={**os.environ, "WARDLIGHT_KEY_FILE": ""},
            )
        wait_until_sync(
            lambda: process.poll() is not None or (port_file.exists() and port_file.read_text()),
            _DEADLINE_S,
            "the imaging process listens",
        )
        assert process.poll() is None, self.log.read_text()
        self.port = int(port_file.read_text())
        self.pid = process.pid

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; it must end well."""
        code = self._end(signal.SIGTERM)
        assert code in (0, None), self.log.read_text()

    def _end(self, number: int) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(number)
        return process.wait(_DEADLINE_S)

    @contextmanager
    def uplink(self) -> Iterator[SqliteSendingSpool]:
        """The spool as the uplink has it."""
        spool = open_sending(self.data_dir, KEY)
        assert spool is not None
        try:
            yield spool
        finally:
            spool.close()


def entry(
    accession: str,
    name: str = "Doe^Jane",
    *,
    station: str = "CT1",
    modality: str = "CT",
    date: str = "20260102",
    time: str = "080000",
    **more: str,
) -> Dataset:
    """A worklist entry."""
    step = Dataset()
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = date
    step.ScheduledProcedureStepStartTime = time
    step.Modality = modality
    step.ScheduledPerformingPhysicianName = ""
    step.ScheduledProcedureStepDescription = "Chest"
    step.ScheduledProcedureStepID = f"S-{accession}"
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.AccessionNumber = accession
    found.PatientName = name
    found.PatientID = f"P-{accession}"
    found.StudyInstanceUID = f"1.2.3.{sum(accession.encode())}"
    found.RequestedProcedureID = f"R-{accession}"
    found.ScheduledProcedureStepSequence = Sequence([step])
    for keyword, value in more.items():
        setattr(found, keyword, value)
    return found


def page(*entries: Dataset, as_of_ms: int, since: int = 0, revision: int = 0) -> WorklistPage:
    """A whole list, or its next change, as the collector would send it."""
    newest = revision or since + len(entries)
    return WorklistPage(
        worklist.VERSION, since, newest, newest, as_of_ms,
        [WorklistEntry(n, since + n, written(each)) for n, each in enumerate(entries, 1)],
    )  # fmt: skip
