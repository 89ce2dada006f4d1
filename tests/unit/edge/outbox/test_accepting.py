"""What an append has committed is accepted, whatever fails after it: never stored twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_engine import (
    current,
    damage_row,
    database_of,
    everything,
    numbered,
    opened_engine,
)
from support.outbox_records import body, record, waveform
from wardlight_edge.outbox.base import Choice, Level, NewRecord
from wardlight_edge.outbox.database import Database, DiskFull
from wardlight_edge.outbox.engine import Engine
from wardlight_edge.outbox.open_outbox import OpenOutbox
from wardlight_edge.outbox.thinning import Thinner
from wardlight_edge.outbox.upkeep import Upkeep
from wardlight_shared.errors import OutboxCorrupt, OutboxFull, StorageError
from wardlight_shared.records import Lane

MUCH = 1 << 30
QUOTA = 2 << 20
FILL = {body(1, 250), body(1)}
FAILURES = [DiskFull("no room"), OutboxCorrupt("row 9 is damaged"), StorageError("pulled out")]


def fill_to(outbox: Engine, clock: ManualClock, level: Level) -> None:
    """With records that thinning leaves alone."""
    one = NewRecord(Lane.LIVE, None, clock.mono_ms(), clock.wall_ms(), body(1, 250))
    while outbox.status().level is not level:
        outbox.append([[one] * 40])


def failing(error: StorageError, after: int = 0) -> Callable[..., int]:
    """A step that removes nothing, and fails once."""
    calls = 0

    def step(*_: object) -> int:
        nonlocal calls
        calls += 1
        if calls == after + 1:
            raise error
        return 0 if calls > after else 1

    return step


def numbers(outbox: Engine, folder: Path) -> list[int]:
    """Numbers from 42 on, once the old files are worked through; each once."""
    while outbox.rest():
        pass
    assert not list(folder.glob("*.aside-*"))
    held = [one for one in everything(outbox) if one.body not in FILL]
    return sorted(numbered(held))


@pytest.mark.parametrize("error", FAILURES)
def test_records_are_accepted_though_thinning_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: StorageError
) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock, quota_bytes=QUOTA)
    outbox.append([[waveform(clock)]])
    fill_to(outbox, clock, Level.WARN)
    monkeypatch.setattr(type(current(outbox).thinner), "step", failing(error))
    monkeypatch.setattr("wardlight_edge.outbox.space.Space.wants_thinning", True)
    results = outbox.append([[record(clock, 42)], [record(clock, 43), record(clock, 44)]])
    monkeypatch.undo()
    accepted = [seq for one in results if isinstance(one, list) for seq in one]
    assert len(accepted) == len(set(accepted)) == 3
    assert outbox.status().refused == 0
    assert numbers(outbox, tmp_path) == [42, 43, 44]
    outbox.close()


@pytest.mark.parametrize("error", FAILURES)
def test_records_are_accepted_though_the_room_cannot_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: StorageError
) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock, quota_bytes=QUOTA)
    fill_to(outbox, clock, Level.WARN)
    measure = Database.used_bytes
    fails = failing(error)

    def used_bytes(database: Database) -> int:
        fails()
        return measure(database)

    monkeypatch.setattr(Database, "used_bytes", used_bytes)
    results = outbox.append([[record(clock, 42)]])
    monkeypatch.undo()
    assert [len(one) for one in results if isinstance(one, list)] == [1]
    assert numbers(outbox, tmp_path) == [42]
    outbox.close()


@pytest.mark.parametrize("error", FAILURES)
def test_calls_of_one_group_keep_their_own_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: StorageError
) -> None:
    """The large one is refused, the small one committed; then making room for the large fails."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock, quota_bytes=QUOTA)
    outbox.append([[waveform(clock)]])
    monkeypatch.setattr(Thinner, "step", failing(error))
    large = [record(clock, 1)] * 40_000
    refused, accepted = outbox.append([large, [record(clock, 42)]])
    monkeypatch.undo()
    assert isinstance(refused, OutboxFull)
    assert isinstance(accepted, list)
    assert numbers(outbox, tmp_path) == [42]
    assert outbox.status().refused == len(large)
    outbox.close()


def test_the_first_record_is_accepted_without_a_look_at_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that fails after the COMMIT would say that nothing was stored."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    rows = current(outbox).rows
    monkeypatch.setattr(rows, "_find_lowest", lambda: pytest.fail("read after the COMMIT"))
    clock.advance(1)
    assert outbox.append([[record(clock, 42), record(clock, 43)]]) == [[1, 2]]
    status = outbox.status()
    assert (status.lowest, status.oldest_wall_ms) == (1, clock.wall_ms())
    outbox.close()


def test_thinning_that_failed_is_done_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock, quota_bytes=QUOTA)
    outbox.append([[waveform(clock) for _ in range(30)]])
    thin = Upkeep.thin
    fails = failing(DiskFull("no room"))

    def once(upkeep: Upkeep, now: OpenOutbox) -> int:
        fails()
        return thin(upkeep, now)

    monkeypatch.setattr(Upkeep, "thin", once)
    while not outbox.status().thinned:
        fill = [record(clock, 1)] * 50
        [result] = outbox.append([fill])
        assert isinstance(result, list)
        while outbox.rest():
            pass
    assert outbox.status().thinned == 30
    outbox.close()


def test_records_that_nobody_got_wait_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full just when a damaged row is to be named."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    outbox.append([[record(clock, 1)] * 20])
    outbox.append([[record(clock, number) for number in range(21, 41)]])
    damage_row(outbox, 1)
    bury = OpenOutbox.bury
    fails = failing(DiskFull("no room"))

    def once(now: OpenOutbox, damaged: list[tuple[int, int]]) -> None:
        fails()
        bury(now, damaged)

    monkeypatch.setattr(OpenOutbox, "bury", once)
    with pytest.raises(DiskFull):
        outbox.take(Choice.LIVE, MUCH, MUCH)
    assert sorted(numbered(outbox.take(Choice.LIVE, MUCH, MUCH))) == list(range(21, 41))
    assert int(database_of(outbox).value("SELECT min(seq) FROM record")) == 21
    outbox.close()
