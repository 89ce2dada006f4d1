"""``wardlight-cloud images`` on a real database and a folder of objects."""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest

from support.dicom_files import ct_file, sha256
from support.postgres import FreshDatabase
from support.store import SCHEMA, patient
from wardlight_cloud.cli import main
from wardlight_cloud.store.imaging import ImageQuery, Level
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.postgres import PostgresStore, open_postgres

T = TypeVar("T")
FIRST, OTHER = ct_file(AccessionNumber="A7"), ct_file(StudyDescription="other")
LATE = ct_file("5.1", study="5", series="5.5", PatientID="P9", StudyDate="20260101")


class Desk:
    """Types commands, and looks into store and folder."""

    def __init__(self, folder: Path, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.objects = FolderObjects(folder / "wardlight-data" / "objects")
        self._config = folder / "cloud.toml"
        self._config.write_text(f'[database]\ndsn = "{dsn}"\n', encoding="utf-8")
        self._dsn = dsn
        self._capsys = capsys
        self.complaint = ""

    def add_settings(self, text: str) -> None:
        self._config.write_text(self._config.read_text() + text, encoding="utf-8")

    def types(self, *arguments: str) -> tuple[int, str]:
        code = main(["images", *arguments, "--config", str(self._config)])
        out, self.complaint = self._capsys.readouterr()
        return code, out

    def says(self, *arguments: str) -> str:
        code, out = self.types(*arguments)
        assert code == 0, self.complaint
        return out

    def finds(self, look: Callable[[PostgresStore], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            store = await open_postgres(self._dsn, pool_size=1)
            try:
                return await look(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def keeps(self, *files: bytes) -> None:
        async def run() -> None:
            async with self.objects as objects:
                for octets in files:
                    await objects.put(sha256(octets), octets)

        asyncio.run(run())


@pytest.fixture
def dsn(postgres_server: Any) -> Iterator[str]:
    fresh = FreshDatabase(postgres_server, [])
    yield asyncio.run(fresh(SCHEMA))
    for name in fresh.names:
        asyncio.run(postgres_server.drop(name))


@pytest.fixture
def desk(tmp_path: Path, dsn: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield Desk(tmp_path, dsn, capsys)
    root.setLevel(level)
    root.handlers[:] = handlers


def test_images_from_the_folder_to_the_patient_and_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One desk for all commands, since each opens a store and some a process."""
    assert "none" in desk.says("list")
    desk.keeps(FIRST, LATE, b"no file")
    assert "3 objects: 2 put on the index, 0 known" in desk.says("rebuild")
    told = desk.says("list")
    assert [line.split()[0] for line in told.splitlines()] == ["study", "5", "1.2.3"]
    assert "1.2.3" not in desk.says("list", "--since", "20260101")
    assert "A7" in desk.says("list", "--accession", "A7")
    assert re.search(r"1\.2\.3\.1 +1 +\d+", desk.says("show", "1.2.3"))
    assert desk.types("show", "9.9")[0] == 1
    assert "no such study" in desk.complaint

    waiting = desk.says("reconcile", "list")
    assert "P9" in waiting
    assert "no-issuer" in waiting
    assert "images.gateway_issuers" in waiting
    one = desk.finds(lambda store: store.put_patient(patient()))
    desk.says("reconcile", "assign", "5", str(one.patient_id), "--by", "op")
    assert "P9" not in desk.says("reconcile", "list")
    assert str(one.patient_id) in desk.says("list", "--patient", str(one.patient_id))
    assert desk.types("reconcile", "assign", "5", str(UUID(int=1)), "--by", "op")[0] == 1

    desk.keeps(OTHER)
    assert "1 versions of others" in desk.says("rebuild")
    assert sha256(OTHER).hex() in desk.says("versions")
    chosen = desk.says(
        "versions", "1.2.3.1.1", "--show", sha256(OTHER).hex(), "--by", "op", "--reason", "better"
    )
    (line,) = [line for line in chosen.splitlines() if sha256(OTHER).hex() in line]
    assert " yes " in line
    assert "5 objects" not in desk.says("rebuild", "--all")
    ref = desk.finds(lambda store: store.instance("1.2.3.1.1"))
    assert ref is not None
    assert ref.sha256 == sha256(OTHER)

    desk.says("hold", "5", "--reason", "court", "--by", "op")
    assert "held: by op" in desk.says("show", "5")
    desk.add_settings("[[images.keep]]\ndays = 1\n")
    assert "none" in desk.says("retention")  # nothing is that old
    desk.says("release", "5", "--by", "op")
    assert desk.types("release", "5", "--by", "op")[0] == 1

    code, told = desk.types("scrub", "--now")
    assert code == 0, "what came a moment ago may be on its way to the index"
    monkeypatch.setattr("wardlight_cloud.imaging.scrub._IN_FLIGHT", timedelta())
    code, told = desk.types("scrub", "--now")
    assert code == 1  # what is no instance is on no index
    assert sha256(b"no file").hex() in told
    assert "unindexed" in told
    desk.finds(lambda store: store.note_replaced(sha256(b"no file"), "hot"))
    code, told = desk.types("scrub", "--ended")
    assert code == 0
    assert "replaced" in told


def test_retention_removes_what_is_due(desk: Desk, dsn: str) -> None:
    desk.keeps(FIRST)
    desk.says("rebuild")
    desk.add_settings("[[images.keep]]\ndays = 1\n")

    async def age(store: PostgresStore) -> None:
        async with store._connections.acquire() as connection:
            await connection.execute("UPDATE image_study_state SET updated_at = '2020-01-01'")
            await connection.execute("UPDATE commit_log SET stored_at = '2020-01-01'")

    desk.finds(age)
    assert "1.2.3" in desk.says("retention")
    assert "removed" in desk.says("retention", "--apply")
    assert desk.finds(lambda store: store.images(ImageQuery(Level.STUDY))) == ()
    assert not list((desk.objects._files.folder / "sha256").rglob("?" * 64))


@pytest.mark.parametrize("arguments", [("versions", "--show", "12"), ("hold", "1.2"), ("nothing",)])
def test_wrong_usage_is_told(desk: Desk, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        desk.types(*arguments)
    assert ended.value.code == 2
