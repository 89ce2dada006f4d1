"""`wardlight-cloud import dicom` and `export`, with pydicom's files, dcmtk's tools and a PACS."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pydicom.data
import pytest
from pydicom.fileset import FileSet

from support.dicom_files import bundled, dataset_of, octets_of
from support.dicom_process import LOOPBACK, ran
from support.import_box import Box, counts, empty_box
from support.peers import require_peer
from support.ports import free_port, is_listening
from support.postgres import FreshDatabase
from support.waiting import wait_until
from wardlight_cloud.config import load
from wardlight_cloud.store.blobs_aside import AsideBlob
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.open import open_store

BUNDLED = Path(pydicom.data.__file__).parent / "test_files"
FILES = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "test-SR.dcm", "waveform_ecg.dcm",
         "rtplan.dcm", "examples_ybr_color.dcm")  # fmt: skip


TREE = 31  # instances that pydicom's DICOMDIR names


def below(folder: Path) -> Iterator[Path]:
    """Files of a tree."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


async def test_a_folder_is_taken_once(box: Box, tmp_path: Path) -> None:
    """A DICOMDIR tree, files without suffix, broken ones, and traps."""
    folder = tmp_path / "given"
    shutil.copytree(BUNDLED / "dicomdirtests", folder / "DISK")
    for name in (*FILES, "no_meta.dcm", "rtplan_truncated.dcm", "meta_missing_tsyntax.dcm"):
        (folder / name.removesuffix(".dcm")).write_bytes((BUNDLED / name).read_bytes())
    (folder / "notes").write_bytes(b"These are no images.")
    (folder / "empty").touch()
    (folder / "loop").symlink_to(folder)
    (folder / "secrets").symlink_to("/etc/passwd")
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in below(folder)}
    dry = await box.run("import", "dicom", str(folder), "--dry-run")
    assert dry.code == 1, dry.text
    assert "would be:" in dry.text
    first = await box.run("import", "dicom", str(folder))
    assert first.code == 1, first.text
    new, _, _, rejected = counts(first.text)
    assert new >= len(FILES) + TREE
    for name, reason in (
        ("notes", "preamble"), ("empty", "an empty file"), ("loop", "symbolic link"),
        ("secrets", "symbolic link"),
    ):  # fmt: skip
        assert re.search(rf"rejected +\S*/{name}  .*{reason}", first.text), (name, first.text)
    again = await box.run("import", "dicom", str(folder))
    assert counts(again.text)[0] == 0
    assert counts(again.text)[3] == rejected
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in below(folder)} == before


async def test_all_that_is_rejected_is_listed(box: Box, tmp_path: Path) -> None:
    """Those that are not shown, too; the status says that there are some."""
    folder, listed = tmp_path / "given", tmp_path / "list"
    folder.mkdir()
    for number in range(130):
        (folder / f"junk{number:03d}").write_bytes(b"These are no images.")
    (folder / "M\tller").write_bytes(bundled("CT_small.dcm"))
    told = await box.run("import", "dicom", str(folder), "--rejects", str(listed))
    assert (told.code, counts(told.text)) == (1, (1, 0, 0, 130))
    assert told.text.count("rejected  ") == 100
    assert "--rejects FILE lists all" in told.text
    lines = listed.read_text().splitlines()
    assert [re.findall(r"junk\d+", line) for line in sorted(lines)] == [
        [f"junk{number:03d}"] for number in range(130)
    ]
    assert all(re.search(r"^rejected  \S+  preamble: ", line) for line in lines)
    assert listed.stat().st_mode & 0o777 == 0o600
    clean = await box.run("import", "dicom", str(folder / "M\tller"), "--rejects", str(listed))
    assert (clean.code, listed.read_text()) == (0, "")
    refused = await box.run("import", "dicom", str(folder), "--rejects", str(folder / "no" / "x"))
    assert refused.code == 2
    assert "cannot be written" in refused.text


async def test_names_that_are_no_text_are_names(box: Box, tmp_path: Path) -> None:
    """As discs have them that were written in Latin-1, and worse ones."""
    folder = tmp_path / "given"
    disc = folder / os.fsdecode(b"K\xf6ln")
    folder.mkdir()
    disc.mkdir()
    (disc / os.fsdecode(b"M\xfcller.dcm")).write_bytes(bundled("CT_small.dcm"))
    (disc / os.fsdecode(b"junk\xff\n\x1b[2J")).write_bytes(b"These are no images.")
    (folder / "last").write_bytes(bundled("MR_small.dcm"))
    for more in (("--dry-run",), ()):
        told = await box.run("import", "dicom", str(folder), *more)
        assert counts(told.text) == (2, 0, 0, 1), told.text
        assert r"K\xf6ln/junk\xff\n\x1b[2J  preamble" in told.text
    odd = dataset_of(bundled("CT_small.dcm"))
    odd.InstanceNumber = 99
    (disc / os.fsdecode(b"other\xfc")).write_bytes(octets_of(odd))
    told = await box.run("import", "dicom", str(folder))
    assert r"K\xf6ln/other\xfc  another file has its SOP Instance UID" in told.text


async def test_an_export_is_a_file_set(box: Box, tmp_path: Path) -> None:
    given, target = tmp_path / "given", tmp_path / "target"
    given.mkdir()
    for name in FILES:
        (given / name).write_bytes(bundled(name))
    assert counts((await box.run("import", "dicom", str(given))).text)[0] == len(FILES)
    told = await box.run("export", "--all", "--to", str(target))
    assert told.code == 0, told.text
    assert f"{len(FILES)} files written" in told.text
    files = [path for path in below(target) if path.name != "DICOMDIR"]
    assert {path.read_bytes() for path in files} == {bundled(name) for name in FILES}
    for path in files:
        for component in path.relative_to(target).parts:
            assert re.fullmatch(r"[A-Z0-9_]{1,8}", component)
    dumped = await ran("dcmdump", str(target / "DICOMDIR"))
    assert dumped.code == 0, dumped.text
    for kind in ("PATIENT", "STUDY", "SERIES", "IMAGE", "SR DOCUMENT", "WAVEFORM", "RT PLAN"):
        assert f"[{kind}" in dumped.text, kind
    checked = await ran("dcmftest", *map(str, files), str(target / "DICOMDIR"))
    assert checked.code == 0, checked.text
    uids = {str(dataset_of(bundled(name)).SOPInstanceUID) for name in FILES}
    found = FileSet(target / "DICOMDIR")
    assert {str(each.SOPInstanceUID) for each in found} == uids
    # pydicom leaves its folder to the garbage collector, which warns.
    found._stage["t"].cleanup()
    plain = [path for path in files if path.read_bytes() in (bundled(FILES[0]), bundled(FILES[1]))]
    names = [str(path.relative_to(target)) for path in plain]
    made = await ran("dcmmkdir", "+I", "+D", "OWN", *names, cwd=target)
    assert made.code == 0, made.text  # dcmtk, too, takes files of these names into a directory
    (target / "OWN").unlink()
    files[0].write_bytes(b"damaged")
    refused = await box.run("export", "--all", "--to", str(target))
    assert refused.code == 2
    assert "not empty; give --update" in refused.text
    again = await box.run("export", "--all", "--to", str(target), "--update")
    assert "1 files written" in again.text
    assert f"{len(FILES) - 1} were there" in again.text
    assert counts((await box.run("import", "dicom", str(target / "DICOMDIR"))).text)[:3] == (
        0, len(FILES), 0,
    )  # fmt: skip


async def test_everything_comes_to_the_next_archive(
    box: Box,
    fresh_database: FreshDatabase,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Files of one SOP Instance UID too, and the one that is shown is shown there."""
    given, target, next_folder = (tmp_path / each for each in ("given", "target", "next"))
    given.mkdir()
    next_folder.mkdir()
    original, others = bundled("CT_small.dcm"), []
    (given / "a").write_bytes(original)
    assert counts((await box.run("import", "dicom", str(given))).text) == (1, 0, 0, 0)
    for number in range(3):
        other = dataset_of(original)
        other.InstanceNumber = 50 + number
        others.append(octets_of(other))
        (given / f"b{number}").write_bytes(others[-1])
    assert counts((await box.run("import", "dicom", str(given))).text) == (0, 1, 3, 0)
    told = await box.run("export", "--all", "--to", str(target))
    assert told.code == 0, told.text
    assert "3 of the files share their SOP Instance UID" in told.text
    assert {path.read_bytes() for path in below(target / "VERSIONS")} == set(others)
    part = await box.run(
        "export", "--study", dataset_of(original).StudyInstanceUID, "--to", str(tmp_path / "one")
    )
    assert "3 files that share their SOP Instance UID with one that is shown are left out" in (
        part.text
    )
    following = await empty_box(fresh_database, next_folder, capsys)
    assert counts((await following.run("import", "dicom", str(target))).text) == (1, 0, 3, 0)
    store = await open_store(load(following.config))
    versions = await store.versions()
    await store.close()
    assert {each.sha256 for each in versions if each.is_shown} == {
        hashlib.sha256(original).digest()
    }
    assert {each.sha256 for each in versions if not each.is_shown} == {
        hashlib.sha256(each).digest() for each in others
    }


async def test_files_without_an_issuer_are_told(box: Box, tmp_path: Path) -> None:
    with box.config.open("a") as config:
        config.write('issuer = "http://ours"\n')
    given = tmp_path / "given"
    given.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        (given / name).write_bytes(bundled(name))
    told = "2 files do not say who gave out their patient number"
    for more, is_told in ((("--dry-run",), True), (("--dry-run", "--issuer", "http://ours"), False),
                          ((), True), ((), False)):  # fmt: skip
        said = await box.run("import", "dicom", str(given), *more)
        assert (told in said.text) == is_told, said.text
    late = "2 files were stored already, and --issuer says nothing of those"
    said = await box.run("import", "dicom", str(given), "--issuer", "http://ours")
    assert late in said.text, said.text
    store = await open_store(load(box.config))
    assert {each.why for each in await store.unmatched()} == {"no-issuer"}
    await store.close()


async def test_an_import_says_whose_numbers_they_are(box: Box, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(bundled("CT_small.dcm"))
    await box.run("import", "dicom", str(path), "--issuer", "http://theirs")
    store = await open_store(load(box.config))
    assert [(each.why, each.given_by) for each in await store.unmatched()] == [
        ("unknown", "http://theirs")
    ]
    await store.close()


async def test_what_is_set_aside_is_told(box: Box, tmp_path: Path) -> None:
    store = await open_store(load(box.config))
    await store.put_blob_aside(AsideBlob(bytes(32), 7, "preamble", Source("gateway", "gw-1", 1, 2)))
    await store.close()
    told = await box.run("export", "--all", "--to", str(tmp_path / "target"))
    assert "1 files from gateways are set aside" in told.text
    assert "`blobs aside` lists them" in told.text


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom, when refused
async def test_a_pacs_is_taken_study_by_study(box: Box, tmp_path: Path) -> None:
    """By C-GET where the PACS has it."""
    async with pacs(tmp_path) as port:
        await fill(port, tmp_path)
        source = f"ae://ARCHIVE@{LOOPBACK}:{port}"
        first = await box.run("import", "dicom", source, "--calling", "IMPORTER")
        assert first.code == 0, first.text
        assert counts(first.text) == (len(OF_PACS), 0, 0, 0)
        again = await box.run("import", "dicom", source, "--calling", "IMPORTER")
        assert counts(again.text) == (0, len(OF_PACS), 0, 0)
    refused = await box.run("import", "dicom", source)
    assert refused.code == 1
    assert "does not answer" in refused.text


async def test_a_pacs_that_has_c_move_alone(box: Box, tmp_path: Path) -> None:
    """It is a node of the list, and calls us; a dry run tells what would come, and stores none."""
    ours = free_port()
    store = await open_store(load(box.config))
    async with pacs(tmp_path, "--disable-get", importer=ours) as port:
        await fill(port, tmp_path)
        await store.put_node(DicomNode("ARCHIVE", LOOPBACK, port, rights=()))
        asked = ("import", "dicom", "ae://ARCHIVE", "--calling", "IMPORTER", "--port", str(ours))
        dry = await box.run(*asked, "--dry-run", "--date", "20040119")
        uid = dataset_of(bundled("CT_small.dcm")).StudyInstanceUID
        assert f"study  {uid}  20040119  -  1 instances would come, 0 here" in dry.text
        assert counts(dry.text) == (1, 0, 0, 0)
        first = await box.run(*asked)
        assert first.code == 0, first.text
        assert counts(first.text) == (len(OF_PACS), 0, 0, 0)
        again = await box.run(*asked)
        assert counts(again.text) == (0, len(OF_PACS), 0, 0)
    for name in OF_PACS:
        sent = dataset_of(bundled(name))
        ref = await store.instance(sent.SOPInstanceUID)
        assert ref is not None
        assert ref.transfer_syntax == sent.file_meta.TransferSyntaxUID
    await store.close()


async def test_a_pacs_that_does_not_know_us(box: Box, tmp_path: Path) -> None:
    async with pacs(tmp_path, "--disable-get") as port:
        await fill(port, tmp_path)
        source = f"ae://ARCHIVE@{LOOPBACK}:{port}"
        told = await box.run("import", "dicom", source, "--calling", "IMPORTER", "--port", "0")
    assert told.code == 1
    assert "ARCHIVE does not know where IMPORTER is" in told.text


OF_PACS = ("CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm")


async def fill(port: int, folder: Path) -> None:
    """Send the PACS its files."""
    for name in OF_PACS:
        path = folder / name
        path.write_bytes(bundled(name))
        syntax = "-xy" if name.startswith("examples") else "-x="
        sent = await ran("storescu", syntax, "-aec", "ARCHIVE", LOOPBACK, str(port), str(path))
        assert sent.code == 0, sent.text


@asynccontextmanager
async def pacs(folder: Path, *options: str, importer: int | None = None) -> AsyncIterator[int]:
    """dcmtk's dcmqrscp with an empty archive; ``importer``: the port of the AE IMPORTER."""
    port, store = free_port(), folder / "archive"
    store.mkdir()
    config = folder / "dcmqrscp.cfg"
    hosts = "" if importer is None else f"ours = (IMPORTER, {LOOPBACK}, {importer})\n"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 65536\nMaxAssociations = 8\n"
        f"HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {store} RW (200, 1024mb) ANY\nAETable END\n"
    )
    process = await asyncio.create_subprocess_exec(
        require_peer("dcmqrscp"), "-c", str(config), "+xy", "-xy", *options,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await wait_until(lambda: is_listening(port))
        yield port
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 180)
