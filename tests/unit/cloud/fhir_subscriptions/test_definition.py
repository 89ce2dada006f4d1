"""When a subscription ends: every instant of FHIR, within the years that the database knows."""

from datetime import UTC, datetime
from typing import Any

import pytest

from support.subscribed_ward import subscription
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.subscriptions.definition import definition

LAST = datetime.max.replace(tzinfo=UTC)


def ending(text: str) -> dict[str, Any]:
    return subscription("Task", None, end=text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2031-05-01T08:00:00.123+02:00", datetime(2031, 5, 1, 6, 0, 0, 123_000, UTC)),
        ("2031-05-01T08:00:00.123456789Z", datetime(2031, 5, 1, 8, 0, 0, 123_456, UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 0, UTC)),  # a leap second
        ("9999-12-31T23:59:59-05:00", LAST),
        ("9999-12-31T23:59:59-14:00", LAST),
        ("0001-01-01T00:00:00+14:00", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_ends(text: str, moment: datetime) -> None:
    assert definition(ending(text)).ends_at == moment


@pytest.mark.parametrize("text", ["2031-02-30T00:00:00Z", "2031-01-01T25:00:00Z", "soon"])
def test_no_instants(text: str) -> None:
    with pytest.raises(FhirError) as caught:
        definition(ending(text))
    assert caught.value.status == 422
