"""Nothing accepted is lost, nothing is stored twice, every gap is named: the campaign in short."""

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from wardlight_lab.chaos.damage import KINDS, damage
from wardlight_lab.chaos.faults import DECK, schedule
from wardlight_lab.chaos.ledger import Accepted
from wardlight_lab.chaos.radio import EventVerdict
from wardlight_lab.chaos.streams import StreamVerdict
from wardlight_lab.chaos.verdict import Named, Verdict, judge

SEED = 18692
"""Every kill, a damaged outbox, a frozen collector, a stalled link."""
ROUNDS = 10


@pytest.mark.timeout(400)
def test_faults_of_every_kind_lose_and_double_nothing_and_every_gap_is_named(
    tmp_path: Path,
) -> None:
    command = [
        sys.executable, "-m", "wardlight_lab", "chaos", "--rounds", str(ROUNDS),
        "--seed", str(SEED), "--data-dir", str(tmp_path / "world"), "--json",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    outcome = json.loads(result.stdout)
    verdict, streams = outcome["verdict"], outcome["verdict"]["streams"]
    assert verdict["accepted"] > 500
    assert (verdict["lost"], verdict["double"], verdict["missing_records"]) == (0, 0, 0), outcome
    assert streams["samples"] > 10
    assert (streams["unexplained"], streams["kills_without_gap"]) == (0, 0), outcome
    assert outcome["good"], outcome
    assert result.returncode == 0
    assert f"{ROUNDS}/{ROUNDS}: " in result.stderr


def test_the_seed_of_the_short_form_kills_every_process() -> None:
    cards = [(fault.kind, fault.target) for fault in schedule(ROUNDS, SEED)]
    assert cards.count(("kill", "daemon")) >= 2
    assert {card for card in DECK if card[0] == "kill"} <= set(cards)
    assert {"freeze", "stall", "damage"} <= {kind for kind, _ in cards}


def test_schedule_follows_from_the_seed_and_plays_the_whole_deck() -> None:
    assert list(schedule(40, 3)) == list(schedule(40, 3))
    assert list(schedule(40, 3)) != list(schedule(40, 4))
    cards = [(fault.kind, fault.target) for fault in schedule(len(DECK), 5)]
    assert sorted(cards) == sorted(DECK)


CLEAN: Final = {"missing_records": 0, "rejected": 0, "quarantined": 0}
NONE: Final = Named({}, 0)


def judged(
    accepted: list[Accepted],
    stored: dict[int, int],
    *,
    named: Named = NONE,
    damages: Sequence[str] = (),
    streams: StreamVerdict | None = None,
    wrong: str | None = None,
) -> Verdict:
    numbers = {**CLEAN, **({} if wrong is None else {wrong: 1})}
    streams = streams or StreamVerdict(samples=1)
    return judge(accepted, stored, streams, EventVerdict(), named=named, damages=damages, **numbers)


def test_judge_sees_a_loss_a_double_and_a_late_ledger_line() -> None:
    accepted = [Accepted(1, 3, 9, (1, 2, 3)), Accepted(10, 2, 9, (4, 5))]
    verdict = judged(accepted, {1: 1, 3: 2, 10: 1, 11: 1, 99: 1})
    assert (verdict.accepted, verdict.lost, verdict.double, verdict.unknown) == (5, 1, 1, 1)
    assert verdict.first_lost == (2,)
    assert not verdict.is_good
    assert judged([Accepted(1, 2, 9, (1, 2))], {1: 1, 2: 1}).is_good


@pytest.mark.parametrize("wrong", sorted(CLEAN))
def test_judge_wants_every_record_accounted_for(wrong: str) -> None:
    assert not judged([Accepted(1, 2, 9, (1, 2))], {1: 1, 2: 1}, wrong=wrong).is_good


def test_judge_wants_the_streams_good_too() -> None:
    bad = StreamVerdict(samples=1, unexplained=1)
    assert not judged([Accepted(1, 1, 9, (1,))], {1: 1}, streams=bad).is_good


BLOCK = Accepted(1, 32, 9, (7, 8, 9))


def test_what_a_damaged_outbox_took_must_be_named_record_by_record() -> None:
    stored = dict.fromkeys([1, 2], 1)  # the block, seq 9, is lost
    named = judged([BLOCK], stored, named=Named({9: [(9, 9)]}, 0), damages=["pages"])
    assert (named.destroyed, named.lost) == (30, 0)
    assert named.is_good
    other = judged([BLOCK], stored, named=Named({9: [(7, 8)], 8: [(1, 99)]}, 0), damages=["pages"])
    assert (other.destroyed, other.lost) == (0, 30)
    assert not other.is_good


def test_nothing_may_be_destroyed_where_nothing_was_damaged() -> None:
    verdict = judged([BLOCK], dict.fromkeys([1, 2], 1), named=Named({9: [(9, 9)]}, 0))
    assert not verdict.is_good


def test_a_whole_outbox_may_be_named_without_numbers_but_only_once() -> None:
    accepted = [BLOCK, Accepted(100, 1, 10, (1,))]
    once = judged(accepted, {100: 1}, named=Named({}, 1), damages=["garbage"])
    assert (once.destroyed, once.lost) == (32, 0)
    assert judged(accepted, {}, named=Named({}, 1), damages=["garbage"]).lost == 1


@pytest.mark.parametrize("kind", KINDS)
def test_damage_leaves_a_file_that_is_damaged_and_a_log(tmp_path: Path, kind: str) -> None:
    outbox = tmp_path / "outbox.sqlite"
    with closing(sqlite3.connect(outbox)) as database:
        database.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        database.executemany("INSERT INTO t VALUES (?)", [(b"x" * 900,)] * 400)
        database.commit()
    seed = next(seed for seed in range(99) if random.Random(seed).choice(KINDS) == kind)
    before = outbox.read_bytes()
    assert damage(outbox, random.Random(seed)) == kind
    assert outbox.read_bytes() != before
    assert outbox.with_name("outbox.sqlite-wal").read_bytes() == b""
    assert damage(outbox, random.Random(seed)) == kind
