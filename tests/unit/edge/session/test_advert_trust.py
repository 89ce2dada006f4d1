"""What is said of a device that cannot be believed, and what a stranger can make of it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices import Refusal
from wardlight_edge.sessions.advert_trust import MOST_KEPT, QUIET_MS, REASONS, Trust


def state(trust: Trust) -> str | None:
    return None if trust.trouble is None else trust.trouble[0]


def test_every_refusal_has_a_reason_that_says_what_to_do() -> None:
    assert set(REASONS) == set(Refusal)
    for refusal in Refusal:
        trust = Trust()
        trust.refused(refusal, 0)
        assert trust.trouble == (refusal.value, REASONS[refusal])


def test_trouble_ends_with_a_genuine_advert() -> None:
    trust = Trust()
    trust.refused(Refusal.WRONG_KEY, 0)
    trust.genuine(1)
    assert trust.trouble is None


def test_a_stranger_makes_no_trouble_while_the_device_is_heard() -> None:
    trust = Trust()
    trust.genuine(0)
    trust.refused(Refusal.NOT_ENCRYPTED, QUIET_MS)
    assert trust.trouble is None
    trust.refused(Refusal.NOT_ENCRYPTED, QUIET_MS + 1)
    assert state(trust) == "not-encrypted"


def test_causes_that_change_by_the_second_are_told_once_a_minute() -> None:
    trust = Trust()
    states = []
    for second in range(180):
        refusal = Refusal.NOT_ENCRYPTED if second % 2 else Refusal.WRONG_KEY
        trust.refused(refusal, second * 1000)
        states.append(state(trust))
    changes = [now for before, now in pairwise(states) if before != now]
    assert len(changes) <= 3


@given(moments=st.lists(st.integers(0, 300_000), max_size=200))
def test_few_refused_adverts_are_kept(moments: list[int]) -> None:
    trust = Trust()
    kept = [moment for moment in sorted(moments) if trust.may_keep(moment)]
    for moment in kept:
        assert sum(moment <= other < moment + QUIET_MS for other in kept) <= MOST_KEPT
