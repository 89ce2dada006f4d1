"""How long a child stays dead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_lab.supervise.backoff import is_fast_death, is_looping, restart_pause_s


@pytest.mark.parametrize(
    ("ready_for_s", "exit_code", "fast"),
    [
        (None, 1, True),
        (None, -9, True),
        (0.5, 1, True),
        (0.5, 0, True),
        (0.5, -11, True),
        (0.5, -9, False),
        (2.0, 1, False),
    ],
)
def test_a_kill_of_a_ready_child_is_no_fast_death(
    ready_for_s: float | None, exit_code: int, fast: bool
) -> None:
    assert is_fast_death(ready_for_s, exit_code) is fast


def test_a_child_that_lived_comes_back_at_once() -> None:
    assert restart_pause_s(0) == 0


@given(st.integers(min_value=0, max_value=1000))
def test_it_is_back_within_two_seconds_or_it_is_looping(fast_deaths: int) -> None:
    assert is_looping(fast_deaths) or restart_pause_s(fast_deaths) < 2


@given(st.integers(min_value=0, max_value=1000))
def test_pauses_grow_and_are_bounded(fast_deaths: int) -> None:
    assert restart_pause_s(fast_deaths) <= restart_pause_s(fast_deaths + 1) <= 30
