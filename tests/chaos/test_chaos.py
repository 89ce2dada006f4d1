"""Nothing accepted is lost, nothing is stored twice: the short form of the chaos campaign."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wardlight_lab.chaos.faults import schedule
from wardlight_lab.chaos.verdict import judge


def run(folder: Path, rounds: int, seed: int) -> dict[str, object]:
    command = [
        sys.executable, "-m", "wardlight_lab", "chaos", "--rounds", str(rounds),
        "--seed", str(seed), "--data-dir", str(folder), "--json",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    outcome: dict[str, object] = json.loads(result.stdout)
    return outcome


@pytest.mark.timeout(400)
def test_seven_faults_of_every_kind_lose_and_double_nothing(tmp_path: Path) -> None:
    outcome = run(tmp_path / "world", 7, 11)
    verdict = outcome["verdict"]
    assert isinstance(verdict, dict)
    assert verdict["accepted"] > 500
    assert (verdict["lost"], verdict["double"], verdict["missing_records"]) == (0, 0, 0), outcome
    assert outcome["good"]


def test_schedule_follows_from_the_seed_and_strikes_every_target() -> None:
    assert list(schedule(14, 3)) == list(schedule(14, 3))
    assert list(schedule(14, 3)) != list(schedule(14, 4))
    assert len({fault.target for fault in schedule(7, 5)}) == 7


def test_judge_sees_a_loss_a_double_and_a_late_ledger_line() -> None:
    verdict = judge(
        [(1, 3), (10, 11)], {1: 1, 3: 2, 10: 1, 11: 1, 99: 1}, missing_records=0, rejected=0
    )
    assert (verdict.accepted, verdict.lost, verdict.double, verdict.unknown) == (5, 1, 1, 1)
    assert verdict.first_lost == (2,)
    assert not verdict.is_good
    assert judge([(1, 2)], {1: 1, 2: 1}, missing_records=0, rejected=0).is_good
    assert not judge([(1, 2)], {1: 1, 2: 1}, missing_records=1, rejected=0).is_good
