"""Images and vital signs on a narrow link, the campaign in short: `python -m wardlight_lab.wan`.

Of the short form only what no machine is too slow for is asserted; latencies are the campaign's.
It runs with the campaigns: that a transfer goes on where a cut ended it, and that known files cost
no octets, is proved in tests/integration/ingest, too.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from wardlight_lab.wan.instance import instance_file
from wardlight_lab.wan.run import Outcome, Plan

GOOD = Outcome(
    plan=Plan(), cuts=5, seconds=350.0, alone_p50_s=0.2, alone_p95_s=0.2, beside_p50_s=0.5,
    beside_p95_s=0.8, beside_max_s=2.5, records=700, again=0.01, line_share=0.9, known_octets=0,
    stored_right=1, entries=1,
)  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("way", [[], ["--https"]], ids=["mqtt", "https"])
def test_images_arrive_right_over_a_line_that_is_cut_beside_vital_signs(
    tmp_path: Path, way: list[str]
) -> None:
    command = [
        sys.executable, "-m", "wardlight_lab.wan", "--image", "700000", "--image", "3000",
        "--kbit", "1000", "--cut-every", "3", "--cuts", "2", "--alone", "1", "--json",
        "--data-dir", str(tmp_path / "world"), *way,
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    outcome = json.loads(result.stdout)
    assert outcome["cuts"] >= 1
    assert outcome["known_octets"] == 0
    assert (outcome["stored_right"], outcome["entries"]) == (2, 2)
    assert outcome["right"]
    assert result.returncode == (0 if outcome["good"] else 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("beside_p95_s", 2.0), ("again", 0.031), ("known_octets", 1), ("stored_right", 0),
     ("entries", 2)],
)  # fmt: skip
def test_each_promise_can_fail(name: str, value: float) -> None:
    assert GOOD.is_good
    changed: dict[str, object] = {name: value}
    bad = dataclasses.replace(GOOD, **changed)  # type: ignore[arg-type]
    assert not bad.is_good
    assert bad.is_right == (name in ("beside_p95_s", "again")), "a clock makes nothing wrong"


def test_an_instance_is_the_same_each_time_and_of_its_size() -> None:
    name, octets = instance_file(50_000, 1)
    assert instance_file(50_000, 1) == (name, octets)
    assert 48_000 < len(octets) < 52_000
