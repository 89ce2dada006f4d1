"""Nothing accepted is lost, nothing is stored twice, every gap is named: the campaign in short."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wardlight_lab.chaos.faults import DECK, schedule
from wardlight_lab.chaos.streams import StreamVerdict
from wardlight_lab.chaos.verdict import judge

SEEDS = (7, 19)
"""Between them: every kill, the daemon's twice, a frozen collector, links cut and stalled."""
ROUNDS = 6


def start(folder: Path, seed: int) -> "subprocess.Popen[str]":
    command = [
        sys.executable, "-m", "wardlight_lab", "chaos", "--rounds", str(ROUNDS),
        "--seed", str(seed), "--data-dir", str(folder), "--json",
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(400)
def test_faults_of_every_kind_lose_and_double_nothing_and_every_gap_is_named(
    tmp_path: Path,
) -> None:
    campaigns = [start(tmp_path / str(seed), seed) for seed in SEEDS]
    for campaign in campaigns:
        out, progress = campaign.communicate()
        assert out, progress
        outcome = json.loads(out)
        verdict, streams = outcome["verdict"], outcome["verdict"]["streams"]
        assert verdict["accepted"] > 500
        assert (verdict["lost"], verdict["double"], verdict["missing_records"]) == (0, 0, 0), out
        assert streams["samples"] > 10
        assert (streams["unexplained"], streams["kills_without_gap"]) == (0, 0), out
        assert outcome["good"], out
        assert campaign.returncode == 0
        assert f"{ROUNDS}/{ROUNDS}: " in progress


def test_the_seeds_of_the_short_form_kill_every_process() -> None:
    cards = [(fault.kind, fault.target) for seed in SEEDS for fault in schedule(ROUNDS, seed)]
    assert cards.count(("kill", "daemon")) >= 2
    assert {card for card in DECK if card[0] == "kill"} <= set(cards)
    assert {"freeze", "stall"} <= {kind for kind, _ in cards}


def test_schedule_follows_from_the_seed_and_plays_the_whole_deck() -> None:
    assert list(schedule(40, 3)) == list(schedule(40, 3))
    assert list(schedule(40, 3)) != list(schedule(40, 4))
    cards = [(fault.kind, fault.target) for fault in schedule(len(DECK), 5)]
    assert sorted(cards) == sorted(DECK)


def streams() -> StreamVerdict:
    return StreamVerdict(samples=1)


def test_judge_sees_a_loss_a_double_and_a_late_ledger_line() -> None:
    clean = {"missing_records": 0, "rejected": 0, "quarantined": 0}
    stored = {1: 1, 3: 2, 10: 1, 11: 1, 99: 1}
    verdict = judge([(1, 3), (10, 11)], stored, streams(), **clean)
    assert (verdict.accepted, verdict.lost, verdict.double, verdict.unknown) == (5, 1, 1, 1)
    assert verdict.first_lost == (2,)
    assert not verdict.is_good
    assert judge([(1, 2)], {1: 1, 2: 1}, streams(), **clean).is_good


@pytest.mark.parametrize("name", ["missing_records", "rejected", "quarantined"])
def test_judge_wants_every_record_accounted_for(name: str) -> None:
    clean = {"missing_records": 0, "rejected": 0, "quarantined": 0}
    assert not judge([(1, 2)], {1: 1, 2: 1}, streams(), **{**clean, name: 1}).is_good


def test_judge_wants_the_streams_good_too() -> None:
    bad = StreamVerdict(samples=1, unexplained=1)
    verdict = judge([(1, 1)], {1: 1}, bad, missing_records=0, rejected=0, quarantined=0)
    assert not verdict.is_good
