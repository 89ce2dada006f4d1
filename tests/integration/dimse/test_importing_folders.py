"""What `wardlight-cloud import dicom` makes of a folder, and `export`, as a user is told it."""

import asyncio
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from support.dicom_files import bundled, dataset_of, octets_of
from support.import_box import Box, counts
from wardlight_cloud.config import load
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.forwarding import DicomNode, ForwardRule, ForwardTarget
from wardlight_cloud.store.open import open_store


async def test_what_is_of_a_pacs_takes_no_folder(box: Box, tmp_path: Path) -> None:
    """Who names a year does not want all of it, and an empty name is not the current folder."""
    (tmp_path / "one").write_bytes(bundled("CT_small.dcm"))
    for more in (("--date", "20240101-"), ("--by", "get"), ("--calling", "A"), ("--port", "104")):
        told = await box.run("import", "dicom", str(tmp_path / "one"), *more)
        assert (told.code, f"{more[0]}: only of a PACS" in told.text) == (2, True), told.text
    told = await box.run("import", "dicom", "", "--dry-run")
    assert (told.code, "SOURCE is empty" in told.text) == (2, True), told.text


async def test_sources_that_are_nothing_to_read(box: Box, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    told = await box.run("import", "dicom", str(tmp_path / "pipe"))
    assert (told.code, counts(told.text)) == (1, (0, 0, 0, 1))
    assert "pipe  neither a file nor a folder" in told.text
    told = await box.run("import", "dicom", str(tmp_path / "DICOMDIR"))
    assert (told.code, "DICOMDIR: cannot be read" in told.text) == (2, True), told.text


async def test_a_dry_run_knows_what_is_stored(box: Box, tmp_path: Path) -> None:
    """What is shown, and what is kept beside it."""
    given = tmp_path / "given"
    given.mkdir()
    other = dataset_of(bundled("CT_small.dcm"))
    other.InstanceNumber = 99
    (given / "a").write_bytes(bundled("CT_small.dcm"))
    (given / "b").write_bytes(octets_of(other))
    assert counts((await box.run("import", "dicom", str(given))).text) == (1, 0, 1, 0)
    for more in (("--dry-run",), ()):
        told = await box.run("import", "dicom", str(given), *more)
        assert (told.code, counts(told.text)) == (0, (0, 2, 0, 0)), told.text
        assert " 0 bytes" in told.text


async def test_lists_can_be_compared(box: Box, tmp_path: Path) -> None:
    """In the order of the names, whichever was done first; of many, how many for which reason."""
    given, listed = tmp_path / "given", tmp_path / "list"
    given.mkdir()
    for number in range(60):
        (given / f"a{number:02d}").write_bytes(b"These are no images." * (1 + 9999 * (number % 2)))
        (given / f"b{number:02d}").touch()
    told = await box.run("import", "dicom", str(given), "--rejects", str(listed))
    names = [Path(line.split("  ")[1]).name for line in listed.read_text().splitlines()]
    assert names == sorted(names)
    assert len(names) == 120
    assert "\n60 rejected: an empty file\n" in told.text
    assert "\n60 rejected: preamble: " in told.text


async def test_an_export_of_a_patient_tells_what_a_disc_would_hide(
    box: Box, tmp_path: Path
) -> None:
    """No images that look as if they were all, and files that name somebody else."""
    nobody = str(UUID(int=7))
    told = await box.run("export", "--patient", nobody, "--to", str(tmp_path / "out"))
    assert (told.code, f"there is no patient {nobody}" in told.text) == (2, True), told.text
    store = await open_store(load(box.config))
    patient = UUID(int=8)
    ids = (("NORTH", "7"),)
    await store.put_patient(
        Patient(patient, "Almeida", "Rosa", None, "female", ids, 0, datetime.now(UTC))
    )
    told = await box.run("export", "--patient", str(patient), "--to", str(tmp_path / "out"))
    assert (told.code, f"absent  {patient}  no study is on record" in told.text) == (1, True)
    (tmp_path / "one").write_bytes(bundled("CT_small.dcm"))
    await box.run("import", "dicom", str(tmp_path / "one"))
    study = str(dataset_of(bundled("CT_small.dcm")).StudyInstanceUID)
    await store.assign_study(study, patient, by="anna")
    await store.close()
    told = await box.run("export", "--patient", str(patient), "--to", str(tmp_path / "disc"))
    assert told.code == 0
    assert f"differs  {study}  its files say another name, number than the register" in told.text


async def test_root_stores_nothing_among_the_objects_of_another_user(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The services could not read it, nor store beside it."""
    (tmp_path / "one").write_bytes(bundled("CT_small.dcm"))
    objects = tmp_path / "data" / "objects" / "sha256"
    objects.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(objects, 4242, -1)
    owner = objects.stat().st_uid
    monkeypatch.setattr("wardlight_cloud.cli.importing.os.geteuid", lambda: 0)
    told = await box.run("import", "dicom", str(tmp_path / "one"))
    assert (told.code, f"as user {owner}, who could not read" in told.text) == (2, True), told.text
    assert not list(objects.iterdir())
    told = await box.run("import", "dicom", str(tmp_path / "one"), "--dry-run")
    assert told.code == 0
    monkeypatch.setattr("wardlight_cloud.cli.importing.os.geteuid", lambda: owner)
    told = await box.run("import", "dicom", str(tmp_path / "one"))
    assert (told.code, counts(told.text)) == (0, (1, 0, 0, 0)), told.text


async def test_an_export_that_cannot_go_on_says_how(box: Box, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bundled("CT_small.dcm"))
    await box.run("import", "dicom", str(tmp_path / "one"))
    target = tmp_path / "out"
    assert (await box.run("export", "--all", "--to", str(target))).code == 0
    (patient,) = target.glob("P*")
    shutil.rmtree(patient)
    patient.touch()
    told = await box.run("export", "--all", "--to", str(target), "--update")
    assert told.code == 2
    assert "what is there is whole, --update goes on with it" in told.text


async def test_whoever_has_seen_enough_ends_no_command_with_a_traceback(
    box: Box, tmp_path: Path
) -> None:
    (tmp_path / "given").mkdir()
    for number in range(99):  # more than is written at one time
        (tmp_path / "given" / f"{number:0200d}").touch()
    command = "wardlight_cloud import dicom given --dry-run --config"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f'"$0" -m {command} "$1" | true', sys.executable, str(box.config),
        stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    _, complaint = await process.communicate()
    assert b"Traceback" not in complaint, complaint.decode()


async def test_rules_that_forward_what_is_imported_are_named(box: Box, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bundled("CT_small.dcm"))
    asked = ("import", "dicom", str(tmp_path / "one"), "--dry-run")
    assert "Forwarding rules" not in (await box.run(*asked)).text
    store = await open_store(load(box.config))
    await store.put_node(DicomNode("ARCHIVE", "192.0.2.1", 104))
    to = ForwardTarget("ARCHIVE")
    for kind in (("all", ""), ("source", "ARCHIVE")):
        await store.put_rule(ForwardRule(f"of-{kind[0]}", *kind, to))
    await store.close()
    told = await box.run(*asked)
    assert "where it fits: of-all (to ARCHIVE); see" in told.text, told.text
    told = await box.run("import", "dicom", "ae://ARCHIVE@nowhere.invalid:104")
    assert "where it fits: of-all (to ARCHIVE), of-source (to ARCHIVE); see" in told.text
