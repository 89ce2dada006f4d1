"""Tables of the spool's database, and how those of an older version become these.

Each file ``*.sql`` beside this one holds tables of one subject; all of them are executed when the
file is opened, so their statements say IF NOT EXISTS.

Errors  sqlite3.Error; StorageError: the file is of a newer version
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wardlight_shared.errors import StorageError

VERSION: Final = 3
_UPGRADES: Final = {
    # What was asked for before is asked for again: requests had their instances in one row.
    1: """
ALTER TABLE item ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;
UPDATE item SET ordinal = received_ms;
ALTER TABLE item ADD COLUMN noticed_at INTEGER;
ALTER TABLE step RENAME COLUMN changed_ms TO changed_at;
UPDATE step SET changed_at = 0;
DROP TABLE commitment;
"""
}
_ADDED: Final = {
    # Whose they are was not noted: what is there counts for nobody.
    3: tuple(
        (table, f"{column} NOT NULL DEFAULT {default}")
        for table in ("step", "step_event", "commitment")
        for column, default in (("sender BLOB", "x''"), ("octets INTEGER", "0"))
    ),
}
"""Columns that a version has more, of tables that may not be there yet."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or bring those of an older version to this one; in one transaction."""
    connection.execute("BEGIN IMMEDIATE")  # rolled back with the connection
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise StorageError(f"{path}: made by a newer version ({version}, this one knows {VERSION})")
    for each in range(version or VERSION, VERSION):
        _run(connection, _UPGRADES.get(each, ""))
        for table, column in _ADDED.get(each + 1, ()):
            if _has(connection, table):
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    for file in sorted(Path(__file__).parent.glob("*.sql")):
        _run(connection, file.read_text(encoding="utf-8"))
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _has(connection: sqlite3.Connection, table: str) -> bool:
    named = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(named, (table,)).fetchone() is not None


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in _statements(script):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """Statements one by one: ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
