"""Rows damaged in the open file, which lie about their length: only they go, and all is named.

How many records a row holds stands in clear beside what is sealed. Of a row that does not open
nothing vouches for it.
"""

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
    settled,
)
from support.outbox_records import record
from wardlight_edge.outbox.base import Choice
from wardlight_edge.outbox.engine import Engine
from wardlight_shared.records import GapBody, Lane, Record, decode_body

MUCH = 1 << 30


def appended(outbox: Engine, clock: ManualClock, *lanes: Lane) -> None:
    """A row of 20 records for each lane, numbered like their seqs."""
    for place, lane in enumerate(lanes):
        first = 20 * place + 1
        outbox.append([[record(clock, number, lane) for number in range(first, first + 20)]])


def held_after_salvage(outbox: Engine) -> list[Record]:
    outbox.give_back(None)
    while outbox.rest():
        pass
    return everything(outbox)


def gaps(records: list[Record]) -> list[GapBody]:
    bodies = [decode_body(one.body) for one in records]
    return [one for one in bodies if isinstance(one, GapBody)]


@pytest.mark.parametrize("claimed", [21, 32, 33, 61])
def test_a_row_that_claims_numbers_of_the_next_takes_none_along(
    tmp_path: Path, claimed: int
) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    appended(outbox, clock, *[Lane.LIVE] * 4)
    damage_row(outbox, 1, claimed=claimed)
    outbox.take(Choice.LIVE, 1, MUCH)
    held = held_after_salvage(outbox)
    assert sorted(numbered(held)) == list(range(21, 81))
    outbox.close()


def test_neither_does_it_among_rows_of_other_queues(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    epoch = outbox.epoch
    appended(outbox, clock, Lane.BULK, Lane.LIVE, Lane.BULK)
    damage_row(outbox, 1, claimed=32)
    outbox.take(Choice.BULK, 1, MUCH)
    held = held_after_salvage(outbox)
    assert outbox.epoch == epoch
    assert sorted(numbered(held)) == list(range(21, 61))
    [gap] = gaps(held)
    assert (gap.count, gap.seqs) == (20, [(1, 20)])
    assert outbox.status().records == 41
    outbox.close()


@pytest.mark.parametrize("claimed", [2, 32])
def test_the_count_of_records_follows_the_file(tmp_path: Path, claimed: int) -> None:
    """The row counted for one record when it was accepted, and says two or 32 when it goes."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    outbox.append([[record(clock, 1, Lane.BULK)], [record(clock, n) for n in range(2, 41)]])
    assert settled(outbox, (2, 40)) == 39
    damage_row(outbox, 1, claimed=claimed)
    assert outbox.take(Choice.BULK, 1, MUCH) == []
    [gap] = gaps(everything(outbox))
    assert gap.seqs == [(1, 32)]
    assert outbox.status().records == 1
    assert settled(outbox, (1, 41)) == 1
    status = outbox.status()
    assert (status.records, status.lowest) == (0, 0)
    outbox.close()


def test_an_ack_removes_no_more_of_a_damaged_row_than_it_names(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    appended(outbox, clock, Lane.LIVE, Lane.LIVE)
    damage_row(outbox, 1, claimed=5)
    assert settled(outbox, (1, 10)) == 0
    [gap] = gaps(everything(outbox) + everything(outbox))
    assert gap.seqs == [(1, 20)]
    outbox.close()


@pytest.mark.parametrize("kind", ["kind % 16", "kind - 16 * 11", "kind + 16 * 5"])
def test_an_ack_of_a_part_finds_out_a_row_that_lies(tmp_path: Path, kind: str) -> None:
    """It opens: nothing of it is lost."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    appended(outbox, clock, Lane.LIVE, Lane.LIVE)
    database_of(outbox).execute(f"UPDATE record SET kind = {kind} WHERE seq = 1")
    settled(outbox, (1, 10))
    held = held_after_salvage(outbox)
    assert set(range(11, 41)) <= set(numbered(held))
    outbox.close()


@pytest.mark.parametrize("is_damaged", [True, False])
def test_a_rejection_does_not_take_a_whole_row_for_one_record(
    tmp_path: Path, *, is_damaged: bool
) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    appended(outbox, clock, Lane.LIVE, Lane.LIVE)
    if is_damaged:
        damage_row(outbox, 1, claimed=1)
    else:
        database_of(outbox).execute("UPDATE record SET kind = kind % 16 WHERE seq = 1")
    rows = current(outbox).rows
    if is_damaged:
        rows.settle([], [(1, "bad")])
        [gap] = gaps(everything(outbox) + everything(outbox))
        assert gap.seqs == [(1, 20)]
    else:
        outbox._run(lambda now: now.rows.settle([], [(1, "bad")]))
        assert set(range(2, 41)) <= set(numbered(held_after_salvage(outbox)))
    outbox.close()


def test_thinning_leaves_a_damaged_row_until_it_is_taken(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    appended(outbox, clock, Lane.BULK, Lane.LIVE, Lane.BULK)
    damage_row(outbox, 1, claimed=32)
    now = current(outbox)
    assert now.thinner.step(now.moment()) == 20
    assert now.thinner.step(now.moment()) == 0
    held = everything(outbox) + everything(outbox)
    assert sorted(numbered(held)) == list(range(21, 41))
    named = [(gap.cause, gap.count, gap.seqs) for gap in gaps(held)]
    assert named == [("thinned", 20, [(41, 60)]), ("corrupt", 20, [(1, 20)])]
    outbox.close()


@pytest.mark.parametrize("kind", ["kind % 16", "kind + 16"])
def test_thinning_finds_out_a_row_that_lies(tmp_path: Path, kind: str) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    appended(outbox, clock, Lane.BULK, Lane.LIVE)
    database_of(outbox).execute(f"UPDATE record SET kind = {kind} WHERE seq = 1")
    epoch = outbox.epoch
    outbox._run(lambda now: now.thinner.step(now.moment()))
    assert outbox.epoch != epoch
    assert sorted(numbered(held_after_salvage(outbox))) == list(range(1, 41))
    outbox.close()


@pytest.mark.parametrize(
    "acks",
    [
        [[(1, 3000)]],
        [[(1, 990), (991, 1010), (1011, 3000)]],
        [[(2000, 3000), (1, 1999)]],
        [[(1, 1000)], [(1, 3000)]],
        [[(1, 40), (42, 1041), (1043, 3000)], [(1, 3000)]],
    ],
)
def test_a_damaged_row_goes_with_the_ack_that_covers_it(
    tmp_path: Path, acks: list[list[tuple[int, int]]]
) -> None:
    """Wherever the parts end in which an ack is settled, and whatever ranges name it."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    outbox.append([[record(clock, number) for number in range(1, 3051)]])
    for (first,) in database_of(outbox).rows("SELECT seq FROM record WHERE seq < 2950"):
        damage_row(outbox, first)
    for ack in acks:
        settled(outbox, *ack)
    assert outbox.status().records == 50
    assert sorted(numbered(everything(outbox))) == list(range(3001, 3051))
    outbox.close()


def test_a_damaged_row_that_is_cut_out_of_an_ack_stays(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    appended(outbox, clock, *[Lane.LIVE] * 3)
    damage_row(outbox, 21)
    assert settled(outbox, (1, 30), (32, 60)) == 40
    [gap] = gaps(everything(outbox) + everything(outbox))
    assert gap.seqs is not None
    assert gap.seqs[0][0] == 21
    outbox.close()
