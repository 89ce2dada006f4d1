"""Pauses between tries."""

import random

from wardlight_edge.uplink.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew() -> None:
    backoff = Backoff(0.5, 30.0, random.Random(1))
    pauses = [backoff.failed() for _ in range(100)]
    for place, pause in enumerate(pauses):
        middle = min(30.0, 0.5 * 2**place)
        assert 0.75 * middle <= pause <= 1.25 * middle
    backoff.succeeded()
    assert backoff.failed() <= 0.625


def test_gateways_do_not_come_back_in_one_moment() -> None:
    pauses = {Backoff(10.0, 10.0, random.Random(seed)).failed() for seed in range(50)}
    assert len(pauses) == 50
    assert max(pauses) - min(pauses) > 3.0
