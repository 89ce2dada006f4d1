"""Which studies of one number are one person's."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest

from wardlight_cloud.dimse.patients import AmbiguousPatientError, check_one, identity
from wardlight_cloud.store.imaging import ImageRow

ANNA, BERT = uuid4(), uuid4()


def row(issuer: str = "", patient: UUID | None = None) -> ImageRow:
    study = {"00100020": {"vr": "LO", "Value": ["7"]}}
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
    ],
)
def test_several_people(rows: list[ImageRow]) -> None:
    with pytest.raises(AmbiguousPatientError, match="IssuerOfPatientID"):
        check_one(rows)
    assert len({identity(each) for each in rows}) == 2


def test_whom_the_register_knows_is_one_whatever_the_issuer() -> None:
    assert identity(row("NORTH", ANNA)) == identity(row("SOUTH", ANNA))
