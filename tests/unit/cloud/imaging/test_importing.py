"""What an import would do is what it does: files of the folder count for each other."""

import gzip
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.image_rows import instance
from support.memory_objects import MemoryObjects
from wardlight_cloud.imaging.custody import Held
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.folder import FoundFile, files_of
from wardlight_cloud.imaging.importing import Importer
from wardlight_cloud.store.image_arrivals import InstanceHeader, KnownFile, Source
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.errors import StorageError


class Nothing:
    """An index without images, and headers that say the UID of the file's first word."""

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        return None

    async def file_known(self, sha256: bytes) -> KnownFile | None:
        return None

    async def read(self, path: Path) -> InstanceHeader:
        return instance(path.read_text().split()[0]).header  # noqa: ASYNC240 - a small file


async def test_a_dry_run_knows_the_files_that_it_has_seen(tmp_path: Path) -> None:
    texts = ("1.1 a", "1.1 a", "1.1 b", "1.1 b", "1.2 a")
    nothing: Any = Nothing()
    importer = Importer(
        nothing, MemoryObjects(), nothing, nothing,
        data_dir=tmp_path, largest_bytes=1000, is_dry=True,
    )  # fmt: skip
    for number, text in enumerate(texts):
        path = tmp_path / str(number)
        path.write_text(text)
        await importer.take(FoundFile(path, len(text)), Source("import"))
    assert importer.report.counts == {"new": 2, "known": 2, "conflict": 1}


def dry(folder: Path, headers: Any) -> Importer:
    nothing: Any = Nothing()
    return Importer(
        nothing, MemoryObjects(), headers, nothing,
        data_dir=folder, largest_bytes=10_000, is_dry=True,
    )  # fmt: skip


def rejects(importer: Importer) -> dict[str, str]:
    return {file.path.name: reason for file, reason in importer.report.rejects}


async def test_a_file_that_grows_is_left_for_the_next_import(tmp_path: Path) -> None:
    """Its size was judged, and would stand on the index."""
    importer = dry(tmp_path, Nothing())
    (tmp_path / "grows").write_text("1.1 and more")
    await importer.take(FoundFile(tmp_path / "grows", 3), Source("import"))
    assert rejects(importer)["grows"].startswith("changed: the file changed while it was read")


async def test_a_file_that_goes_away_does_not_end_the_import(tmp_path: Path) -> None:
    class Away(Nothing):
        async def read(self, path: Path) -> InstanceHeader:
            if path.name == "gone":
                path.unlink()  # noqa: ASYNC240 - a small file
            raise StorageError("the file cannot be read")

    importer = dry(tmp_path, Away())
    for name in ("gone", "here"):
        (tmp_path / name).write_text("1.1")
    await importer.take(FoundFile(tmp_path / "gone", 3), Source("import"))
    assert rejects(importer) == {"gone": "cannot be read (No such file or directory)"}
    with pytest.raises(StorageError):
        await importer.take(FoundFile(tmp_path / "here", 3), Source("import"))


async def test_archives_are_not_opened_and_said(tmp_path: Path) -> None:
    class Unread(Nothing):
        async def read(self, path: Path) -> InstanceHeader:
            if path.name == "cut.dcm":
                raise HeaderError("cut", "the file ends early")
            raise HeaderError("preamble", "no DICOM file")

    (tmp_path / "junk").write_text("PK")
    (tmp_path / "cut.dcm").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty").touch()
    with zipfile.ZipFile(tmp_path / "cd.zip", "w") as archive:
        archive.writestr("a.dcm", "1.1")
    with tarfile.open(tmp_path / "large.tar", "w") as tape:
        tape.add(tmp_path / "junk")
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(b"1.1"))
    importer = dry(tmp_path, Unread())
    await importer.take_all(files_of(tmp_path), Source("import"))
    found = rejects(importer)
    assert found.pop("junk") == "preamble: no DICOM file"
    assert found.pop("empty") == "an empty file"
    assert found.pop("cut.dcm") == "cut: the file ends early"
    assert {name: reason.split(":")[0] for name, reason in found.items()} == {
        "cd.zip": "an archive (zip) is not opened",
        "large.tar": "an archive (tar) is not opened",
        "a.dcm.gz": "an archive (gzip) is not opened",
    }


@pytest.mark.parametrize("broken", ["shutil.copyfile", "tempfile.TemporaryDirectory"])
async def test_a_full_disk_of_ours_is_no_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Every large file would be one, and the import would seem to have come to its end."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    class Absent(Nothing):
        async def held(self, sha256: bytes, size: int) -> Held:
            return Held.ABSENT

    absent: Any = Absent()
    absent.custody = absent
    importer = Importer(
        absent, MemoryObjects(), absent, absent,
        data_dir=tmp_path / "data", largest_bytes=1 << 30, is_dry=False,
    )  # fmt: skip
    (tmp_path / "large").write_text("1.1 " + " " * (4 << 20))
    monkeypatch.setattr(f"wardlight_cloud.imaging.importing.{broken}", full)
    with pytest.raises(StorageError, match=r"importing: cannot be written \(No space left"):
        await importer.take(FoundFile(tmp_path / "large", (4 << 20) + 4), Source("import"))
    assert importer.report.files == 0


@pytest.mark.parametrize(
    ("octets", "is_data_set"),
    [
        (b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100", True),  # implicit
        (b"\x08\0\x00\0UL\x04\0\x10\0\0\0", True),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100", True),  # big endian
        (b"\x02\0\0\0UL\x04\0\x10\0\0\0", True),  # a head without its preamble
        (b"\x08\0\x05", False),
        (b"\x08\0\x05\0\xff\xff\xff\xff", False),
        (b"\0\x05\x16\x07\0\x02\0\0", False),  # what macOS leaves beside files
        (b"\0" * 200, False),
        (b"MZ\x90\0\x03\0\0\0", False),
    ],
)
async def test_data_sets_without_a_head_are_told_apart(
    tmp_path: Path, octets: bytes, is_data_set: bool
) -> None:
    class NoPreamble(Nothing):
        async def read(self, path: Path) -> InstanceHeader:
            raise HeaderError("preamble", "no DICOM file")

    (tmp_path / "a").write_bytes(octets)
    importer = dry(tmp_path, NoPreamble())
    await importer.take_all(files_of(tmp_path), Source("import"))
    assert ("`dcmconv`" in rejects(importer)["a"]) == is_data_set


def test_what_cannot_be_read_of_a_folder_does_not_hide_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder, or a file of a damaged disc; root reads all, so the system calls refuse here."""
    for name in ("a/1", "b/2", "c/3", "c/4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    read = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return read(path)

    def judged(path: Path, entry: os.DirEntry[str]) -> FoundFile:
        if path.name == "3":
            raise OSError(5, "Input/output error")
        return FoundFile(path)

    monkeypatch.setattr("wardlight_cloud.imaging.folder.os.scandir", scandir)
    monkeypatch.setattr("wardlight_cloud.imaging.folder._file", judged)
    assert [(each.path.name, each.skipped) for each in files_of(tmp_path)] == [
        ("1", None),
        ("b", "cannot be read (Permission denied)"),
        ("3", "cannot be read (Input/output error)"),
        ("4", None),
    ]
