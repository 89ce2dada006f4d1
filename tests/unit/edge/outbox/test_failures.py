"""Failures of the disk as SQLite reports them, in a form that works without root.

``max_page_count`` makes SQLite say "full" exactly as a full file system does (SQLITE_FULL).
tests/integration/outbox/test_full_disk.py fills a real one.
"""

from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_records import KEY, LIVE_AGE_MS, record, settings
from wardlight_edge.outbox.base import Choice, Level
from wardlight_edge.outbox.database import Database, DiskFull
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.engine import Engine
from wardlight_edge.outbox.settlement import Settlement
from wardlight_shared.errors import ConfigError, OutboxCorrupt, OutboxFull, StorageError
from wardlight_shared.records import Kind

MUCH = 1 << 30


def engine(path: Path, clock: ManualClock, *, reserve_bytes: int = 0) -> Engine:
    made = Engine(
        path,
        KEY,
        settings(reserve_bytes=reserve_bytes),
        clock,
        live_age_ms=LIVE_AGE_MS,
        dictionary=Dictionary(),
    )
    made.open()
    return made


def limit(outbox: Engine, more_pages: int | None) -> None:
    """Let the file grow by so many pages; None = as it likes."""
    database = _database(outbox)
    pages = int(database.value("PRAGMA page_count"))
    most = 1 << 30 if more_pages is None else pages + more_pages
    database.execute(f"PRAGMA max_page_count = {most}")


def _database(outbox: Engine) -> Database:
    current = outbox._current
    assert current is not None
    return current.database


def fill(outbox: Engine, clock: ManualClock) -> list[int]:
    seqs: list[int] = []
    for number in range(10_000):
        [result] = outbox.append([[record(clock, number)] * 20])
        if isinstance(result, OutboxFull):
            return seqs
        assert isinstance(result, list)
        seqs += result
    raise AssertionError("never full")


def test_a_full_disk_refuses_and_stores_nothing_of_it(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = engine(tmp_path / "outbox.db", clock, reserve_bytes=1 << 16)
    limit(outbox, 5)
    accepted = fill(outbox, clock)
    assert outbox.status().level is Level.FULL
    assert not (tmp_path / "outbox.db.reserve").exists()
    assert outbox.status().refused == 20
    assert [one.seq for one in outbox.take(Choice.LIVE, MUCH, MUCH)] == accepted
    assert accepted == list(range(1, len(accepted) + 1))
    outbox.close()


def test_it_accepts_again_when_there_is_room_for_the_reserve(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = engine(tmp_path / "outbox.db", clock, reserve_bytes=1 << 16)
    limit(outbox, 5)
    accepted = fill(outbox, clock)
    limit(outbox, None)
    [still] = outbox.append([[record(clock, 1)]])
    assert isinstance(still, OutboxFull)  # the reserve is not for records
    while outbox.rest():
        pass
    assert (tmp_path / "outbox.db.reserve").exists()
    assert outbox.append([[record(clock, 1)]]) == [[len(accepted) + 1]]
    outbox.close()


def test_a_failing_disk_refuses_and_is_checked_before_it_is_used_again(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = engine(tmp_path / "outbox.db", clock)
    outbox.append([[record(clock, 1)]])
    _database(outbox).close()  # every statement fails now, as on a card that was pulled out
    [result] = outbox.append([[record(clock, 2)]])
    assert isinstance(result, StorageError)
    assert outbox.append([[record(clock, 3)]]) == [[2]]
    assert len(outbox.take(Choice.LIVE, MUCH, MUCH)) == 2
    outbox.close()


def test_an_ack_of_an_epoch_that_is_over_removes_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = engine(tmp_path / "outbox.db", clock)
    outbox.append([[record(clock, 1)] * 3])
    old_epoch = outbox.epoch
    outbox.renew_epoch("rolled-back")
    while outbox.rest():
        pass
    held = outbox.status().records
    assert held == 4  # three and the status record
    assert outbox.settle(old_epoch, Settlement([(1, 100)], [])) == 0
    assert outbox.status().records == held
    outbox.close()


def test_a_large_ack_is_settled_in_parts(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = engine(tmp_path / "outbox.db", clock)
    for _ in range(5):
        outbox.append([[record(clock, 1)] * 1000])
    ack = Settlement([(1, 1 << 62), (4000, 1 << 62)], [(7, "bad"), (4999, "bad")])
    parts = 0
    while (removed := outbox.settle(outbox.epoch, ack)) is None:
        parts += 1
    assert removed == 4998
    assert parts >= 4
    assert outbox.status().rejected == 2
    outbox.close()


def test_a_newer_file_is_not_touched(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    outbox = engine(path, clock)
    outbox.append([[record(clock, 1)]])
    _database(outbox).execute("UPDATE meta SET value = 3 WHERE name = 'schema'")
    outbox.close()
    with pytest.raises(ConfigError, match="newer"):
        engine(path, clock)
    assert not list(tmp_path.glob("*aside*"))
    database = Database(path)
    assert database.value("SELECT count(*) FROM record") == 1
    database.close()


def test_a_file_set_aside_is_not_forgotten_when_its_name_is_damaged(tmp_path: Path) -> None:
    """SQLite's check reads no names; without this the file would lie there for ever."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    outbox = engine(path, clock)
    outbox.append([[record(clock, number) for number in range(50)]])
    outbox.close()
    with path.open("r+b") as file:
        file.write(bytes(4096))
    outbox = engine(path, clock)  # sets it aside
    _database(outbox).execute("UPDATE salvage SET file = substr(file, 1, length(file) - 4)")
    outbox.close()
    outbox = engine(path, clock)
    while outbox.rest():
        pass
    taken = outbox.take(Choice.BACKFILL, MUCH, MUCH)
    assert sum(one.body[1] == Kind.STATUS for one in taken) >= 50
    assert not list(tmp_path.glob("outbox.db.aside*"))
    outbox.close()


def test_errors_of_sqlite_have_a_meaning(tmp_path: Path) -> None:
    database = Database(tmp_path / "file.db")
    database.execute("CREATE TABLE t (x)")
    database.execute(f"PRAGMA max_page_count = {database.value('PRAGMA page_count')}")
    with pytest.raises(DiskFull), database.transaction():
        database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert database.value("SELECT count(*) FROM t") == 0
    with pytest.raises(StorageError, match="no such table"):
        database.execute("SELECT * FROM missing")
    database.close()
    (tmp_path / "noise.db").write_bytes(b"not a database at all" * 500)
    with pytest.raises(OutboxCorrupt):
        Database(tmp_path / "noise.db").is_empty()


@pytest.mark.parametrize(
    ("reserve_bytes", "least", "most"), [(0, 400_000, 1 << 20), (8 << 20, 2 << 20, 4 << 20)]
)
def test_the_log_grows_only_as_far_as_the_reserve_could_take_it(
    tmp_path: Path, reserve_bytes: int, least: int, most: int
) -> None:
    clock = ManualClock()
    outbox = engine(tmp_path / "outbox.db", clock, reserve_bytes=reserve_bytes)
    log = tmp_path / "outbox.db-wal"
    largest = 0
    for _ in range(60):
        outbox.append([[record(clock, 1)] * 1000])
        largest = max(largest, log.stat().st_size)
    assert least < largest < most
    outbox.close()
