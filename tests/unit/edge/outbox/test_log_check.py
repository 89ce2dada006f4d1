"""The check of the log against the logs that SQLite itself writes."""

import random
import shutil
from pathlib import Path

import pytest

from wardlight_edge.outbox.database import PAGE_BYTES, Database
from wardlight_edge.outbox.log_check import is_log_damaged

FRAME = 24 + PAGE_BYTES
LOG_HEADER = 32


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def killed(folder: Path, *, rounds: int = 1, commits: int = 30, rolled_back: bool = False) -> Path:
    """What a kill leaves: a log with frames of earlier rounds behind those of the present one."""
    path = folder / "outbox.db"
    database = Database(path)
    with database.transaction():
        database.create_schema()
    for turn in range(rounds):
        # The last round is short: behind it stand frames of the one before.
        for number in range(commits if turn == 0 else 3):
            with database.transaction():
                seq = turn * commits + number + 1
                row = (seq, 1, 1, 1, None, bytes(3000))
                database.insert_flat("INSERT INTO record VALUES ", 6, row)
        if turn + 1 < rounds:
            database.execute("PRAGMA wal_checkpoint(RESTART)")
    if rolled_back:
        with pytest.raises(KeyError), database.transaction():
            for seq in range(10_000, 12_000):
                row = (seq, 1, 1, 1, None, bytes(3000))
                database.insert_flat("INSERT INTO record VALUES ", 6, row)
            raise KeyError
    left = folder / "left.db"
    shutil.copy(path, left)
    shutil.copy(log_of(path), log_of(left))
    database.close()
    return log_of(left)


@pytest.mark.parametrize("rounds", [1, 2, 4])
@pytest.mark.parametrize("rolled_back", [False, True])
def test_what_sqlite_leaves_is_sound(tmp_path: Path, rounds: int, rolled_back: bool) -> None:
    log = killed(tmp_path, rounds=rounds, rolled_back=rolled_back)
    assert not is_log_damaged(log, log.stat().st_size)


@pytest.mark.parametrize("seed", range(40))
def test_any_changed_byte_in_front_of_a_commit_is_found(tmp_path: Path, seed: int) -> None:
    noise = random.Random(seed)
    log = killed(tmp_path)
    content = bytearray(log.read_bytes())
    at = noise.randrange(len(content) - 4 * FRAME)
    if at >= LOG_HEADER:
        content[at] ^= noise.randrange(1, 256)
    else:
        at = noise.choice([0, 8, 16, 24])  # magic, page size, salt, checksum
        content[at] ^= noise.randrange(1, 256)
    log.write_bytes(content)
    assert is_log_damaged(log, 0)


def test_a_shorter_log_is_found(tmp_path: Path) -> None:
    log = killed(tmp_path)
    size = log.stat().st_size
    log.write_bytes(log.read_bytes()[:-1])
    assert is_log_damaged(log, size)
    assert not is_log_damaged(log, size - FRAME)


def test_no_log_is_sound_where_there_was_none(tmp_path: Path) -> None:
    log = tmp_path / "outbox.db-wal"
    assert not is_log_damaged(log, 0)
    assert is_log_damaged(log, 1)
    log.touch()
    assert not is_log_damaged(log, 0)
