"""How long a child stays dead."""

from hypothesis import given
from hypothesis import strategies as st

from wardlight_lab.supervise.backoff import is_looping, restart_pause_s


def test_a_child_that_lived_comes_back_at_once() -> None:
    assert restart_pause_s(0) == 0


@given(st.integers(min_value=0, max_value=1000))
def test_it_is_back_within_two_seconds_or_it_is_looping(fast_deaths: int) -> None:
    assert is_looping(fast_deaths) or restart_pause_s(fast_deaths) < 2


@given(st.integers(min_value=0, max_value=1000))
def test_pauses_grow_and_are_bounded(fast_deaths: int) -> None:
    assert restart_pause_s(fast_deaths) <= restart_pause_s(fast_deaths + 1) <= 30
