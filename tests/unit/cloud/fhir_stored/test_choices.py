"""A choice of types has one value: a resource with two says two things at once."""

from typing import Any

import orjson
import pytest

from wardlight_cloud.fhir.stored.validating import issues

PATIENT = {"resourceType": "Patient"}
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


@pytest.mark.parametrize(
    ("resource", "one", "other", "place"),
    [
        (PATIENT, {"deceasedBoolean": False}, {"deceasedDateTime": "2020-01-01"}, "Patient"),
        (PATIENT, {"multipleBirthBoolean": True}, {"multipleBirthInteger": 2}, "Patient"),
        (OBSERVATION, {"valueString": "a"}, {"valueInteger": 1}, "Observation"),
        (
            OBSERVATION, {"effectiveDateTime": "2020-01-01"},
            {"effectiveInstant": "2020-01-01T00:00:00Z"}, "Observation",
        ),
    ],
)  # fmt: skip
def test_two_types_at_once_are_refused(
    resource: dict[str, Any], one: dict[str, Any], other: dict[str, Any], place: str
) -> None:
    for alone in (one, other):
        assert issues(orjson.dumps(resource | alone)) == []
    (found,) = issues(orjson.dumps(resource | one | other))
    assert (found.code, found.expression) == ("structure", place)
