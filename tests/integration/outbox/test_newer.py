"""A gateway whose program was set back to an older one: it refuses what a newer one has written.

Damaged or not: set aside, its rows would be taken for damage, and named as lost.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_engine import database_of, everything, numbered, opened_engine
from support.outbox_records import record
from wardlight_edge.outbox import file as outbox_file
from wardlight_edge.outbox import mending
from wardlight_shared.errors import ConfigError

PAGE = 4096
NEWER = outbox_file.SCHEMA + 1


def noise(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(random.Random(page).randbytes(PAGE))


def damaged_first(path: Path) -> None:
    noise(path, 0)


def damaged_behind(path: Path) -> None:
    noise(path, path.stat().st_size // PAGE - 1)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - PAGE)


def damaged_log(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"no log at all" * 4096)


def used_without_log(path: Path) -> None:
    trace = path.with_name(path.name + ".trace")
    trace.write_text(trace.read_text().replace("shut", "used"))


DAMAGES = [damaged_first, damaged_behind, cut, damaged_log, used_without_log]


def made_by_newer(path: Path, clock: ManualClock) -> None:
    outbox = opened_engine(path, clock)
    outbox.append([[record(clock, number) for number in range(80)]])
    database_of(outbox).execute("UPDATE meta SET value = ? WHERE name = 'schema'", (NEWER,))
    outbox.close()


def content_of(folder: Path) -> dict[str, bytes]:
    """Without the header, where SQLite counts how often the file was opened."""
    return {one.name: one.read_bytes()[100:] for one in folder.iterdir()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_a_newer_program_is_refused_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    made_by_newer(path, clock)
    damage(path)
    before = content_of(tmp_path)
    for _ in range(2):
        with pytest.raises(ConfigError, match="newer"):
            opened_engine(path, clock)
    assert content_of(tmp_path) == before
    monkeypatch.setattr(outbox_file, "SCHEMA", NEWER)  # the newer program is back
    outbox = opened_engine(path, clock)
    while outbox.rest():
        pass
    assert numbered(everything(outbox))
    outbox.close()


def test_so_is_one_that_the_newer_program_has_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor is gone, so that nothing but the file set aside says who was here."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    made_by_newer(path, clock)
    noise(path, path.stat().st_size // PAGE - 1)
    with monkeypatch.context() as newer:
        newer.setattr(outbox_file, "SCHEMA", NEWER)
        opened_engine(path, clock).close()
    [kept] = [one for one in tmp_path.glob("*.aside-*") if one.suffix != ".trace"]
    content = kept.read_bytes()
    path.unlink()
    with pytest.raises(ConfigError, match="newer"):
        opened_engine(path, clock)
    assert kept.read_bytes() == content
    assert not path.exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_this_program_tells_its_schema(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    clock, path = ManualClock(), tmp_path / "outbox.db"
    outbox = opened_engine(path, clock)
    outbox.append([[record(clock, number) for number in range(80)]])
    outbox.close()
    damage(path)
    before = content_of(tmp_path)
    assert mending.schema_of(path) == outbox_file.SCHEMA
    assert content_of(tmp_path) == before


def test_a_file_of_noise_tells_none(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(random.Random(1).randbytes(40 * PAGE))
    assert mending.schema_of(path) is None
    path.write_bytes(b"short")
    assert mending.schema_of(path) is None
