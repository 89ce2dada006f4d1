"""Twenty devices for hours, time compressed: nothing is lost, nothing doubled, nothing grows.

In a process of its own, so that its memory is its own.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from wardlight_lab.soak.held import Held
from wardlight_lab.soak.verdict import Count, Outcome, judge

DEVICES = 20


def soaked(hours: float) -> dict[str, Any]:
    """The outcome of a soak; what is wrong fails the test with its sentences."""
    command = [sys.executable, "-m", "wardlight_lab.soak", "--hours", str(hours)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    outcome: dict[str, Any] = json.loads(result.stdout)
    assert outcome["wrong"] == [], result.stderr
    assert result.returncode == 0
    return outcome


@pytest.mark.timeout(400)
def test_half_an_hour_of_the_ward() -> None:
    outcome = soaked(0.5)
    counts = outcome["counts"]
    assert len(counts) == DEVICES
    assert sum(count["stored_numbers"] for count in counts) > 40_000
    assert max(count["stored_samples"] for count in counts) > 200_000, "the ECG"
    assert sum(count["gaps"] for count in counts) >= 8, "links were lost"
    assert outcome["outages"] == 1


@pytest.mark.long
def test_a_day_of_the_ward() -> None:
    outcome = soaked(24)
    counts = outcome["counts"]
    assert len(counts) == DEVICES
    assert sum(count["stored_numbers"] for count in counts) > 2_500_000
    assert max(count["stored_samples"] for count in counts) > 10_000_000
    assert outcome["outages"] == 12


def outcome_of(*, kilobytes: int = 0, tasks: int = 0, stored: int = 10, gaps: int = 1) -> Outcome:
    count = Count("ble:1", 10, stored, 130, 130, framed=0, losses=2, gaps=gaps)
    held = [
        Held(second, 50_000 + kilobytes * second, 12, 40 + tasks * second, 45_000)
        for second in range(9)
    ]
    return Outcome(1, 10, 0, 0, 0, 0, [count], held)


def test_the_verdict_sees_what_is_wrong() -> None:
    assert judge(outcome_of()) == []
    assert judge(outcome_of(stored=9)) == ["ble:1: 10 numbers, 9 stored"]
    assert judge(outcome_of(stored=11)) == ["ble:1: 10 numbers, 11 stored"]
    assert judge(outcome_of(gaps=0)) == ["ble:1: 2 ends of links, 0 gaps named"]
    assert "6000 more KB of memory" in judge(outcome_of(kilobytes=1000))[0]
    assert "6 more tasks" in judge(outcome_of(tasks=1))[0]
