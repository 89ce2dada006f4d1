"""How long a target rests that did not answer."""

from wardlight_cloud.dimse.resting import Resting
from wardlight_cloud.store.forwarding import ForwardTarget

A, B = ForwardTarget("A"), ForwardTarget(url="http://b.example")


def test_each_failure_in_a_row_makes_the_rest_longer_up_to_five_minutes() -> None:
    resting, now, rests = Resting(), 0.0, []
    for _ in range(12):
        resting.failed(A, now)
        rests.append(next(s for s in range(1, 1000) if not resting.now(now + s)))
        now += 1000.0
    assert rests == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]


def test_an_answer_ends_it_and_others_are_not_concerned() -> None:
    resting = Resting()
    resting.failed(A, 0.0)
    resting.failed(B, 0.0)
    resting.failed(B, 0.0)
    assert resting.now(1.0) == [A, B]
    assert resting.now(3.0) == [B]
    resting.answered(B)
    assert resting.now(3.0) == []
    resting.failed(B, 10.0)
    assert resting.now(12.5) == []
