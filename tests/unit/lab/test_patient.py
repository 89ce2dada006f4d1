from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_lab.devices.patient import Baseline, PatientVitals

NOON = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


def test_the_same_seed_gives_the_same_values_in_any_order() -> None:
    later = NOON + timedelta(hours=5)
    one, two = PatientVitals("a"), PatientVitals("a")
    first = (one.blood_pressure(NOON), one.weight(later))
    second = (two.weight(later), two.blood_pressure(NOON))
    assert first == second[::-1]
    assert PatientVitals("b").blood_pressure(NOON) != first[0]


@given(st.text(max_size=8), st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)))  # noqa: DTZ001
def test_values_are_those_of_a_living_person(seed: str, at: datetime) -> None:
    vitals = PatientVitals(seed)
    pressure = vitals.blood_pressure(at)
    assert pressure.systolic > pressure.mean > pressure.diastolic >= 40
    assert 70 <= vitals.spo2(at) <= 100
    assert 34 <= vitals.temperature(at) <= Decimal("41.5")
    assert 35 <= vitals.pulse(at) <= 180


def test_temperature_is_higher_in_the_evening_than_before_waking() -> None:
    vitals = PatientVitals("c")
    days = [NOON + timedelta(days=day) for day in range(30)]
    night = [vitals.temperature(day.replace(hour=5)) for day in days]
    evening = [vitals.temperature(day.replace(hour=17)) for day in days]
    assert float(sum(evening) - sum(night)) / 30 > 0.4


def test_precision_is_that_of_the_device() -> None:
    vitals = PatientVitals("d", Baseline(weight=82.4))
    for hour in range(24):
        at = NOON + timedelta(hours=hour)
        assert vitals.temperature(at).as_tuple().exponent == -1
        assert vitals.blood_pressure(at).systolic.as_tuple().exponent == 0
        assert vitals.weight(at) % Decimal("0.05") == 0


def test_a_baseline_moves_the_mean() -> None:
    high = PatientVitals("e", Baseline(systolic=160.0))
    values = [high.blood_pressure(NOON + timedelta(hours=hour)).systolic for hour in range(200)]
    assert float(sum(values)) / 200 == pytest.approx(160, abs=6)
