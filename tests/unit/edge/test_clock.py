"""The machine's zone, as the kernel's clocks tell it."""

import time
from collections.abc import Iterator

import pytest

from wardlight_edge.clock import SystemClock


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [("UTC", 0), ("ABC-5:30", 330), ("ABC-14", 840), ("ABC12", -720), ("ABC-20", 0), ("ABC15", 0)],
    indirect=["zone"],
)
def test_the_offset_of_a_place_or_none(zone: None, minutes: int) -> None:
    """POSIX takes 24 h and more; no place is further from UTC than 14 h."""
    assert SystemClock().offset_min() == minutes
