"""Leaves against SQLite itself: the same rows, whatever their sizes; and any bytes are survived."""

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.leaves import Leaves

PAGE = 4096
EVERY = (1, 1 << 40)
_SIZES = st.lists(
    st.one_of(st.integers(0, 200), st.integers(4000, 4200), st.integers(0, 30_000)),
    min_size=1,
    max_size=40,
)


def make(path: Path, sizes: list[int], removed: list[int]) -> None:
    database = Database(path)
    with database.transaction():
        database.create_schema()
    noise = random.Random(len(sizes))
    with database.transaction():
        for seq, size in enumerate(sizes, 1):
            event = noise.randbytes(16) if seq % 3 == 0 else None
            row = (seq * seq, seq % 4, 1, 1 << 20, event, noise.randbytes(size))
            database.insert_flat("INSERT INTO record VALUES ", 6, row)
        for seq in removed:
            database.execute("DELETE FROM record WHERE seq = ?", (seq * seq,))
    database.close()


def by_sqlite(path: Path) -> list[tuple[int, bytes | None, bytes]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT seq, event_id, body FROM record ORDER BY seq").fetchall()
    connection.close()
    return rows


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=_SIZES, removed=st.lists(st.integers(1, 40), max_size=30, unique=True))
def test_leaves_hold_what_sqlite_finds(
    tmp_path: Path, sizes: list[int], removed: list[int]
) -> None:
    path = tmp_path / "outbox.db"
    path.unlink(missing_ok=True)
    make(path, sizes, removed)
    rows = by_sqlite(path)
    assert list(Leaves(path).rows(*EVERY)) == rows
    if rows:
        middle = rows[len(rows) // 2][0]
        assert list(Leaves(path).rows(middle, middle)) == [rows[len(rows) // 2]]


def test_removed_rows_do_not_come_back(tmp_path: Path) -> None:
    """Pages that SQLite has freed still hold the old bytes."""
    path = tmp_path / "outbox.db"
    make(path, [500] * 200, list(range(1, 180)))
    assert path.read_bytes()  # freed pages are still in the file
    assert [seq for seq, _, _ in Leaves(path).rows(*EVERY)] == [n * n for n in range(180, 201)]


@pytest.mark.parametrize("content", [bytes(PAGE), random.Random(1).randbytes(PAGE)])
def test_a_damaged_page_map_hides_no_row(tmp_path: Path, content: bytes) -> None:
    """Then removed rows may come back, and a row may come twice."""
    path = tmp_path / "outbox.db"
    make(path, [500] * 200, list(range(1, 100)))
    whole = by_sqlite(path)
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(content)
    found = list(Leaves(path).rows(*EVERY))
    assert set(whole) <= set(found)
    assert [seq for seq, _, _ in found] == sorted(seq for seq, _, _ in found)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_pages_cost_their_rows_only(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "outbox.db"
    make(path, [120] * 1500, [])
    whole = by_sqlite(path)
    noise = random.Random(seed)
    content = bytearray(path.read_bytes())
    page = noise.randrange(2, len(content) // PAGE)  # not the header, not the pointer map
    content[page * PAGE : (page + 1) * PAGE] = noise.randbytes(PAGE)
    path.write_bytes(content)
    found = list(Leaves(path).rows(*EVERY))
    assert set(found) <= set(whole)
    assert len(found) >= len(whole) - 30


@given(octets=st.binary(max_size=3 * PAGE), pages=st.integers(0, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_without_an_error(tmp_path: Path, octets: bytes, pages: int) -> None:
    path = tmp_path / "outbox.db"
    header = bytes(PAGE) + (b"\x05\x00\x00\x00\x00" * PAGE)[:PAGE]
    path.write_bytes(header + octets.ljust(pages * PAGE, b"\x0d"))
    list(Leaves(path).rows(*EVERY))
