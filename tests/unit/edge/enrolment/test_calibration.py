"""What a day of calibration means."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.enrolment.calibration import SOON, Calibration, calibration_of

DAY = date(2027, 3, 1)


@pytest.mark.parametrize(
    ("today", "state"),
    [
        (date(2027, 1, 29), Calibration.GOOD),
        (date(2027, 1, 30), Calibration.DUE),
        (date(2027, 3, 1), Calibration.DUE),
        (date(2027, 3, 2), Calibration.OVERDUE),
    ],
)
def test_each_side_of_each_border(today: date, state: Calibration) -> None:
    assert calibration_of(DAY, today) is state


def test_without_a_day_or_a_clock_nothing_is_said() -> None:
    assert calibration_of(None, DAY) is None
    assert calibration_of(DAY, None) is None


@given(st.dates(), st.dates())
def test_it_only_gets_worse(due: date, today: date) -> None:
    order = [Calibration.GOOD, Calibration.DUE, Calibration.OVERDUE]
    now, later = calibration_of(due, today), calibration_of(due, date.max)
    assert now is not None
    assert later is not None
    assert order.index(now) <= order.index(later)
    if today < date.max - SOON - timedelta(days=1) and due > today + SOON:
        assert now is Calibration.GOOD
