"""``wardlight-cloud worklist`` on a real database: orders typed, imported, listed and removed."""

import asyncio
import logging
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from support.collector_world import SCHEMA
from support.dicom_services import entry
from support.postgres import FreshDatabase
from wardlight_cloud.cli import main
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.postgres import open_postgres

T = TypeVar("T")
ADD = (
    "worklist", "add", "--accession", "A1", "--modality", "CT", "--station", "CT1",
    "--start", "2026-01-02T08:00", "--gateway", "gw-one",
)  # fmt: skip


class Desk:
    """Types commands, and looks into the store."""

    def __init__(self, config: Path, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = config
        self._dsn = dsn
        self._capsys = capsys
        self.complaint = ""

    def types(self, *arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--config", str(self._config)])
        out, self.complaint = self._capsys.readouterr()
        return code, out

    def says(self, *arguments: str) -> str:
        code, out = self.types(*arguments)
        assert code == 0, self.complaint
        return out

    def finds(self, look: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            store = await open_postgres(self._dsn, pool_size=1)
            try:
                return await look(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def on_list(self, gateway: str = "gw-one") -> list[Dataset]:
        """What this gateway would get."""
        changes = self.finds(lambda store: store.changes_of(gateway, 0))
        return [
            read_dataset(BytesIO(each.data_set or b""), is_implicit_VR=False, is_little_endian=True)
            for each in changes.entries
        ]


@pytest.fixture
def process_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def dsn(fresh_database: FreshDatabase) -> str:
    return await fresh_database(SCHEMA)


@pytest.fixture
def desk(
    dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    process_logging: None,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    monkeypatch.setenv("WARDLIGHT_DATABASE__DSN", dsn)
    config = tmp_path / "cloud.toml"
    config.write_text('[log]\nlevel = "warning"\n[images]\nissuer = "urn:clinic"\n')
    desk = Desk(config, dsn, capsys)
    for gateway in ("gw-one", "gw-two"):
        desk.says("gateway", "add", gateway)
    return desk


def test_an_order_of_a_patient_of_the_register(desk: Desk) -> None:
    patient = desk.says(
        "patient", "add", "--family", "Müller", "--given", "Jörg", "--birth-date", "1970-01-02",
        "--gender", "male", "--identifier", "urn:clinic", "P1",
    ).strip()  # fmt: skip
    said = desk.says(*ADD, "--patient", patient, "--procedure", "Chest")
    (made,) = desk.on_list()
    assert said == f"added: {made.StudyInstanceUID}\n"
    assert (str(made.PatientName), made.PatientID) == ("Müller^Jörg", "P1")
    assert (made.PatientBirthDate, made.PatientSex) == ("19700102", "M")
    assert "IssuerOfPatientID" not in made, "the site's own"
    assert made.SpecificCharacterSet == "ISO_IR 100"
    (step,) = made.ScheduledProcedureStepSequence
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == (
        "20260102", "080000",
    )  # fmt: skip
    order = desk.finds(lambda store: store.order_of("A1"))
    assert order is not None and str(order.patient) == patient
    assert desk.says(*ADD, "--patient", patient, "--procedure", "Chest").startswith("known already")
    desk.says(*ADD, "--patient", patient, "--step", "2")
    assert len({each.StudyInstanceUID for each in desk.on_list()}) == 1, "one order, one study"


def test_a_registered_number_is_nobody_elses(desk: Desk, tmp_path: Path) -> None:
    patient = desk.says(
        "patient", "add", "--family", "Müller", "--given", "Jörg", "--birth-date", "1970-01-02",
        "--gender", "male", "--identifier", "urn:clinic", "P1",
    ).strip()  # fmt: skip
    stranger = (*ADD, "--patient-id", "P1", "--name")
    for said in (("Doe^Jane",), ("Müller^Jörg", "--birth-date", "19700103")):
        assert desk.types(*stranger, *said)[0] != 0
        assert patient in desk.complaint and "Doe" not in desk.complaint
    file = tmp_path / "one.json"
    file.write_text(entry("A1", PatientID="P1").to_json())
    code, out = desk.types("worklist", "import", str(file), "--gateway", "gw-one")
    assert code == 1 and "0 added" in out and patient in out
    assert desk.on_list() == []
    # The number is another person's at another site, and names change.
    desk.says(*stranger, "Doe^Jane", "--issuer", "9.9.9")
    desk.says("worklist", "remove", "A1")
    desk.says(*stranger, "Maier^Jörg", "--birth-date", "19700102")
    desk.says(*stranger, "MUELLER^Joerg", "--step", "2")


def test_an_order_of_somebody_else(desk: Desk) -> None:
    desk.says(*ADD, "--name", "Doe^Jane", "--patient-id", "P2", "--gateway", "gw-two")
    (made,) = desk.on_list("gw-two")
    assert "SpecificCharacterSet" not in made
    head, line = desk.says("worklist", "list").splitlines()
    assert head.split()[0] == "order"
    assert line.endswith("scheduled  gw-one, gw-two")
    assert desk.types(*ADD, "--name", "Roe^Jim", "--patient-id", "P3")[0] == 1
    assert "another patient" in desk.complaint
    assert desk.says("worklist", "remove", "A1") == "1 removed\n"
    assert desk.says("worklist", "list") == "none\n"
    assert "removed" in desk.says("worklist", "list", "--all")
    assert desk.says("worklist", "remove", "A1") == "none was on a list\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--name", "Doe^Jane"), "--patient-id"),
        (("--name", "Doe^Jane", "--patient-id", "P", "--gateway", "gw-x"), "no gateway 'gw-x'"),
        (("--patient", "00000000-0000-0000-0000-000000000001"), "no patient"),
        (("--name", "D", "--patient-id", "P", "--accession", "A" * 17), "at most 16"),
        (("--name", "D", "--patient-id", "P", "--study-uid", "x"), "no UID"),
    ],
)
def test_what_does_not_fit_is_said(desk: Desk, arguments: tuple[str, ...], complaint: str) -> None:
    assert desk.types(*ADD, *arguments)[0] == 2
    assert complaint in desk.complaint
    assert desk.on_list() == []


def test_files_are_imported_once(desk: Desk, tmp_path: Path, peer: Callable[[str], Path]) -> None:
    folder = tmp_path / "orders"
    folder.mkdir()
    one = entry("A1", "Yamada^Tarou=山田^太郎")
    (folder / "one.json").write_text(one.to_json())
    (folder / "two.json").write_text(f"[{entry('A2').to_json()}, {entry('A3').to_json()}]")
    dump = folder / "four.dump"
    dump.write_text(
        """
(0008,0050) SH [A4]
(0010,0010) PN [Roe^Jim]
(0010,0020) LO [P4]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [US]
(0040,0001) AE [US1]
(0040,0002) DA [20260105]
(0040,0003) TM [0930]
(fffe,e00d) -
(fffe,e0dd) -
"""
    )
    for option, name in (("+E", "four.wl"), ("+te", "four.dcm")):
        subprocess.run(
            [peer("dump2dcm"), "-F" if option == "+E" else "+F", dump, folder / name],
            check=True, timeout=180, capture_output=True,
        )  # fmt: skip
    dump.unlink()
    (folder / "bad.json").write_text("{}")
    (folder / "worse.dcm").write_bytes(b"\0" * 200)
    code, out = desk.types("worklist", "import", str(folder), "--gateway", "gw-one")
    assert code == 1
    assert out.splitlines()[-1].startswith("4 added, ")
    assert "bad.json: AccessionNumber, PatientName, PatientID: needed" in out
    assert "worse.dcm: no DICOM file" in out
    found = {each.AccessionNumber: each for each in desk.on_list()}
    assert sorted(found) == ["A1", "A2", "A3", "A4"]
    assert str(found["A1"].PatientName) == "Yamada^Tarou=山田^太郎"
    assert found["A1"].SpecificCharacterSet == "ISO_IR 192"
    assert found["A4"].ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == "1"
    before = {name: each.StudyInstanceUID for name, each in found.items()}
    out = desk.types("worklist", "import", str(folder), "--gateway", "gw-one")[1]
    assert out.splitlines()[-1] == "0 added, 0 changed, 5 known already, 2 not taken"
    assert {each.AccessionNumber: each.StudyInstanceUID for each in desk.on_list()} == before
