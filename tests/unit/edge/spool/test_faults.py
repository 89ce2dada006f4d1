"""A disk that fails: what SQLite says of it, what is refused, and what is found again."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from support.dicom_wire import CT, EXPLICIT, Wire, context, data, instance, pdv, store
from support.edge_settings import settings_for
from support.imaging_gateway import KEY
from support.imaging_process import DEFAULTS
from wardlight_edge.dicom.process import serving
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool import faults
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.commitments import Asker, CommitmentTable, Reference
from wardlight_edge.spool.database import Database, mark_of
from wardlight_edge.spool.faults import SpoolDamaged, SpoolUnreadable
from wardlight_edge.spool.opening import open_receiving
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.setting_aside import databases_aside
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import StorageError

PATH = Path("spool.sqlite")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CORRUPT", SpoolDamaged), ("CORRUPT_INDEX", SpoolDamaged), ("NOTADB", SpoolDamaged),
        ("FORMAT", SpoolDamaged), ("IOERR_SHORT_READ", SpoolDamaged), ("IOERR_DATA", SpoolDamaged),
        ("IOERR_READ", SpoolUnreadable), ("IOERR_CORRUPTFS", SpoolUnreadable),
        ("FULL", SpoolFull), ("IOERR_WRITE", StorageError), ("IOERR_FSYNC", StorageError),
        ("IOERR", StorageError), ("BUSY", StorageError), ("CANTOPEN", StorageError),
        ("READONLY", StorageError), ("ERROR", StorageError),
    ],
)  # fmt: skip
def test_what_an_error_of_sqlite_means(name: str, meant: type[StorageError]) -> None:
    """Nothing is set aside for a disk that does not write."""
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    assert type(faults.meaning(PATH, error)) is meant
    assert type(faults.meaning(PATH, sqlite3.ProgrammingError("closed"))) is StorageError
    no_table = sqlite3.OperationalError("no such table: item")
    no_table.sqlite_errorcode = sqlite3.SQLITE_ERROR
    assert type(faults.meaning(PATH, no_table)) is SpoolDamaged, "a file that was emptied"


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("Tree 4 page 7: unable to get the page. error code=266", SpoolUnreadable),
        ("Tree 4 page 7: unable to get the page. error code=8458", SpoolUnreadable),
        ("Tree 4 page 7: unable to get the page. error code=522", SpoolDamaged),
        ("Tree 4 page 7: unable to get the page. error code=10", SpoolDamaged),
        ("row 3 missing from index item_key", SpoolDamaged),
    ],
)
def test_what_a_check_of_sqlite_says(told: str, meant: type[StorageError]) -> None:
    assert type(faults.verdict(PATH, told)) is meant


@contextmanager
def _without_reads(path: Path) -> Iterator[None]:
    """Reads of a file that this process has open fail."""
    named = [each for each in Path("/proc/self/fd").iterdir() if each.resolve() == path]
    files = [int(each.name) for each in named]
    assert files
    true = [os.dup(each) for each in files]
    failing = os.open(path, os.O_WRONLY)
    try:
        for each in files:
            os.dup2(failing, each, inheritable=False)
        yield
    finally:
        for each, was in zip(files, true, strict=True):
            os.dup2(was, each, inheritable=False)
            os.close(was)
        os.close(failing)


def test_a_page_that_the_disk_does_not_give_is_refused_and_then_looked_at_anew(
    tmp_path: Path,
) -> None:
    """Once may be a cable; where it comes again, somebody has to look at all of it."""
    path = tmp_path / "spool.sqlite"
    with Database(path) as database:
        database.write(lambda changes: changes.execute("INSERT INTO usage VALUES (x'01', 7)"))
        assert database.value("SELECT disk_bytes FROM usage") == 7
        database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for connection in (database._writer, database._reader):
            connection.execute("PRAGMA cache_size = 0")
            connection.execute("PRAGMA shrink_memory")
        with _without_reads(path):
            for number in range(3):
                assert mark_of(path).exists() == (number >= 3)
                with pytest.raises(SpoolUnreadable):
                    database.value("SELECT disk_bytes FROM usage")
            assert mark_of(path).exists()
        assert database.value("SELECT disk_bytes FROM usage") == 7


@contextmanager
def _receiving(folder: Path) -> Iterator[SqliteReceivingSpool]:
    with open_receiving(folder, KEY, DicomSettings(min_free_bytes=0)) as spool:
        yield spool


def _filled(folder: Path) -> Path:
    with _receiving(folder) as spool:
        incoming = spool.begin(BlobKind.INSTANCE, "1.1")
        incoming.write(b"abc")
        incoming.accept({"sop_instance": "1.1"})
        asker = Asker("1.3", "CT1", "W", "192.0.2.1")
        table = CommitmentTable(spool.database, spool.sealer)
        table.put(asker, [Reference("1.9", "1.1")], received_ms=1, now_ms=0)
    return folder / "dicom" / "spool.sqlite"


def _held(spool: SqliteReceivingSpool) -> tuple[list[str], int]:
    states = [each.state.value for each in spool.find("1.1")]
    return states, len(CommitmentTable(spool.database, spool.sealer).due(1 << 60))


@pytest.mark.parametrize(("failures", "aside"), [(1, 0), (3, 0), (99, 1)])
def test_a_database_that_the_disk_does_not_give_at_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, aside: int
) -> None:
    """Tried again, then set aside; nothing that was acknowledged is forgotten either way."""
    _filled(tmp_path)
    left, true, pauses = [failures], Database.check, list[float]()

    def check(self: Database, *, thorough: bool = False) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise SpoolUnreadable("no")
        true(self, thorough=thorough)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "check", check)
        patch.setattr("wardlight_edge.spool.opening.time.sleep", pauses.append)
        with _receiving(tmp_path) as spool:
            assert _held(spool) == (["waiting"], 1)
    assert len(databases_aside(tmp_path)) == aside
    assert len(pauses) == min(failures, 3)


def test_tables_that_do_not_go_with_our_statements_are_damage(tmp_path: Path) -> None:
    """An octet of the schema: SQLite calls it an error of ours; each start would end with it."""
    file = _filled(tmp_path)
    with closing(sqlite3.connect(file, isolation_level=None)) as wreck:
        wreck.execute("PRAGMA writable_schema = ON")
        wreck.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'settled_ms', 'settled_mr')"
            " WHERE name = 'item'"
        )
        wreck.execute("DELETE FROM sqlite_master WHERE type = 'index' AND name = 'item_settled'")
    with _receiving(tmp_path) as spool:
        assert _held(spool) == (["waiting"], 1)
    assert len(databases_aside(tmp_path)) == 1


def _store(wire: Wire, uid: str) -> int:
    wire.send(data(pdv(1, 3, store(uid))), data(pdv(1, 2, instance(uid, b"ab"))))
    return wire.status()


def _failing(kind: int) -> Callable[..., object]:
    def fail(*_: object) -> object:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = kind
        raise error

    return fail


@pytest.mark.parametrize("kind", ["IOERR_READ", "IOERR_FSYNC", "IOERR_WRITE", "CORRUPT"])
def test_a_sender_is_refused_while_the_disk_fails_and_taken_when_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """0x0110, not a dead process or a promise: what it reads with 0x0000 afterwards is kept."""
    settings = msgspec.structs.replace(settings_for(tmp_path), dicom=DEFAULTS)
    with serving(settings, threading.Event()) as running, Wire(running.port) as wire:
        wire.associate(context(1, CT, EXPLICIT))
        assert _store(wire, "1.2.1") == 0
        with monkeypatch.context() as patch:
            patch.setattr(
                SqliteReceivingSpool, "_enter", _failing(getattr(sqlite3, f"SQLITE_{kind}"))
            )
            for _ in range(4):
                assert _store(wire, "1.2.2") == 0x0110
        assert _store(wire, "1.2.2") == 0
        status = running.status()
        assert (status.waiting, status.refused) == (2, 4)
