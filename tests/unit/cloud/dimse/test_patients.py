"""Which studies of one number are one person's."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from wardlight_cloud.dimse.patients import AmbiguousPatientError, check_one, people
from wardlight_cloud.store.imaging import ImageRow

ANNA, BERT = uuid4(), uuid4()


def row(
    issuer: str = "", patient: UUID | None = None, name: str = "", born: str = "", number: str = "7"
) -> ImageRow:
    study: dict[str, Any] = {"00100020": {"vr": "LO", "Value": [number]}}
    if name:
        study["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": name}]}
    if born:
        study["00100030"] = {"vr": "DA", "Value": [born]}
    if issuer:
        study["00100021"] = {"vr": "LO", "Value": [issuer]}
    octets = orjson.dumps(study)
    return ImageRow("1.2", octets, 1, 1, ("CT",), (), patient, datetime.now(UTC), 1)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row()],
        [row("NORTH"), row("NORTH")],
        [row("NORTH", ANNA), row("NORTH")],
        [row("NORTH", ANNA), row("", ANNA)],
        [row(name="SMITH^JOHN", born="19500101"), row(name="Smith^John"), row()],
        [row("NORTH", ANNA, "Meyer^Anna"), row("NORTH", name="MEYER^ANNA")],
        [row("NORTH", ANNA, "Meyer^Anna"), row("NORTH", ANNA, "Smith^Anna")],
    ],
)
def test_one_person(rows: list[ImageRow]) -> None:
    check_one(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [row("NORTH"), row("SOUTH")],
        [row(), row("SOUTH")],
        [row("NORTH", ANNA), row("NORTH", BERT)],
        [row("NORTH", ANNA), row("SOUTH")],
        [row(name="SMITH^JOHN"), row(name="JONES^MARY")],
        [row(name="SMITH^JOHN", born="19500101"), row(name="SMITH^JOHN", born="19801212")],
        [row("NORTH", ANNA, "Meyer^Anna"), row("NORTH", name="JONES^MARY")],
        [row(number=""), row(number="")],
        [row(number="", patient=ANNA), row(number="")],
    ],
)
def test_several_people(rows: list[ImageRow]) -> None:
    with pytest.raises(AmbiguousPatientError, match="IssuerOfPatientID"):
        check_one(rows)
    assert len(people(rows)) == 2


@pytest.mark.parametrize("is_last", [False, True])
def test_a_study_that_could_be_of_either_is_of_neither(is_last: bool) -> None:
    """In whatever order they come."""
    rows = [row(name="SMITH^JOHN"), row(name="JONES^MARY")]
    rows.insert(2 * is_last, row())
    assert [len(each.rows) for each in people(rows)] == [1, 1, 1]
