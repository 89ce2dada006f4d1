"""A spool whose damaged database is hard to read still opens, and takes nothing over wrongly."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from support.imaging_gateway import KEY
from support.manual_clock import ManualClock
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool.attention import Attention
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.commitments import PAGE, Asker, CommitmentTable, Reference
from wardlight_edge.spool.database import Database, mark_of
from wardlight_edge.spool.faults import SpoolDamaged
from wardlight_edge.spool.opening import databases_aside, databases_unread, open_receiving
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.salvage import Salvage, Salvaged
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable
from wardlight_edge.spool.worklist import WorklistTable
from wardlight_shared import worklist
from wardlight_shared.errors import ConfigError
from wardlight_shared.worklist import WorklistEntry, WorklistPage

REFERENCES = [Reference("1.9", f"1.8.{number}") for number in range(PAGE + 7)]


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def _receiving(folder: Path) -> Iterator[SqliteReceivingSpool]:
    with open_receiving(folder, KEY, DicomSettings(min_free_bytes=0)) as spool:
        yield spool


def _ask(database: Database, *transactions: str) -> None:
    table = CommitmentTable(database, Sealer(KEY))
    for each in transactions:
        asker = Asker(each, "CT1", "W", "192.0.2.1")
        table.put(asker, REFERENCES, received_ms=1, now_ms=0)


def _asked(database: Database) -> dict[str, int]:
    """Transactions that are held, and about how many instances, by their pages."""
    table = CommitmentTable(database, Sealer(KEY))
    return {
        each.asked.transaction: sum(map(len, table.references(each))) for each in table.due(1 << 60)
    }


def _step(database: Database, *uids: str) -> None:
    table = StepTable(database, Sealer(KEY))
    for uid in uids:
        event = StepEvent(uid, "create", "CT1", "W", "192.0.2.1", 1, b"file")
        assert table.put(StepState("IN PROGRESS", 1, b"step"), event, 0)


def _wreck(folder: Path) -> Path:
    """Rows that SQLite would not have taken: its checks are off where an index is damaged."""
    with _receiving(folder) as spool:
        _ask(spool.database, "1.3.0", "1.3.1", "1.3.2", "1.3.3")
        _step(spool.database, "1.2.0", "1.2.1")
    file = folder / "dicom" / "spool.sqlite"
    wreck = file.with_name("spool.sqlite.salvage-1000")
    file.rename(wreck)
    with closing(sqlite3.connect(wreck)) as rows, rows:
        for table in ("commitment", "step_event", "age"):
            rows.execute(f"CREATE TABLE loose AS SELECT * FROM {table}")
            rows.execute(f"DROP TABLE {table}")
            rows.execute(f"ALTER TABLE loose RENAME TO {table}")
        rows.execute(
            "UPDATE commitment SET key_hash = (SELECT key_hash FROM commitment LIMIT 1)"
            " WHERE commitment = 2"
        )
        rows.execute("UPDATE commitment SET instances = 1 << 60 WHERE commitment = 3")
        rows.execute("UPDATE step_event SET event = 'x' WHERE event = 1")
        rows.execute("INSERT INTO age VALUES (1, 5, 'x', 'boot', 0, 0, '')")
    return wreck


def test_no_row_keeps_a_spool_from_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key twice, a number out of bounds, another type: left out; what is sound is there."""
    _wreck(tmp_path)

    def fail(_: Salvage, __: object) -> int:
        raise MemoryError

    monkeypatch.setattr(Salvage, "_worklist", fail)
    for _ in range(2):
        with _receiving(tmp_path) as spool:
            assert _asked(spool.database) == dict.fromkeys(("1.3.0", "1.3.3"), len(REFERENCES))
            steps = StepTable(spool.database, spool.sealer)
            assert [each.event.sop_instance for each in steps.waiting()] == ["1.2.1"]
            assert steps.find("1.2.0") is not None
        assert (len(databases_aside(tmp_path)), databases_unread(tmp_path)) == (1, [])


def test_what_cannot_be_read_yet_is_listed_and_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full: it is read at a later start, and nobody gives it up before."""
    _wreck(tmp_path)

    def fail(_: Salvage) -> Salvaged:
        raise SpoolFull("no room")

    with monkeypatch.context() as full:
        full.setattr(Salvage, "run", fail)
        with pytest.raises(SpoolFull), _receiving(tmp_path):
            pass
    with Database(tmp_path / "dicom" / "spool.sqlite") as database:
        attention = Attention(database, Sealer(KEY), KEY)
        (entry,) = attention.entries(("aside",))
        assert (entry.entry, entry.why) == (
            "database-1000", "it was damaged; the imaging process reads it when it starts next",
        )  # fmt: skip
        with pytest.raises(ConfigError, match="not read yet"):
            attention.drop(entry.entry)
        with _receiving(tmp_path) as spool:
            assert len(_asked(spool.database)) == 2
        (entry,) = attention.entries(("aside",))
        attention.drop(entry.entry)
        assert attention.entries(("aside",)) == []


def test_a_request_is_taken_over_beside_one_of_its_number(tmp_path: Path) -> None:
    with Database(tmp_path / "old.sqlite") as database:
        _ask(database, "1.3.0")
    with Database(tmp_path / "new.sqlite") as database:
        _ask(database, "1.3.9")
        for _ in range(2):
            Salvage(database, Sealer(KEY), tmp_path / "old.sqlite").run()
        assert _asked(database) == dict.fromkeys(("1.3.0", "1.3.9"), len(REFERENCES))


def _page(since: int, upto: int, *entries: bytes) -> WorklistPage:
    listed = [WorklistEntry(number, number, each) for number, each in enumerate(entries, 1)]
    return WorklistPage(worklist.VERSION, since, upto, upto, 1_780_000_000_000, listed, 7)


@pytest.mark.parametrize("newer", [True, False])
def test_an_order_that_was_cancelled_does_not_come_back(tmp_path: Path, newer: bool) -> None:
    """The uplink may keep a newer list before the damaged database is read."""
    with _receiving(tmp_path) as spool:
        held = WorklistTable(spool.database, spool.sealer, ManualClock())
        assert held.keep(_page(0, 5, b"A", b"B"))
        spool.database.write(
            lambda changes: changes.execute("INSERT INTO age VALUES (1, 5, 5, 'b', 0, 0, '')")
        )
    with Database(tmp_path / "new.sqlite") as database:
        held = WorklistTable(database, Sealer(KEY), ManualClock())
        if newer:
            assert held.keep(_page(0, 9, b"A"))
        found = Salvage(database, Sealer(KEY), tmp_path / "dicom" / "spool.sqlite").run()
        assert found.worklist == (0 if newer else 2)
        assert [each.data_set for each in held.entries()] == [b"A", b"B"][: 1 if newer else 2]
        assert held.revision() == (9 if newer else 0)


@pytest.mark.parametrize("renamed", [1, 2, 3])
def test_a_kill_while_a_database_is_set_aside_loses_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    file = tmp_path / "dicom" / "spool.sqlite"
    with _receiving(tmp_path):
        pass
    with Database(file):  # the uplink's: the log stays when the other one closes
        with _receiving(tmp_path) as spool:
            _ask(spool.database, "1.3.0")
        mark_of(file).touch()
        with monkeypatch.context() as killed, pytest.raises(Killed):
            _kill_after(killed, renamed)
            with _receiving(tmp_path):
                pass
        assert file.exists() == (renamed < 3)
        for _ in range(2):
            with _receiving(tmp_path) as spool:
                assert _asked(spool.database) == {"1.3.0": len(REFERENCES)}
            assert len(databases_aside(tmp_path)) == 1


def _kill_after(patch: pytest.MonkeyPatch, renames: int) -> None:
    done, replace = [0], Path.replace

    def damaged(self: Database, *, thorough: bool = False) -> None:
        raise SpoolDamaged("it is")

    def counted(self: Path, target: Path) -> Path:
        made = replace(self, target)
        done[0] += 1
        if done[0] == renames:
            raise Killed
        return made

    patch.setattr(Database, "check", damaged)
    patch.setattr(Path, "replace", counted)
