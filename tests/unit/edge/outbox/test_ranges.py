"""RangeSet against a plain set."""

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.outbox.ranges import RangeSet, runs

span = st.tuples(st.integers(0, 60), st.integers(-2, 12)).map(lambda pair: (pair[0], sum(pair)))
steps = st.lists(st.tuples(st.booleans(), span), max_size=25)


def integers(ranges: RangeSet) -> set[int]:
    return {value for first, last in ranges for value in range(first, last + 1)}


@given(steps)
def test_add_and_remove_are_those_of_a_set(steps: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, plain = RangeSet(), set[int]()
    for is_addition, (first, last) in steps:
        if is_addition:
            ranges.add(first, last)
            plain |= set(range(first, last + 1))
        else:
            ranges.remove(first, last)
            plain -= set(range(first, last + 1))
        assert integers(ranges) == plain
        assert ranges.count == len(plain)
    assert list(ranges) == runs(sorted(plain))  # disjoint, ascending, not adjacent


@given(steps, span)
def test_questions(steps: list[tuple[bool, tuple[int, int]]], asked: tuple[int, int]) -> None:
    ranges = RangeSet(one for is_addition, one in steps if is_addition)
    plain = integers(ranges)
    wanted = set(range(asked[0], asked[1] + 1))
    assert (asked[0] in ranges) == (asked[0] in plain)
    if wanted:
        assert ranges.overlaps(*asked) == bool(wanted & plain)
        assert ranges.covers(*asked) == (wanted <= plain)


def test_runs() -> None:
    assert runs([]) == []
    assert runs([4]) == [(4, 4)]
    assert runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


def test_other_things_are_not_in_it() -> None:
    assert "1" not in RangeSet([(1, 2)])
