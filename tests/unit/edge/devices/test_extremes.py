"""Many values a second reduced to median, lowest and highest: in order, as they were shown."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices import serial_contec
from wardlight_edge.devices._base import Frame
from wardlight_edge.devices._extremes import extremes, median

PAIRS = st.lists(st.tuples(st.integers(60, 100), st.integers(40, 200)), min_size=1, max_size=60)


def _second(pairs: list[tuple[int, int]]) -> Frame:
    """One second of a CMS50D+ that shows these (SpO2, pulse rate), and the frame behind it."""
    shown = [bytes((0x85, 30, 5, pulse, spo2)) for spo2, pulse in pairs]
    (frame,) = serial_contec.framer({}).feed(b"".join(shown) + shown[-1])
    return frame


def _values(frame: Frame) -> list[tuple[int, int]]:
    found = []
    for readings in (*frame.before, frame.readings, *frame.after):
        spo2, pulse = (each.value for each in readings)
        assert isinstance(spo2, Decimal)
        assert isinstance(pulse, Decimal)
        found.append((int(spo2), int(pulse)))
    return found


def test_a_steady_second_is_one_value() -> None:
    frame = _second([(97, 72)] * 60)
    assert _values(frame) == [(97, 72)]


def test_a_change_is_two_values_in_their_order() -> None:
    assert _values(_second([(97, 72)] * 40 + [(98, 72)] * 20)) == [(97, 72), (98, 72)]
    assert _values(_second([(98, 72)] * 20 + [(97, 72)] * 40)) == [(98, 72), (97, 72)]


def test_a_fall_of_a_tenth_of_a_second_is_kept() -> None:
    frame = _second([(97, 72)] * 30 + [(84, 71)] * 6 + [(97, 72)] * 24)
    assert _values(frame) == [(97, 72), (84, 71)]
    assert [len(run.samples) // 2 for run in frame.samples] == [60]


def test_a_number_that_is_none_is_no_extreme() -> None:
    frame = _second([(97, 72)] * 50 + [(0, 72)] * 5 + [(127, 72)] * 5)
    assert _values(frame) == [(97, 72)]


@given(PAIRS)
def test_lowest_and_highest_are_kept_and_nothing_is_invented(shown: list[tuple[int, int]]) -> None:
    middle = median([spo2 for spo2, _ in shown]), median([pulse for _, pulse in shown])
    before, after = extremes(shown, middle)
    kept = [*before, middle, *after]
    for place in (0, 1):
        numbers = [pair[place] for pair in shown]
        assert min(numbers) == min(pair[place] for pair in kept)
        assert max(numbers) == max(pair[place] for pair in kept)
    assert set(before + after) <= set(shown)
    assert len(before) + len(after) <= 4
    places = [shown.index(pair) for pair in before + after]
    assert places == sorted(places)
