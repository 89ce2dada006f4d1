"""The unit of a variance is one of UCUM."""

import pytest

from support.fhir_definitions.terminology import is_ucum
from wardlight_cloud.fhir.operations.stats import squared
from wardlight_shared.codes import METRICS


@pytest.mark.parametrize(
    ("unit", "square"),
    [
        ("mm[Hg]", "mm[Hg].mm[Hg]"), ("mg/dL", "mg/dL.mg/dL"), ("/min", "/min/min"), ("1", "1.1"),
        ("Cel", "K.K"), ("[degF]", "[degR].[degR]"), ("", ""),
    ],
)  # fmt: skip
def test_a_unit_is_squared(unit: str, square: str) -> None:
    assert squared(unit) == square


def test_the_square_of_each_unit_is_one_of_ucum() -> None:
    units = {unit for metric in METRICS.values() for unit in (metric.unit, *metric.units_also)}
    assert [unit for unit in units if unit and not is_ucum(squared(unit))] == []
