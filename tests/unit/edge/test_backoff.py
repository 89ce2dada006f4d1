"""Waiting times between tries."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.backoff import SPREAD, Backoff


class _Middle(Random):
    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def test_it_doubles_up_to_its_longest_and_starts_again() -> None:
    backoff = Backoff(0.5, 4.0, _Middle())
    assert [backoff.failed() for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert backoff.failures == 5
    backoff.succeeded()
    assert backoff.failed() == 0.5


def test_a_kind_of_failure_has_its_own_start() -> None:
    backoff = Backoff(0.5, 60.0, _Middle())
    backoff.failed()
    assert backoff.failed(4.0) == 8.0


@given(st.integers(0, 200), st.integers(0, 1 << 32))
def test_it_stays_within_its_spread(failures: int, seed: int) -> None:
    backoff = Backoff(1.0, 30.0, Random(seed))
    for _ in range(failures):
        backoff.failed()
    wait = backoff.failed()
    nominal = min(2.0**failures, 30.0)
    assert nominal * (1 - SPREAD) <= wait <= nominal * (1 + SPREAD)


def test_gateways_do_not_come_back_in_one_moment() -> None:
    pauses = {Backoff(10.0, 10.0, Random(seed)).failed() for seed in range(50)}
    assert len(pauses) == 50
    assert max(pauses) - min(pauses) > 3.0
