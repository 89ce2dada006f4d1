"""Files of SQL: what is a statement, what is a part of several, what is refused."""

import pytest

from wardlight_cloud.store.postgres.statements import parse

TEXT = """-- For the reader.

-- part: known
-- What is known.
a = $1

-- part: found
(SELECT * FROM t WHERE {known})

-- name: find
-- Finds.
SELECT * FROM {found} AS f

-- name: drop_label
UPDATE t SET label = '{}'
"""


def test_parts_stand_in_statements_and_are_none() -> None:
    assert parse(TEXT) == {
        "find": "SELECT * FROM (SELECT * FROM t WHERE a = $1) AS f",
        "drop_label": "UPDATE t SET label = '{}'",
    }


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("-- name: find\nSELECT 1\n", "find stands twice"),
        ("-- part: find\nSELECT 1\n", "find stands twice"),
        ("-- name: other\nSELECT {unknown}\n", "unknown"),
        ("-- name: other\nSELECT {later}\n\n-- part: later\n1\n", "later"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(f"{TEXT}\n{more}")
