"""The settings that make COMMIT a promise, asked of SQLite itself on the outbox's own connection.

That appends really wait for a flush: tests/integration/outbox/test_kill.py counts them.
"""

from pathlib import Path

from support.manual_clock import ManualClock
from support.outbox_records import KEY, LIVE_AGE_MS, record, settings
from wardlight_edge.outbox.base import Choice
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.engine import Engine
from wardlight_edge.outbox.settlement import Settlement

FULL, NORMAL = 2, 1  # https://www.sqlite.org/pragma.html#pragma_synchronous


def asked(database: Database) -> tuple[object, object]:
    return database.value("PRAGMA journal_mode"), database.value("PRAGMA synchronous")


def database_of(engine: Engine) -> Database:
    current = engine._current
    assert current is not None
    return current.database


def test_every_operation_leaves_the_log_synchronous(tmp_path: Path) -> None:
    clock = ManualClock()
    engine = Engine(
        tmp_path / "outbox.db",
        KEY,
        settings(),
        clock,
        live_age_ms=LIVE_AGE_MS,
        dictionary=Dictionary(),
    )
    engine.open()
    assert asked(database_of(engine)) == ("wal", FULL)
    engine.append([[record(clock, number) for number in range(100)]])
    engine.take(Choice.LIVE, 50, 1 << 20)
    engine.settle(engine.epoch, Settlement([(1, 20)], [(25, "bad")]))
    engine.forget([25])
    engine.rest()
    assert asked(database_of(engine)) == ("wal", FULL)
    engine.renew_epoch("rolled-back")  # another file
    while engine.rest():
        pass
    assert asked(database_of(engine)) == ("wal", FULL)
    engine.close()
    engine.open()
    assert asked(database_of(engine)) == ("wal", FULL)
    engine.close()


def test_rows_are_inserted_with_full_synchronisation(tmp_path: Path) -> None:
    """Asked in the middle of it: at the COMMIT of an append, and at that of a removal."""
    clock = ManualClock()
    engine = Engine(
        tmp_path / "outbox.db",
        KEY,
        settings(),
        clock,
        live_age_ms=LIVE_AGE_MS,
        dictionary=Dictionary(),
    )
    engine.open()
    database = database_of(engine)
    committed: list[tuple[object, object]] = []

    def ask(statement: str) -> None:
        if statement == "COMMIT":
            committed.append(asked(database))

    database._connection.set_trace_callback(ask)
    engine.append([[record(clock, 1)]])
    assert committed == [("wal", FULL)]
    engine.settle(engine.epoch, Settlement([(1, 1)], []))
    assert committed == [("wal", FULL), ("wal", NORMAL)]  # decision 009: removals are not flushed
    engine.close()
