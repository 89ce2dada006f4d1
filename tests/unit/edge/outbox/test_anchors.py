"""Which anchors stay: those that keep the bounds small."""

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.outbox.anchors import keep_best
from wardlight_shared.timestamps import Anchor, ClockQuality, resolve

anchor = st.builds(
    Anchor,
    boot=st.just(1),
    mono_ms=st.integers(0, 400_000_000),
    utc_ms=st.just(0),
    error_ms=st.none() | st.integers(0, 5000),
    quality=st.sampled_from(ClockQuality),
)


def bound(mono_ms: int, anchors: list[Anchor]) -> float:
    found = resolve(1, mono_ms, anchors)
    assert found is not None
    return float("inf") if found.error_ms is None else found.error_ms


@given(st.lists(anchor, min_size=1, max_size=12), st.integers(0, 500_000_000))
def test_no_bound_grows_while_there_is_room(anchors: list[Anchor], mono_ms: int) -> None:
    assert bound(mono_ms, keep_best(anchors, 12)) == bound(mono_ms, anchors)


@given(st.lists(anchor, min_size=1, max_size=40))
def test_at_most_so_many_stay_in_order(anchors: list[Anchor]) -> None:
    kept = keep_best(anchors, 5)
    assert 1 <= len(kept) <= 5
    assert kept == sorted(kept, key=lambda one: one.mono_ms)
    moments = [one.mono_ms for one in anchors]
    assert {one.mono_ms for one in kept} <= set(moments)


def test_a_better_anchor_nearby_replaces_a_worse_one_that_is_no_turn_of_the_line() -> None:
    first = Anchor(1, 0, 0, 1000, ClockQuality.SERVER, is_turn=True)
    worse = Anchor(1, 1000, 1000, 500, ClockQuality.SERVER)
    better = Anchor(1, 61_000, 61_000, 5, ClockQuality.SERVER)
    assert keep_best([first, worse, better]) == [first, better]


def test_the_first_anchor_and_those_that_know_better_are_turns() -> None:
    first = Anchor(1, 0, 0, 1000, ClockQuality.SERVER)
    near = Anchor(1, 1000, 1090, 2, ClockQuality.SERVER)
    off = Anchor(1, 2000, 2500, 3, ClockQuality.SERVER)
    kept: list[Anchor] = []
    for new in (first, near, off):
        kept = keep_best([*kept, new])
    assert [one.is_turn for one in kept] == [True, False, True]


def test_a_good_anchor_far_away_does_not_replace_one_here() -> None:
    """100 ppm over 72 h are 26 s: the first anchor still serves its own hours."""
    old = Anchor(1, 0, 0, 500, ClockQuality.SERVER)
    new = Anchor(1, 72 * 3_600_000, 1, 5, ClockQuality.SERVER)
    assert [one.mono_ms for one in keep_best([old, new])] == [old.mono_ms, new.mono_ms]
