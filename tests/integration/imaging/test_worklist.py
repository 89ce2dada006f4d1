"""dcmtk's findscu asks the imaging process for its worklist; nothing of a cloud is running."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.dicom_services import ImagingProcess, entry, page
from support.waiting import wait_until_sync
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge.imaging_status import read

FOUND = re.compile(r"\(0008,0050\) SH \[([^\]]*)\]")


class Modality:
    """findscu over TLS."""

    def __init__(self, findscu: Path, folder: Path, port: int) -> None:
        authority = CertificateAuthority.open(folder / "pki")
        own = authority.ensure_client("gw-modality", Role.GATEWAY)
        self._start = [
            str(findscu), "+tls", str(own.key), str(own.certificate), "+cf", str(own.authority),
            "-aet", "CT1", "-aec", "WARDLIGHT", "-v", "-W",
        ]  # fmt: skip
        self._peer = ["127.0.0.1", str(port)]

    def ask(self, *keys: str) -> str:
        """All that findscu prints."""
        options = [part for key in keys for part in ("-k", key)]
        run = subprocess.run(
            [*self._start, "-k", "AccessionNumber", *options, *self._peer],
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        return run.stdout + run.stderr

    def finds(self, *keys: str) -> list[str]:
        """Accession numbers of the entries found, in order."""
        _, _, answers = self.ask(*keys).partition("Find Response:")
        return [each.strip() for each in FOUND.findall(answers) if each.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worklist")


@pytest.fixture(scope="module")
def imaging(folder: Path) -> Iterator[ImagingProcess]:
    server = CertificateAuthority.open(folder / "pki").ensure_server(["localhost"])
    process = ImagingProcess(
        folder,
        f"""
[dicom.worklist]
stale_after_s = 3600
[dicom.tls]
cert_file = "{server.certificate}"
key_file = "{server.key}"
ca_file = "{server.authority}"
[[dicom.peer]]
calling_ae = "CT1"
networks = ["127.0.0.1"]
certificate = "gw-modality"
""",
    )
    process.start()
    yield process
    process.stop()


@pytest.fixture
def modality(peer: Callable[[str], Path], folder: Path, imaging: ImagingProcess) -> Modality:
    return Modality(peer("findscu"), folder, imaging.port)


def _keep(process: ImagingProcess, *, age_s: float) -> None:
    with process.uplink() as spool:
        spool.keep_worklist(
            page(
                entry("A1"),
                entry("A2", "Müller^Jörg", station="MR1", modality="MR", time="093000"),
                entry("A3", "Yamada^Tarou=山田^太郎", date="20260103", time="070000"),
                as_of_ms=time.time_ns() // 1_000_000 - int(age_s * 1000),
            )
        )


def _status(process: ImagingProcess) -> tuple[int | None, bool, bool]:
    """Entries, whether they are of this hour, whether the list is too old."""
    status = read(process.data_dir)
    assert status is not None
    is_new = status.worklist_age_s is not None and status.worklist_age_s < 3600
    return status.worklist_entries, is_new, status.worklist_stale


def test_a_gateway_that_never_had_a_list_says_so(
    modality: Modality, imaging: ImagingProcess
) -> None:
    output = modality.ask()
    assert "OutOfResources" in output.replace(" ", "") or "0xa700" in output.lower()


def test_queries_are_answered_from_the_list_held(
    modality: Modality, imaging: ImagingProcess
) -> None:
    _keep(imaging, age_s=10)
    step = "ScheduledProcedureStepSequence[0]"
    assert modality.finds() == ["A1", "A2", "A3"], "in the order of start"
    assert modality.finds(f"{step}.ScheduledStationAETitle=CT1") == ["A1", "A3"]
    assert modality.finds(f"{step}.Modality=MR") == ["A2"]
    day = f"{step}.ScheduledProcedureStepStartDate"
    assert modality.finds(f"{day}=20260102") == ["A1", "A2"]
    assert modality.finds(f"{day}=20260103-") == ["A3"]
    assert modality.finds(
        f"{day}=20260102-20260103", f"{step}.ScheduledProcedureStepStartTime=09-0931"
    ) == ["A2"]
    assert modality.finds("PatientName=doe*") == ["A1"]
    assert modality.finds("PatientName=*MULL?R*") == ["A2"]
    assert modality.finds("PatientID=P-A9") == []
    assert modality.finds("AccessionNumber=A3") == ["A3"]


def test_an_answer_has_the_keys_asked_for(modality: Modality, imaging: ImagingProcess) -> None:
    _keep(imaging, age_s=10)
    output = modality.ask(
        "AccessionNumber=A2", "PatientName", "PatientBirthDate",
        "ScheduledProcedureStepSequence[0].ScheduledProcedureStepID",
    )  # fmt: skip
    answer = output[output.index("Find Response: 1 (Pending)") :]
    assert "[Müller^Jörg" in answer
    assert "(0040,0009) SH [S-A2" in answer
    assert "(0010,0030) DA (no value available)" in answer
    assert "RequestedProcedureID" not in answer


def test_a_list_that_is_too_old_says_so_in_each_answer(
    modality: Modality, imaging: ImagingProcess
) -> None:
    _keep(imaging, age_s=7200)
    wait_until_sync(lambda: _status(imaging) == (3, False, True))
    output = modality.ask(
        "AccessionNumber=A1",
        "ScheduledProcedureStepSequence[0].CommentsOnTheScheduledProcedureStep",
    )
    assert output.count("may be out of date") >= 1
    assert FOUND.search(output)


def test_a_new_list_is_seen_at_once(modality: Modality, imaging: ImagingProcess) -> None:
    process = imaging
    _keep(process, age_s=10)
    assert modality.finds() == ["A1", "A2", "A3"]
    now_ms = time.time_ns() // 1_000_000
    with process.uplink() as spool:
        spool.keep_worklist(page(entry("A1", "New^Name"), as_of_ms=now_ms, since=3))
        assert spool.revision() == 4
    assert "[New^Name" in modality.ask("AccessionNumber=A1", "PatientName")
    wait_until_sync(lambda: _status(process) == (3, True, False))
    log = process.log.read_text()
    assert "age_s" in log and "Doe" not in log and "A1" not in log
