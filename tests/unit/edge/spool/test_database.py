"""The spool's database: changes of several threads share a commit and do not share their faults."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.waiting import wait_until_sync
from wardlight_edge.spool.database import Database, Transaction
from wardlight_edge.spool.faults import SpoolDamaged
from wardlight_shared.errors import StorageError

ADD = "INSERT INTO usage VALUES (?, 1)"


def _count(database: Database) -> int:
    return int(database.value("SELECT count(*) FROM usage"))


def test_a_change_that_raises_is_undone_alone(tmp_path: Path) -> None:
    with Database(tmp_path / "spool") as database:
        inside, go = threading.Event(), threading.Event()

        def slow(changes: Transaction) -> None:
            changes.execute(ADD, (b"slow",))
            inside.set()
            go.wait(30)

        def wrong(changes: Transaction) -> None:
            changes.execute(ADD, (b"wrong",))
            raise ValueError("wrong")

        first = threading.Thread(target=database.write, args=(slow,))
        first.start()
        inside.wait(30)
        # These two wait for the first one, and then share a transaction.
        good = threading.Thread(
            target=database.write, args=(lambda changes: changes.execute(ADD, (b"good",)),)
        )
        good.start()
        threading.Timer(0.2, go.set).start()
        with pytest.raises(ValueError, match="wrong"):
            database.write(wrong)
        first.join()
        good.join()
        found = {row[0] for row in database.rows("SELECT sender FROM usage")}
        assert found == {b"slow", b"good"}


class _Failing:
    """A connection that fails at some statements."""

    def __init__(self, connection: sqlite3.Connection, *failing: str) -> None:
        self._connection = connection
        self._failing = failing

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        if sql in self._failing:
            raise sqlite3.OperationalError(f"no {sql}")
        return self._connection.execute(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_nobody_is_told_of_success_when_a_shared_commit_and_its_rollback_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it stays, and the next change goes through."""
    with Database(tmp_path / "spool") as database:
        inside, go = threading.Event(), threading.Event()
        told: list[str] = []

        def write(name: bytes, *, slow: bool = False) -> None:
            def change(changes: Transaction) -> None:
                changes.execute(ADD, (name,))
                if slow:
                    inside.set()
                    go.wait(30)

            try:
                database.write(change)
                told.append("kept")
            except StorageError:
                told.append("failed")

        first = threading.Thread(target=write, args=(b"slow",), kwargs={"slow": True})
        first.start()
        inside.wait(30)
        sharing = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c")]
        for thread in sharing:
            thread.start()
        wait_until_sync(lambda: len(database._waiting) == 3)
        true = database._writer
        failing = _Failing(true, "COMMIT", "ROLLBACK")
        monkeypatch.setattr(database, "_run", _then(database._run, database, failing))
        go.set()
        for thread in (first, *sharing):
            thread.join()
        assert told == ["kept", "failed", "failed", "failed"]
        assert _count(database) == 1
        write(b"later")
        assert (told[-1], _count(database)) == ("kept", 2)


def _then(run: Callable[[Any], None], database: Database, writer: Any) -> Callable[[Any], None]:
    """``run``, with another writer from its end."""

    def call(change: Any) -> None:
        run(change)
        database._writer = writer

    return call


def test_a_file_that_did_not_open_when_it_was_replaced_is_opened_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spool"

    def refused(_: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    with Database(path) as database:
        database.write(lambda changes: changes.execute(ADD, (b"old",)))
        path.rename(tmp_path / "aside")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        Database(path).close()
        with monkeypatch.context() as patch:
            patch.setattr("wardlight_edge.spool.database._connect", refused)
            with pytest.raises(StorageError):
                database.refresh()
            with pytest.raises(StorageError):
                _count(database)
            with pytest.raises(StorageError):
                database.write(lambda changes: changes.execute(ADD, (b"never",)))
        database.refresh()
        assert _count(database) == 0
        database.write(lambda changes: changes.execute(ADD, (b"new",)))
        assert _count(database) == 1


def test_log_and_file_do_not_grow_with_the_first_changes(tmp_path: Path) -> None:
    """A flush of a file that grows takes several times as long."""
    files = tmp_path / "spool", tmp_path / "spool-wal"
    with Database(files[0]) as database:
        database.reserve()
        database.write(lambda changes: changes.execute(ADD, (b"first",)))
        sizes = [file.stat().st_size for file in files]
        for number in range(300):
            database.write(lambda changes, each=number: changes.execute(ADD, (b"%d" % each,)))  # type: ignore[misc]
        assert [file.stat().st_size for file in files] == sizes
        database.reserve()
        assert [file.stat().st_size for file in files] == sizes
        assert database.rows("SELECT name FROM sqlite_master WHERE name = 'reserve'") == []


def test_what_was_written_is_durable_and_seen_by_another_process(tmp_path: Path) -> None:
    with Database(tmp_path / "spool") as one, Database(tmp_path / "spool") as other:
        one.write(lambda changes: changes.execute(ADD, (b"a",)))
        assert _count(other) == 1
        other.write(lambda changes: changes.execute(ADD, (b"b",)))
        assert _count(one) == 2
        assert one.value("PRAGMA synchronous") == 2
        assert one.value("PRAGMA journal_mode") == "wal"
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o600


def test_a_statement_that_fails_is_a_storage_error(tmp_path: Path) -> None:
    with Database(tmp_path / "spool") as database:
        database.write(lambda changes: changes.execute(ADD, (b"a",)))
        with pytest.raises(StorageError):
            database.write(lambda changes: changes.execute(ADD, (b"a",)))
        assert _count(database) == 1


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"not a database, but long enough " * 200)
    with pytest.raises(SpoolDamaged):
        Database(tmp_path / "spool")


def test_a_file_of_the_first_version_is_brought_to_this_one(tmp_path: Path) -> None:
    """By two who open it at the same time; its items are in the order of receipt."""
    with closing(sqlite3.connect(tmp_path / "spool")) as old:
        old.executescript(
            "CREATE TABLE item (item INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, key_hash BLOB,"
            " sender BLOB, name BLOB, size INTEGER, disk_bytes INTEGER, received_ms INTEGER,"
            " state TEXT, settled_ms INTEGER, reason TEXT, sealed BLOB);"
            "INSERT INTO item (item, received_ms, state) VALUES (5, 77, 'waiting');"
            "CREATE TABLE step (step INTEGER PRIMARY KEY, key_hash BLOB, status TEXT,"
            " events INTEGER, changed_ms INTEGER, sealed BLOB);"
            "CREATE INDEX step_changed ON step (changed_ms);"
            "INSERT INTO step VALUES (1, x'00', 'COMPLETED', 2, 1780000000000, x'00');"
            "CREATE TABLE commitment (commitment INTEGER PRIMARY KEY, next_ms INTEGER);"
            "PRAGMA user_version = 1;"
        )
    opened: list[int] = []

    def open_it() -> None:
        with Database(tmp_path / "spool") as database:
            opened.append(database.value("SELECT ordinal FROM item"))
            assert database.value("SELECT changed_at FROM step") == 0
            assert database.value("SELECT count(*) FROM commitment_page") == 0

    threads = [threading.Thread(target=open_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [77, 77]


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with Database(tmp_path / "spool") as database:
        database.write(lambda changes: changes.execute("PRAGMA user_version = 99"))
    with pytest.raises(StorageError, match="newer version"):
        Database(tmp_path / "spool")
