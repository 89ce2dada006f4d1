"""A spool whose damaged database is hard to read still opens, and takes nothing over wrongly."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from support.imaging_gateway import KEY
from support.manual_clock import ManualClock
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool import setting_aside
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.attention import Attention
from wardlight_edge.spool.base import ItemState, SpoolFull
from wardlight_edge.spool.commitments import (
    PAGE,
    Asker,
    CommitmentState,
    CommitmentTable,
    Reference,
)
from wardlight_edge.spool.database import Database, Transaction, mark_of
from wardlight_edge.spool.faults import SpoolDamaged
from wardlight_edge.spool.opening import open_receiving, open_sending
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.salvage import Salvage, Salvaged
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.setting_aside import databases_aside, databases_unread
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable
from wardlight_edge.spool.worklist import WorklistTable
from wardlight_shared import worklist
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import ConfigError, StorageError
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


@pytest.mark.parametrize("renamed", [1, 2, 3, 4])
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
        assert file.exists() == (renamed != 3), "the fourth is of the one that was read"
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


def test_a_log_without_its_database_is_joined_with_no_other_one(tmp_path: Path) -> None:
    """It would spoil that one: both are of this spool, and SQLite tells them apart by nothing."""
    file = tmp_path / "dicom" / "spool.sqlite"
    with _receiving(tmp_path) as spool:
        _ask(spool.database, "1.3.0")
        log = file.with_name("spool.sqlite-wal").read_bytes()
    file.unlink()
    lone = file.with_name("spool.sqlite.salvage-1000-wal")
    lone.write_bytes(log)
    for number in (1, 2, 3):
        with _receiving(tmp_path) as spool:
            _ask(spool.database, f"1.3.{number}")
            assert sorted(_asked(spool.database)) == [f"1.3.{n}" for n in range(1, number + 1)]
        assert (databases_aside(tmp_path), databases_unread(tmp_path)) == ([], [])
    assert lone.read_bytes() == log
    lone.with_name("spool.sqlite.damaged-1000").write_bytes(b"it was read")
    with _receiving(tmp_path):
        assert not lone.exists()
        assert lone.with_name("spool.sqlite.damaged-1000-wal").read_bytes() == log


@pytest.mark.parametrize("note", ["", "77", "77 spool.sqlite.salvage-1000"])
def test_a_database_that_was_not_to_leave_stays(tmp_path: Path, note: str) -> None:
    """The note of a kill was written in part, or is about a file that is gone."""
    with _receiving(tmp_path) as spool:
        _ask(spool.database, "1.3.0")
    (tmp_path / "dicom" / "spool.sqlite.leaving").write_text(note)
    with _receiving(tmp_path) as spool:
        assert list(_asked(spool.database)) == ["1.3.0"]
    assert not (tmp_path / "dicom" / "spool.sqlite.leaving").exists()
    assert databases_aside(tmp_path) == []


def test_what_is_set_aside_later_is_the_newer_one_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now_ns in (1_780_000_000_000 * 10**6, 0, 0):
        with _receiving(tmp_path):
            pass
        mark_of(tmp_path / "dicom" / "spool.sqlite").touch()
        (tmp_path / "dicom" / "spool.sqlite").write_bytes(bytes(range(256)) * 64)
        with monkeypatch.context() as patch:
            patch.setattr("wardlight_edge.spool.setting_aside.time.time_ns", lambda now=now_ns: now)
            with _receiving(tmp_path):
                pass
    numbers = [int(each.name.rpartition("-")[2]) for each in databases_aside(tmp_path)]
    assert numbers == [1_780_000_000_000, 1_780_000_000_001, 1_780_000_000_002]


def test_what_is_read_twice_is_there_once(tmp_path: Path) -> None:
    """A kill may come before the old database is put away."""
    with _receiving(tmp_path) as spool:
        for number in range(3):
            incoming = spool.begin(BlobKind.INSTANCE, f"1.1.{number}")
            incoming.write(b"abc")
            incoming.accept({"sop_instance": f"1.1.{number}"})
        _ask(spool.database, "1.3.0")
        _step(spool.database, "1.2.0", "1.2.1")
        sending = open_sending(tmp_path, KEY)
        assert sending is not None
        sending.settle([1, 2], ItemState.DELIVERED)
        spool.ask_again(["1.1.0"])
        sending.close()
        _drop(spool.database)
    file = tmp_path / "dicom" / "spool.sqlite"
    with Database(tmp_path / "new.sqlite") as database:
        told = [Salvage(database, Sealer(KEY), file).run() for _ in range(2)]
        assert (told[0].settled, told[0].steps, told[0].events) == (2, 2, 2)
        for table, count in (
            ("item", 2), ("step", 2), ("step_event", 2), ("commitment", 1), ("dropped", 1),
            ("step_event_aside", 1),
        ):  # fmt: skip
            rows = database.value(f"SELECT count(*) FROM {table}")
            assert rows == count, table


def _drop(database: Database) -> None:
    def change(changes: Transaction) -> None:
        changes.execute(
            "INSERT INTO dropped (entry, kind, size, received_ms, why)"
            " VALUES ('7', 'image', 1, 1, '')"
        )
        changes.execute("INSERT INTO step_event_aside VALUES (9, x'00', x'00', 1)")

    database.write(change)


def test_a_loss_that_has_another_s_number_is_told_too(tmp_path: Path) -> None:
    """A person may give something up before the old database can be read."""
    for name in ("old", "new"):
        with Database(tmp_path / name) as database:
            _drop(database)
            database.write(
                lambda changes, why=name: changes.execute("UPDATE dropped SET why = ?", (why,))  # type: ignore[misc]
            )
    with Database(tmp_path / "new") as database:
        for _ in range(2):
            Salvage(database, Sealer(KEY), tmp_path / "old").run()
        assert database.rows("SELECT why FROM dropped ORDER BY why") == [("new",), ("old",)]


@pytest.mark.parametrize("error", [SpoolFull, SpoolDamaged])
def test_a_disk_that_is_full_ends_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Nothing of it counts as left out: all of it is read again."""
    with Database(tmp_path / "old") as database:
        _step(database, "1.2.0")
    with Database(tmp_path / "new") as database:

        def full(_: object) -> None:
            raise error("no room")

        monkeypatch.setattr(database, "write", full)
        with pytest.raises(error):
            Salvage(database, Sealer(KEY), tmp_path / "old").run()


def test_a_database_that_is_busy_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(tmp_path / "old") as database:
        _step(database, "1.2.0")
        _ask(database, "1.3.0")
    with Database(tmp_path / "new") as database:
        write, calls = database.write, [0]

        def busy(change: Callable[[Transaction], object]) -> object:
            calls[0] += 1
            if calls[0] % 3:
                raise StorageError("busy")
            return write(change)

        monkeypatch.setattr(database, "write", busy)
        told = Salvage(database, Sealer(KEY), tmp_path / "old").run()
        assert (told.steps, told.events, told.commitments) == (1, 1, 1)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE commitment SET asked = zeroblob(99) WHERE commitment = 2",
        "UPDATE commitment SET asked = (SELECT asked FROM commitment WHERE commitment = 1)"
        " WHERE commitment = 2",
        "UPDATE commitment_page SET sealed = zeroblob(99) WHERE commitment = 2 AND page = 1",
        "UPDATE commitment_page SET page = 7 WHERE commitment = 2 AND page = 1",
        "UPDATE commitment SET instances = 1 WHERE commitment = 2",
        "UPDATE commitment SET instances = 20001 WHERE commitment = 2",
    ],
)
def test_a_request_that_is_not_genuine_is_left_out(tmp_path: Path, change: str) -> None:
    with Database(tmp_path / "old") as database:
        _ask(database, "1.3.0", "1.3.1")
        database.write(lambda changes: changes.execute(change))
    with Database(tmp_path / "new") as database:
        assert Salvage(database, Sealer(KEY), tmp_path / "old").run().commitments == 1
        assert list(_asked(database)) == ["1.3.0"]


def test_a_request_that_was_reported_is_still_known(tmp_path: Path) -> None:
    """Of it no pages are left."""
    with Database(tmp_path / "old") as database:
        _ask(database, "1.3.0")
        table = CommitmentTable(database, Sealer(KEY))
        (found,) = table.due(1 << 60)
        table.settle(table.decide(found, [0] * len(REFERENCES), 0).number, CommitmentState.REPORTED)
    with Database(tmp_path / "new") as database:
        assert Salvage(database, Sealer(KEY), tmp_path / "old").run().commitments == 1
        table = CommitmentTable(database, Sealer(KEY))
        asker = Asker("1.3.0", "CT1", "W", "192.0.2.1")
        for references, outcome in (([REFERENCES[0]], "differs"), (REFERENCES, "known")):
            assert table.put(asker, references, received_ms=1, now_ms=0) == outcome
        assert _asked(database) == {"1.3.0": len(REFERENCES)}


def test_requests_are_found_where_an_index_of_their_pages_is_damaged(tmp_path: Path) -> None:
    with Database(tmp_path / "old") as database:
        _ask(database, "1.3.0", "1.3.1")
        (page,) = database.rows(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_commitment_page_1'"
        )
    with (tmp_path / "old").open("r+b") as octets:
        octets.seek((page[0] - 1) * 4096)
        octets.write(b"\xa5" * 4096)
    with Database(tmp_path / "new") as database:
        told = Salvage(database, Sealer(KEY), tmp_path / "old").run()
        assert (told.commitments, told.is_whole) == (2, False)
        assert sorted(_asked(database)) == ["1.3.0", "1.3.1"]


def test_all_rows_beside_damaged_pages_are_read(tmp_path: Path) -> None:
    """Those right behind a page too, and those between two; the list is taken whole or not."""
    with Database(tmp_path / "old") as database:
        table = StepTable(database, Sealer(KEY))
        for number in range(200):
            event = StepEvent(f"1.2.{number}", "create", "CT1", "W", "192.0.2.1", 1, b"f")
            assert table.put(StepState("IN PROGRESS", 1, b"s" * 500), event, 0)
        held = WorklistTable(database, Sealer(KEY), ManualClock())
        assert held.keep(_page(0, 5, b"A", b"B"))
        database.write(
            lambda changes: changes.execute("INSERT INTO age VALUES (1, 5, 5, 'b', 0, 0, '')")
        )
        root = database.value("SELECT rootpage FROM sqlite_master WHERE name = 'step'")
    leaves = _leaves(tmp_path / "old", root)
    assert len(leaves) > 20
    lost = set()
    with (tmp_path / "old").open("r+b") as octets:
        for place in (4, 9, 10, 11, 12, 17):
            page, first, last = leaves[place]
            octets.seek((page - 1) * 4096)
            octets.write(b"\xa5" * 4096)
            lost |= set(range(first, last + 1))
    with Database(tmp_path / "new") as database:
        told = Salvage(database, Sealer(KEY), tmp_path / "old").run()
        found = {row[0] for row in database.rows("SELECT step FROM step")}
        assert set(range(1, 201)) - found == lost
        assert (told.steps, told.worklist, told.is_whole) == (200 - len(lost), 0, False)


def _leaves(file: Path, root: int) -> list[tuple[int, int, int]]:
    """Leaf pages of a table whose root is above them all, each with its first and last rowid."""
    octets = file.read_bytes()
    page = octets[(root - 1) * 4096 : root * 4096]
    assert page[0] == 5
    found, after = [], 0
    for cell in range(int.from_bytes(page[3:5])):
        at = int.from_bytes(page[12 + 2 * cell : 14 + 2 * cell])
        last, shift = 0, page[at + 4 :]
        for octet in shift:
            last = last << 7 | octet & 0x7F
            if octet < 0x80:
                break
        found.append((int.from_bytes(page[at : at + 4]), after + 1, last))
        after = last
    return found


def test_of_a_list_the_one_that_was_answered_from_is_taken_over(tmp_path: Path) -> None:
    """Not what had come of the next one."""
    with Database(tmp_path / "old") as database:
        held = WorklistTable(database, Sealer(KEY), ManualClock())
        assert held.keep(_page(0, 5, b"A", b"B"))
        coming = msgspec.structs.replace(_page(0, 5, b"C"), newest=9)
        assert held.keep(coming)
        database.write(
            lambda changes: changes.execute("INSERT INTO age VALUES (1, 5, 5, 'b', 0, 0, '')")
        )
    with Database(tmp_path / "new") as database:
        assert Salvage(database, Sealer(KEY), tmp_path / "old").run().worklist == 2
        assert database.value("SELECT count(*) FROM worklist") == 2


@pytest.mark.parametrize(
    "row",
    ["1, -1, 5, 'b', 0, 0, ''", "1, 9223372036854775807, 5, 'b', 0, 0, ''",
     "1, 5, 'x', 'b', 0, 0, ''", "1, 5, 5, 'b', 0, 'x', 'b'", "1, 5, 5, 7, 0, 0, x'00'"],
)  # fmt: skip
def test_an_age_that_is_none_is_left_out(tmp_path: Path, row: str) -> None:
    """The spool counts from nothing then; with such a one it could not count at all."""
    with Database(tmp_path / "old") as database:
        database.write(lambda changes: changes.execute(f"INSERT INTO age VALUES ({row})"))
    with Database(tmp_path / "new") as database:
        assert not Salvage(database, Sealer(KEY), tmp_path / "old").run().is_whole
        assert Age(database, ManualClock()).now_ms() == 0


def test_images_are_found_and_sent_where_the_first_page_is_destroyed(tmp_path: Path) -> None:
    """SQLite opens such a file no more: what stands in rows only has to be asked for again."""
    with _receiving(tmp_path) as spool:
        for number in range(3):
            incoming = spool.begin(BlobKind.INSTANCE, f"1.1.{number}")
            incoming.write(b"image %d" % number)
            incoming.accept({"sop_instance": f"1.1.{number}"})
        incoming = spool.begin(BlobKind.STEP, "1.2.0")
        incoming.write(b"step")
        incoming.accept({"sop_instance": "1.2.0"})
        _ask(spool.database, "1.3.0")
    file = tmp_path / "dicom" / "spool.sqlite"
    with file.open("r+b") as octets:
        octets.write(b"\xa5" * 4096)
    with _receiving(tmp_path) as spool:
        assert [each.state for n in range(3) for each in spool.find(f"1.1.{n}")] == ["waiting"] * 3
        assert _asked(spool.database) == {}
        sending = open_sending(tmp_path, KEY)
        assert sending is not None
        sent = [sending.read(each.item, 0, 99) for each in sending.waiting()]
        sending.close()
        assert sent == [b"image 0", b"image 1", b"image 2", b"step"]
    assert len(databases_aside(tmp_path)) == 1, "it is kept, and said"


def test_what_was_written_while_a_database_was_half_away_takes_no_log_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log was renamed already when somebody opened it, and a new log was made."""
    file = tmp_path / "dicom" / "spool.sqlite"
    with _receiving(tmp_path):
        pass
    with Database(file):
        with _receiving(tmp_path) as spool:
            _ask(spool.database, "1.3.0")
        with monkeypatch.context() as killed, pytest.raises(Killed):
            _kill_after(killed, 1)
            with _receiving(tmp_path):
                pass
        file.with_name("spool.sqlite-wal").write_bytes(b"made since")
        with _receiving(tmp_path) as spool:
            assert _asked(spool.database) == {"1.3.0": len(REFERENCES)}


def test_what_was_read_is_not_read_again_without_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it it is an older state, in which waits what was over since."""
    folder = tmp_path / "dicom"
    folder.mkdir()
    names = [f"spool.sqlite.{kind}-{n}" for kind in ("salvage", "damaged") for n in (999, 1000)]
    for name in names:
        (folder / name).write_bytes(b"database")
    (folder / f"{names[1]}-wal").write_bytes(b"its log")
    assert [each.name for each in databases_unread(tmp_path)] == names[:2], "oldest first"
    assert [each.name for each in databases_aside(tmp_path)] == names[2:]
    (folder / names[3]).unlink()
    with monkeypatch.context() as killed, pytest.raises(Killed):
        _kill_after(killed, 1)
        setting_aside.keep(folder / names[1])
    setting_aside.finish(folder / "spool.sqlite")
    assert [each.name for each in databases_unread(tmp_path)] == names[:1]
    assert (folder / f"{names[3]}-wal").read_bytes() == b"its log"


def test_of_two_databases_the_newer_one_has_the_word(tmp_path: Path) -> None:
    """Both were set aside before either could be read."""
    with _receiving(tmp_path):
        pass
    folder = tmp_path / "dicom"
    for number, events in ((1000, 1), (1001, 2)):
        with Database(folder / f"spool.sqlite.salvage-{number}") as database:
            table = StepTable(database, Sealer(KEY))
            for each in range(1, events + 1):
                event = StepEvent("1.2.0", "set", "CT1", "W", "192.0.2.1", 1, b"file")
                assert table.put(StepState("IN PROGRESS", each, b"step"), event, 0)
    with _receiving(tmp_path) as spool:
        found = StepTable(spool.database, spool.sealer).find("1.2.0")
        assert found is not None
        assert found.events == 2


@pytest.mark.parametrize("is_suspect", [True, False])
def test_a_database_in_which_damage_was_met_is_looked_at_thoroughly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_suspect: bool
) -> None:
    """A quick look does not compare an index with its table."""
    with _receiving(tmp_path):
        pass
    looks: list[bool] = []
    if is_suspect:
        mark_of(tmp_path / "dicom" / "spool.sqlite").touch()
    monkeypatch.setattr(Database, "check", lambda _, *, thorough=False: looks.append(thorough))
    with _receiving(tmp_path):
        assert looks == [is_suspect]
